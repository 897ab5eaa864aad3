// Rows of pictures to and from the planes of a tile, in whatever layout and dtype they are stored; see _flat.h.
//
// Sample s·i + q of a row belongs to the i-th number of line q: with stride 1 there is one line.

#undef UNROLLED
#define UNROLLED(i, count) _Pragma("GCC unroll 32") for (int i = 0; i < (count); ++i)

template <class T>
STRIATE_INLINE vec<T> load_up_to(const T* from, int64_t count) {
  return count >= lanes<T> ? load(from) : count > 0 ? load_first(from, static_cast<int>(count)) : vec<T>{};
}
template <class T>
STRIATE_INLINE void store_up_to(T* to, vec<T> value, int64_t count) {
  if (count >= lanes<T>)
    store(to, value);
  else if (count > 0)
    store_first(to, value, static_cast<int>(count));
}

// S vectors of neighbouring numbers become S lines, and back.
template <int S, class V>
STRIATE_INLINE void part(V (&v)[S]) {
  using all = std::make_integer_sequence<int, sizeof(V) / sizeof(V{}[0])>;
  if constexpr (S == 2) {
    const V even = every_second<0>(v[0], v[1], all{}), odd = every_second<1>(v[0], v[1], all{});
    v[0] = even, v[1] = odd;
  } else if constexpr (S == 4) {
    V a[2] = {v[0], v[1]}, b[2] = {v[2], v[3]};
    part<2>(a), part<2>(b);
    V even[2] = {a[0], b[0]}, odd[2] = {a[1], b[1]};
    part<2>(even), part<2>(odd);
    v[0] = even[0], v[1] = odd[0], v[2] = even[1], v[3] = odd[1];
  }
}
template <int S, class V>
STRIATE_INLINE void join(V (&v)[S]) {
  constexpr int n = sizeof(V) / sizeof(V{}[0]);
  using all = std::make_integer_sequence<int, n>;
  if constexpr (S == 2) {
    const V low = interleave<0>(v[0], v[1], all{}), high = interleave<n / 2>(v[0], v[1], all{});
    v[0] = low, v[1] = high;
  } else if constexpr (S == 4) {
    V even[2] = {v[0], v[2]}, odd[2] = {v[1], v[3]};
    join<2>(even), join<2>(odd);
    V low[2] = {even[0], odd[0]}, high[2] = {even[1], odd[1]};
    join<2>(low), join<2>(high);
    v[0] = low[0], v[1] = low[1], v[2] = high[0], v[3] = high[1];
  }
}

// Where the lines of a row lie in a tile, for its first channel.
template <class A>
struct TileRow {
  A* data;
  int64_t channel;               // numbers between channels
  int64_t stride, before, line;  // of the columns; numbers between the planes of two phases

  A* of(int64_t q) const { return data + (before + q) % stride * line + (before + q) / stride; }
  template <int S>  // a stride that is known: dividing by another takes as long as parting a dozen samples
  A* of(int q) const {
    const auto at = static_cast<uint64_t>(before + q);
    return data + static_cast<int64_t>(at % S) * line + static_cast<int64_t>(at / S);
  }
};

template <class T, int S>
void pack_plain(const T* from, int64_t size, const TileRow<arithmetic<T>>& to, int64_t channel) {
  constexpr int V = lanes<T>;
  arithmetic<T>* line[S];
  UNROLLED(q, S) line[q] = to.template of<S>(q) + channel * to.channel;
  int64_t i = 0;
  for (; (i + V) * S <= size; i += V) {
    vec<T> v[S];
    UNROLLED(q, S) v[q] = load(from + i * S + q * V);
    part<S>(v);
    UNROLLED(q, S) store(line[q] + i, v[q]);
  }
  if (i * S == size) return;
  vec<T> v[S];  // zeros after the end are what belongs there
  UNROLLED(q, S) v[q] = load_up_to(from + i * S + q * V, size - i * S - q * V);
  part<S>(v);
  UNROLLED(q, S) store(line[q] + i, v[q]);
}

template <class T, int S>
void unpack_plain(const TileRow<const arithmetic<T>>& from, int64_t channel, int64_t size, T* to) {
  constexpr int V = lanes<T>;
  const arithmetic<T>* line[S];
  UNROLLED(q, S) line[q] = from.template of<S>(q) + channel * from.channel;
  int64_t i = 0;
  for (; (i + V) * S <= size; i += V) {
    vec<T> v[S];
    UNROLLED(q, S) v[q] = load(line[q] + i);
    join<S>(v);
    UNROLLED(q, S) store(to + i * S + q * V, v[q]);
  }
  if (i * S == size) return;
  vec<T> v[S];
  UNROLLED(q, S) v[q] = load(line[q] + i);
  join<S>(v);
  UNROLLED(q, S) store_up_to(to + i * S + q * V, v[q], size - i * S - q * V);
}

// A row of `size` columns of a block of channels; the next one is `ahead` numbers away. Channels that lie side by side are
// a cache line of each column: hardware does not foresee the next row's.
template <class T>
void pack_row(const Planes<const T>& from, int64_t size, int64_t ahead, const TileRow<arithmetic<T>>& to) {
  constexpr int V = lanes<T>;
  const int64_t stride = to.stride;
  if (from.channel != 1 || from.count == 1) {
    for (int c = 0; c < from.count; ++c) {
      const T* row = from.data + c * from.channel;
      if (from.column != 1 || (stride != 1 && stride != 2 && stride != 4)) {
        for (int64_t q = 0; q < stride; ++q) {
          arithmetic<T>* line = to.of(q) + c * to.channel;
          for (int64_t i = 0; i * stride + q < size; ++i) line[i] = load_one(row + (i * stride + q) * from.column);
        }
      } else if (stride == 1) {
        pack_plain<T, 1>(row, size, to, c);
      } else if (stride == 2) {
        pack_plain<T, 2>(row, size, to, c);
      } else {
        pack_plain<T, 4>(row, size, to, c);
      }
    }
    return;
  }
  for (int64_t q = 0; q < stride; ++q) {
    arithmetic<T>* line = to.of(q);
    const int64_t count = (size - q + stride - 1) / stride, step = stride * from.column;
    const T* row = from.data + q * from.column;
    if (from.count <= 4) {  // too few to turn squares
      for (int64_t i = 0; i < count; ++i)
        for (int c = 0; c < from.count; ++c) line[c * to.channel + i] = load_one(row + i * step + c);
      continue;
    }
    for (int64_t i = 0; i < count; i += V) {
      vec<T> square[V];
      UNROLLED(b, V) __builtin_prefetch(row + (i + b) * step + ahead, 0, 2);
      UNROLLED(b, V) square[b] = i + b < count ? load_up_to(row + (i + b) * step, from.count) : vec<T>{};
      transpose(square);
      UNROLLED(c, V)
        if (c < from.count) store(line + c * to.channel + i, square[c]);
    }
  }
}

template <class T>
void unpack_row(const TileRow<const arithmetic<T>>& from, int64_t size, int64_t ahead, const Planes<T>& to) {
  constexpr int V = lanes<T>;
  const int64_t stride = from.stride;
  if (to.channel != 1 || to.count == 1) {
    for (int c = 0; c < to.count; ++c) {
      T* row = to.data + c * to.channel;
      if (to.column != 1 || (stride != 1 && stride != 2 && stride != 4)) {
        for (int64_t q = 0; q < stride; ++q) {
          const arithmetic<T>* line = from.of(q) + c * from.channel;
          for (int64_t i = 0; i * stride + q < size; ++i) store_one(row + (i * stride + q) * to.column, line[i]);
        }
      } else if (stride == 1) {
        unpack_plain<T, 1>(from, c, size, row);
      } else if (stride == 2) {
        unpack_plain<T, 2>(from, c, size, row);
      } else {
        unpack_plain<T, 4>(from, c, size, row);
      }
    }
    return;
  }
  for (int64_t q = 0; q < stride; ++q) {
    const arithmetic<T>* line = from.of(q);
    const int64_t count = (size - q + stride - 1) / stride, step = stride * to.column;
    T* row = to.data + q * to.column;
    if (to.count <= 4) {
      for (int64_t i = 0; i < count; ++i)
        for (int c = 0; c < to.count; ++c) store_one(row + i * step + c, line[c * from.channel + i]);
      continue;
    }
    for (int64_t i = 0; i < count; i += V) {
      vec<T> square[V];
      UNROLLED(b, V) __builtin_prefetch(row + (i + b) * step + ahead, 1, 2);
      UNROLLED(c, V) square[c] = c < to.count ? load(line + c * from.channel + i) : vec<T>{};
      transpose(square);
      UNROLLED(b, V)
        if (i + b < count) store_up_to(row + (i + b) * step, square[b], to.count);
    }
  }
}

// Calls body(channels of the tensor in one row, row in the tile) for rows [from, to) of a unit's planes, and
// blank(the same row of the tile) where the padding is.
template <class T, class Row, class Blank>
STRIATE_INLINE void for_rows(const Flat& f, const Side& side, T* tensor, int64_t block, const Unit& unit, int64_t from,
                             int64_t to, const Row& body, const Blank& blank) {
  constexpr int V = lanes<std::remove_const_t<T>>;
  const int64_t all = f.groups * side.channels, first = block * f.together * side.channels;
  const int64_t some = f.together * side.channels, here = all - first < some ? all - first : some;
  const int64_t phases = side.row_stride * side.column_stride, size = side.rows * side.columns;
  for (int64_t c = 0; c < here; c += V) {
    Planes<T> planes;
    planes.column = side.last ? all : 1;
    planes.channel = side.last ? 1 : size;
    planes.count = static_cast<int>(here - c < V ? here - c : V);
    for (int64_t picture = 0; picture < unit.pictures; ++picture) {
      T* start = tensor + (unit.picture + picture) * all * size + (first + c) * (side.last ? 1 : size);
      for (int64_t phase = 0; phase < side.row_stride; ++phase)
        for (int64_t m = from; m < to; ++m) {
          const int64_t row = (unit.first + m) * side.row_stride + phase - side.row_before;
          const int64_t plane = (c * phases + phase * side.column_stride) * side.length;
          const int64_t at = plane + side.start + (picture * f.picture_pitch + m) * f.pitch;
          if (row >= 0 && row < side.rows) {
            planes.data = start + row * side.columns * planes.column;
            body(planes, at);
          } else {
            blank(at, planes.count);
          }
        }
    }
  }
}

template <class T>
void pack(const Flat& f, const Side& side, const T* tensor, int64_t block, const Unit& unit, int64_t from, int64_t to,
          arithmetic<T>* tile) {
  using A = arithmetic<T>;
  const int64_t phases = side.row_stride * side.column_stride;
  for_rows(
      f, side, tensor, block, unit, from, to,
      [&](const Planes<const T>& planes, int64_t at) {
        pack_row<T>(planes, side.columns, side.row_stride * side.columns * planes.column,
                    TileRow<A>{tile + at, phases * side.length, side.column_stride, side.column_before, side.length});
      },
      [&](int64_t at, int channels) {
        if (f.strips == 1) return;  // such rows are never written
        for (int c = 0; c < channels; ++c)
          for (int64_t q = 0; q < side.column_stride; ++q)
            for (int64_t i = 0; i < f.pitch; ++i) tile[at + (c * phases + q) * side.length + i] = 0;
      });
}

template <class T>
void unpack(const Flat& f, const Side& side, const arithmetic<T>* tile, int64_t block, const Unit& unit, T* tensor) {
  using A = arithmetic<T>;
  const int64_t phases = side.row_stride * side.column_stride;
  for_rows(
      f, side, tensor, block, unit, 0, unit.rows,
      [&](const Planes<T>& planes, int64_t at) {
        unpack_row<T>(TileRow<const A>{tile + at, phases * side.length, side.column_stride, side.column_before, side.length},
                      side.columns, side.row_stride * side.columns * planes.column, planes);
      },
      [](int64_t, int) {});
}

// Memory for the tiles of a piece; zeros between the rows are there from the start.
template <class A>
class FlatTile {
 public:
  FlatTile(const Flat& f, const Side& side) : size_(f.together * side.planes() * side.length), memory_(size_) {}

  // For a unit with so many pictures: a picture that is missing leaves nothing behind.
  A* data(const Unit& unit) {
    if (unit.pictures != pictures_) std::memset(memory_.data(), 0, static_cast<size_t>(size_) * sizeof(A));
    pictures_ = unit.pictures;
    return memory_.data();
  }

 private:
  int64_t size_, pictures_ = 0;
  Workspace<A> memory_;
};

// Pieces of a block's units: their number depends on nothing but the shapes.
STRIATE_INLINE int64_t share_of(int64_t units, int64_t blocks) {
  const int64_t wanted = (2 * SHARES + blocks - 1) / blocks;
  return units < wanted ? units : wanted;
}
