// Depthwise convolution in up to three dimensions, and its gradients: lanes are channels.
//
// Rows of a block of channels of one picture are packed into a tile [row][column][lane] of the arithmetic
// type, with columns of zeros where the window reaches over the sides, shortly before they are needed.
// Then neither layout, dtype nor padding is any concern of the inner loops, and a packed number serves
// all taps. In two dimensions the tile is a ring of as many rows as the window covers.

#undef UNROLLED
#define UNROLLED(i, count) _Pragma("GCC unroll 32") for (int i = 0; i < (count); ++i)

constexpr int OUTPUTS = REGISTERS == 32 ? 8 : 6;   // whose sums are kept in registers together
constexpr int NEIGHBOURS = REGISTERS == 32 ? 7 : 3;  // taps in a row that share what is loaded for them
constexpr int TAPS = REGISTERS == 32 ? 12 : 8;     // whose gradients are kept in registers together
constexpr int64_t TILE_BYTES = 768 * 1024;         // aimed at in three dimensions: the second-level cache

// Where the windows lie: source positions for targets, by columns in lines of equal taps ------------

// Targets first, first + every, …: tap `taps[t]` reads the source at offsets[t] + step·(number of the target).
struct Line {
  int64_t first, every, count, step;
  int taps;
  bool dense;  // neighbouring targets and neighbouring taps read neighbouring columns
  const int64_t *tap, *offset;
};

// All columns of the targets; those of a gradient with stride s lie in s lines.
struct Lines {
  Workspace<int64_t> numbers;
  Workspace<Line> line;
  int64_t count, before, width;

  Lines(const Axis& axis, bool backward)
      : numbers(2 * axis.kernel * how_many(axis, backward)), line(how_many(axis, backward)) {
    const int64_t source = backward ? axis.out : axis.in, target = backward ? axis.in : axis.out;
    count = how_many(axis, backward);
    before = 0;
    width = source;
    int64_t* number = numbers.data();
    for (int64_t l = 0; l < count; ++l) {
      Line& one = line[l];
      one.every = backward ? axis.stride : 1;
      one.step = backward ? 1 : axis.stride;
      one.first = l;
      one.count = (target - one.first + one.every - 1) / one.every;
      int64_t* offset = number + axis.kernel;
      one.tap = number;
      one.offset = offset;
      one.taps = 0;
      one.dense = one.step == 1;
      for (int64_t i = 0; i < axis.kernel; ++i) {
        const int64_t k = backward ? axis.kernel - 1 - i : i;  // offsets rise
        int64_t at = k * axis.dilation - axis.before;
        if (backward) {
          at = one.first - at;
          if (at % axis.stride) continue;
          at /= axis.stride;
        }
        const int64_t last = at + (one.count - 1) * one.step;
        if (last < 0 || at >= source) continue;
        if (one.taps && at != offset[one.taps - 1] + 1) one.dense = false;
        number[one.taps] = k;
        offset[one.taps++] = at;
        if (-at > before) before = -at;
        if (last + 1 > width) width = last + 1;
      }
      number += 2 * axis.kernel;
    }
    width += before;
  }

  static int64_t how_many(const Axis& axis, bool backward) {
    return !backward ? 1 : axis.stride < axis.in ? axis.stride : axis.in;
  }
};

// The source position of tap k for a target, or -1.
STRIATE_INLINE int64_t source_of(const Axis& axis, bool backward, int64_t target, int64_t k) {
  int64_t at = k * axis.dilation - axis.before;
  if (!backward) {
    at += target * axis.stride;
    return at >= 0 && at < axis.in ? at : -1;
  }
  at = target - at;
  return at >= 0 && at % axis.stride == 0 && at / axis.stride < axis.out ? at / axis.stride : -1;
}

// Source positions that targets [from, to) need.
STRIATE_INLINE Range needed(const Axis& axis, bool backward, Range target) {
  Range range{INT64_MAX, 0};
  for (int64_t k = 0; k < axis.kernel; ++k)
    for (int64_t t = target.begin; t < target.end; ++t) {
      const int64_t at = source_of(axis, backward, t, k);
      if (at < 0) continue;
      if (at < range.begin) range.begin = at;
      if (at + 1 > range.end) range.end = at + 1;
    }
  return range.begin < range.end ? range : Range{0, 0};
}

// Tiles ----------------------------------------------------------------------------------------------

template <class T>
STRIATE_INLINE vec<T> load_some(const T* from, int count) {
  return count == lanes<T> ? load(from) : load_first(from, count);
}
template <class T>
STRIATE_INLINE void store_some(T* to, vec<T> value, int count) {
  if (count == lanes<T>)
    store(to, value);
  else
    store_first(to, value, count);
}

// A row of `size` columns: to[column][lane].
template <class T>
void pack_row(const Planes<const T>& from, int64_t offset, int64_t size, arithmetic<T>* to) {
  constexpr int V = lanes<T>;
  if (from.channel == 1) {
    const T* row = from.data + offset * from.column;
    for (int64_t i = 0; i < size; ++i, row += from.column, to += V) store(to, load_some(row, from.count));
    return;
  }
  const T* row = from.data + offset;
  for (int64_t i = 0; i < size; i += V) {
    const int columns = static_cast<int>(size - i < V ? size - i : V);
    vec<T> square[V];
    UNROLLED(c, V)
      square[c] = c < from.count ? load_some(row + c * from.channel + i, columns) : vec<T>{};
    transpose(square);
    for (int c = 0; c < columns; ++c) store(to + (i + c) * V, square[c]);
  }
}

// The way back, to columns first, first + every, …
template <class T>
void unpack_row(const arithmetic<T>* from, int64_t offset, const Line& line, const Planes<T>& to) {
  constexpr int V = lanes<T>;
  if (to.channel == 1) {
    T* row = to.data + (offset + line.first) * to.column;
    for (int64_t i = 0; i < line.count; ++i, row += line.every * to.column, from += V)
      store_some(row, load(from), to.count);
    return;
  }
  T* row = to.data + offset + line.first;
  for (int64_t i = 0; i < line.count; i += V) {
    const int columns = static_cast<int>(line.count - i < V ? line.count - i : V);
    vec<T> square[V];
    UNROLLED(c, V) square[c] = c < columns ? load(from + (i + c) * V) : vec<T>{};
    transpose(square);
    for (int c = 0; c < to.count; ++c) {
      T* at = row + c * to.channel + i * line.every;
      if (line.every == 1)
        store_some(at, square[c], columns);
      else
        UNROLLED(b, V)
          if (b < columns) store_one(at + b * line.every, square[c][b]);
    }
  }
}

// Source rows in the tile. In three dimensions all that a strip needs are there at once; in two they
// come in order, and a row takes the place of one that no window reaches any more.
template <class T>
class Tile {
 public:
  Tile(arithmetic<T>* data, const Planes<const T>& from, const Lines& lines, int64_t rows, int64_t columns,
       Range planes, Range row_range, int64_t slots)
      : data_(data), from_(from), before_(lines.before), width_(lines.width), rows_(rows), columns_(columns),
        planes_(planes), range_(row_range), slots_(slots), next_(row_range.begin) {
    const int64_t after = width_ - before_ - columns;
    for (int64_t slot = 0; slot < planes.size() * slots; ++slot) {  // the zeros at the sides stay
      arithmetic<T>* line = data + slot * width_ * lanes<T>;
      std::memset(line, 0, static_cast<size_t>(before_ * lanes<T>) * sizeof *line);
      std::memset(line + (before_ + columns) * lanes<T>, 0, static_cast<size_t>(after * lanes<T>) * sizeof *line);
    }
  }

  // Packs what is missing of the rows before `end`.
  void reach(int64_t end) {
    for (; next_ < end; ++next_)
      for (int64_t plane = planes_.begin; plane < planes_.end; ++plane)
        pack_row<T>(from_, (plane * rows_ + next_) * columns_, columns_, line(plane, next_));
  }

  arithmetic<T>* line(int64_t plane, int64_t row) const {  // its column 0
    const int64_t slot = (plane - planes_.begin) * slots_ + (row - range_.begin) % slots_;
    return data_ + (slot * width_ + before_) * lanes<T>;
  }

 private:
  arithmetic<T>* data_;
  Planes<const T> from_;
  int64_t before_, width_, rows_, columns_;
  Range planes_, range_;
  int64_t slots_, next_;
};

// Sums over taps -------------------------------------------------------------------------------------

// out[b] = start + Σ rows[r][offset(t) + b·step] · weights[r][tap(t)], B of them at once.
template <class A, int B>
STRIATE_INLINE void sum_taps(const A* const* rows, const A* const* weights, int64_t row_count, const Line& line,
                             int64_t at, vec<A> start, A* out) {
  constexpr int V = lanes<A>;
  vec<A> sums[B];
  UNROLLED(b, B) sums[b] = start;
  const int64_t step = line.step * V;
  for (int64_t r = 0; r < row_count; ++r)
    for (int t = 0; t < line.taps; ++t) {
      const vec<A> weight = load(weights[r] + line.tap[t] * V);
      const A* x = rows[r] + line.offset[t] * V + at * step;
      UNROLLED(b, B) sums[b] = fma(load(x + b * step), weight, sums[b]);
    }
  UNROLLED(b, B) store(out + b * V, sums[b]);
}

// The same for a dense line with TAPS neighbouring taps: each column is loaded once for all of them.
template <class A, int TAPS_HERE>
STRIATE_INLINE void add_neighbours(const A* x, const A* weights, vec<A> (&sums)[OUTPUTS], const int64_t* tap) {
  constexpr int V = lanes<A>;
  if constexpr (TAPS_HERE > 0) {
    vec<A> columns[OUTPUTS + TAPS_HERE - 1];
    UNROLLED(c, OUTPUTS + TAPS_HERE - 1) columns[c] = load(x + c * V);
    UNROLLED(t, TAPS_HERE) {
      const vec<A> weight = load(weights + tap[t] * V);
      UNROLLED(b, OUTPUTS) sums[b] = fma(columns[b + t], weight, sums[b]);
    }
  }
}

// A dense line whose taps are some times NEIGHBOURS (MANY) and REST more.
template <class A, bool MANY, int REST>
void sum_dense_line(const A* const* rows, const A* const* weights, int64_t row_count, const Line& line, vec<A> start,
                    A* out) {
  constexpr int V = lanes<A>;
  for (int64_t i = 0; i < line.count; i += OUTPUTS) {
    if (i + OUTPUTS > line.count) i = line.count - OUTPUTS;  // the last ones overlap
    vec<A> sums[OUTPUTS];
    UNROLLED(b, OUTPUTS) sums[b] = start;
    for (int64_t r = 0; r < row_count; ++r) {
      const A* x = rows[r] + (line.offset[0] + i) * V;
      int t = 0;
      if constexpr (MANY)
        for (; t + NEIGHBOURS <= line.taps; t += NEIGHBOURS)
          add_neighbours<A, NEIGHBOURS>(x + t * V, weights[r], sums, line.tap + t);
      add_neighbours<A, REST>(x + t * V, weights[r], sums, line.tap + t);
    }
    UNROLLED(b, OUTPUTS) store(out + (i + b) * V, sums[b]);
  }
}

template <class A, int REST = NEIGHBOURS - 1>
void sum_dense_line_of(int rest, const A* const* rows, const A* const* weights, int64_t row_count, const Line& line,
                       vec<A> start, A* out) {
  if (rest == REST) {
    if (line.taps >= NEIGHBOURS)
      sum_dense_line<A, true, REST>(rows, weights, row_count, line, start, out);
    else
      sum_dense_line<A, false, REST>(rows, weights, row_count, line, start, out);
  } else if constexpr (REST > 0) {
    sum_dense_line_of<A, REST - 1>(rest, rows, weights, row_count, line, start, out);
  }
}

template <class A>
void sum_line(const A* const* rows, const A* const* weights, int64_t row_count, const Line& line, vec<A> start,
              A* out) {
  constexpr int V = lanes<A>;
  if (line.dense && line.count >= OUTPUTS)
    return sum_dense_line_of<A>(line.taps % NEIGHBOURS, rows, weights, row_count, line, start, out);
  int64_t i = 0;
  for (; i + OUTPUTS <= line.count; i += OUTPUTS)
    sum_taps<A, OUTPUTS>(rows, weights, row_count, line, i, start, out + i * V);
  for (; i < line.count; ++i) sum_taps<A, 1>(rows, weights, row_count, line, i, start, out + i * V);
}

// sums[t] += Σ over columns of gradient[i] · taps[t][i·step], T of them at once.
template <class A, int T>
STRIATE_INLINE void sum_columns(const A* gradient, int64_t count, const A* const* taps, int64_t step,
                                A* const* sums) {
  constexpr int V = lanes<A>;
  vec<A> sum[T];
  UNROLLED(t, T) sum[t] = load(sums[t]);
  for (int64_t i = 0; i < count; ++i) {
    const vec<A> g = load(gradient + i * V);
    UNROLLED(t, T) sum[t] = fma(load(taps[t] + i * step), g, sum[t]);
  }
  UNROLLED(t, T) store(sums[t], sum[t]);
}

// sums[r][k] += Σ over columns of gradient[i] · rows[r][i + k]: each column is loaded once for K taps.
template <class A, int ROWS, int K>
void sum_neighbours(const A* gradient, int64_t count, const A* const* rows, A* const* sums) {
  constexpr int V = lanes<A>, COLUMNS = 4;
  vec<A> sum[ROWS][K];
  UNROLLED(r, ROWS)
    UNROLLED(k, K) sum[r][k] = load(sums[r] + k * V);
  int64_t i = 0;
  for (; i + COLUMNS <= count; i += COLUMNS) {
    vec<A> g[COLUMNS];
    UNROLLED(c, COLUMNS) g[c] = load(gradient + (i + c) * V);
    UNROLLED(r, ROWS)
      UNROLLED(c, COLUMNS + K - 1) {
        const vec<A> x = load(rows[r] + (i + c) * V);
        UNROLLED(k, K)
          if (c - k >= 0 && c - k < COLUMNS) sum[r][k] = fma(x, g[c - k], sum[r][k]);
      }
  }
  for (; i < count; ++i) {
    const vec<A> g = load(gradient + i * V);
    UNROLLED(r, ROWS)
      UNROLLED(k, K) sum[r][k] = fma(load(rows[r] + (i + k) * V), g, sum[r][k]);
  }
  UNROLLED(r, ROWS)
    UNROLLED(k, K) store(sums[r] + k * V, sum[r][k]);
}

// All rows, K taps of each: as many rows together as keep the multiply-adds from waiting for each other.
template <class A, int K = NEIGHBOURS>
void sum_neighbours_of(int64_t taps, const A* gradient, int64_t count, const A* const* rows, A* const* sums,
                       int64_t row_count) {
  if constexpr (K > 0) {
    if (taps != K) return sum_neighbours_of<A, K - 1>(taps, gradient, count, rows, sums, row_count);
    constexpr int TOGETHER = K > 5 ? 1 : K > 3 ? 2 : K > 1 ? 3 : 6;
    int64_t r = 0;
    for (; r + TOGETHER <= row_count; r += TOGETHER)
      sum_neighbours<A, TOGETHER, K>(gradient, count, rows + r, sums + r);
    for (; r < row_count; ++r) sum_neighbours<A, 1, K>(gradient, count, rows + r, sums + r);
  }
}

template <class A, int T = TAPS>
void sum_some_columns(int taps_now, const A* gradient, int64_t count, const A* const* taps, int64_t step,
                      A* const* sums) {
  if constexpr (T > 0) {
    if (taps_now == T)
      sum_columns<A, T>(gradient, count, taps, step, sums);
    else
      sum_some_columns<A, T - 1>(taps_now, gradient, count, taps, step, sums);
  }
}

// Weights [channel][tap] of a block as [tap][lane].
template <class T>
void pack_weights(const T* from, int64_t taps, int count, arithmetic<T>* to) {
  constexpr int V = lanes<T>;
  for (int64_t k = 0; k < taps; ++k)
    UNROLLED(c, V) to[k * V + c] = c < count ? load_one(from + c * taps + k) : 0;
}

// One picture's block of channels, targets `strip` along the outermost dimension that is sliced ---------

template <class T>
void correlate(const Depthwise& d, bool backward, const Lines& lines, const Planes<const T>& from,
               const Planes<T>& to, const arithmetic<T>* weights, const T* bias, Range planes, Range rows,
               const Scratch<arithmetic<T>>& scratch) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t source_rows = backward ? d.axis[1].out : d.axis[1].in;
  const int64_t source_columns = backward ? d.axis[2].out : d.axis[2].in;
  const int64_t target_rows = backward ? d.axis[1].in : d.axis[1].out;
  const int64_t target_columns = backward ? d.axis[2].in : d.axis[2].out;
  Tile<T> tile(scratch.tile, from, lines, source_rows, source_columns, needed(d.axis[0], backward, planes),
               needed(d.axis[1], backward, rows), scratch.slots);
  const vec<A> start = bias ? vec<A>(load_some(bias, to.count)) : vec<A>{};
  for (int64_t plane = planes.begin; plane < planes.end; ++plane)
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      tile.reach(needed(d.axis[1], backward, {row, row + 1}).end);
      int64_t count = 0;
      for (int64_t kd = 0; kd < d.axis[0].kernel; ++kd) {
        const int64_t at_plane = source_of(d.axis[0], backward, plane, kd);
        if (at_plane < 0) continue;
        for (int64_t kh = 0; kh < d.axis[1].kernel; ++kh) {
          const int64_t at_row = source_of(d.axis[1], backward, row, kh);
          if (at_row < 0) continue;
          scratch.rows[count] = tile.line(at_plane, at_row);
          scratch.weights[count++] = weights + (kd * d.axis[1].kernel + kh) * d.axis[2].kernel * V;
        }
      }
      const int64_t offset = (plane * target_rows + row) * target_columns;
      for (int64_t l = 0; l < lines.count; ++l) {
        sum_line<A>(scratch.rows, scratch.weights, count, lines.line[l], start, scratch.out);
        unpack_row<T>(scratch.out, offset, lines.line[l], to);
      }
    }
}

// sums[tap][lane] += this picture's part of the weights' gradient; the last row of sums is the bias's.
template <class T>
void add_weight_gradient(const Depthwise& d, const Lines& lines, const Planes<const T>& from,
                         const Planes<const T>& gradient, Range planes, Range rows, arithmetic<T>* sums,
                         const Scratch<arithmetic<T>>& scratch) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Line& line = lines.line[0];
  Tile<T> tile(scratch.tile, from, lines, d.axis[1].in, d.axis[2].in, needed(d.axis[0], false, planes),
               needed(d.axis[1], false, rows), scratch.slots);
  A* bias = sums + d.taps() * V;
  for (int64_t plane = planes.begin; plane < planes.end; ++plane)
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      tile.reach(needed(d.axis[1], false, {row, row + 1}).end);
      pack_row<T>(gradient, (plane * d.axis[1].out + row) * d.axis[2].out, d.axis[2].out, scratch.out);
      vec<A> total = load(bias);
      for (int64_t i = 0; i < d.axis[2].out; ++i) total += load(scratch.out + i * V);
      store(bias, total);
      int64_t count = 0;
      for (int64_t kd = 0; kd < d.axis[0].kernel; ++kd) {
        const int64_t at_plane = source_of(d.axis[0], false, plane, kd);
        if (at_plane < 0) continue;
        for (int64_t kh = 0; kh < d.axis[1].kernel; ++kh) {
          const int64_t at_row = source_of(d.axis[1], false, row, kh);
          if (at_row < 0) continue;
          scratch.rows[count] = tile.line(at_plane, at_row) + line.offset[0] * V;
          scratch.sums[count++] = sums + ((kd * d.axis[1].kernel + kh) * d.axis[2].kernel + line.tap[0]) * V;
        }
      }
      if (line.dense) {
        for (int64_t t = 0; t < line.taps; t += NEIGHBOURS) {
          sum_neighbours_of<A>(line.taps - t < NEIGHBOURS ? line.taps - t : NEIGHBOURS, scratch.out, line.count,
                               scratch.rows, scratch.sums, count);
          for (int64_t r = 0; r < count; ++r) {
            scratch.rows[r] += NEIGHBOURS * V;
            scratch.sums[r] += NEIGHBOURS * V;
          }
        }
        continue;
      }
      for (int64_t r = count; r-- > 0;)  // one entry for each row becomes one for each tap
        for (int t = line.taps; t-- > 0;) {
          scratch.rows[r * line.taps + t] = scratch.rows[r] + (line.offset[t] - line.offset[0]) * V;
          scratch.sums[r * line.taps + t] = scratch.sums[r] + (line.tap[t] - line.tap[0]) * V;
        }
      count *= line.taps;
      const int64_t chunks = (count + TAPS - 1) / TAPS;
      for (int64_t c = 0; c < chunks; ++c) {
        const int64_t begin = c * count / chunks, end = (c + 1) * count / chunks;
        sum_some_columns<A>(static_cast<int>(end - begin), scratch.out, line.count, scratch.rows + begin,
                            line.step * V, scratch.sums + begin);
      }
    }
}

// The whole operation ----------------------------------------------------------------------------------

// How the targets along the outermost dimension are cut, so that a source tile fits the cache.
struct Strips {
  int axis = 1;         // 0: planes, 1: rows
  int64_t targets = 1;  // along it
  int64_t count = 1;

  Range of(int64_t strip) const { return {strip * targets / count, (strip + 1) * targets / count}; }
};

template <class A>
Strips cut(const Depthwise& d, bool backward, const Lines& lines, int64_t pieces) {
  const auto source = [&](int axis) { return backward ? d.axis[axis].out : d.axis[axis].in; };
  const auto target = [&](int axis) { return backward ? d.axis[axis].in : d.axis[axis].out; };
  Strips strips;
  strips.axis = target(0) > 1 ? 0 : 1;
  strips.targets = target(strips.axis);
  const int64_t reach = (d.axis[strips.axis].kernel - 1) * d.axis[strips.axis].dilation + 1;
  if (d.axis[0].in > 1) {  // whole planes are kept: as many as the cache takes
    const int64_t plane = source(1) * lines.width * lanes<A> * static_cast<int64_t>(sizeof(A));
    const int64_t fit = TILE_BYTES / plane > 2 * reach ? TILE_BYTES / plane - reach : reach;
    strips.count = (source(strips.axis) + fit - 1) / fit;
  } else if (pieces < SHARES) {  // work for more threads, though some rows are packed twice
    strips.count = (SHARES + pieces - 1) / (pieces ? pieces : 1);
    if (strips.count * reach > source(1)) strips.count = source(1) / reach;
  }
  if (strips.count > strips.targets) strips.count = strips.targets;
  if (strips.count < 1) strips.count = 1;
  return strips;
}

// Rows that a tile keeps of each plane, and how many planes.
struct Slots {
  int64_t rows = 1, planes = 1;

  Slots(const Depthwise& d, bool backward, const Strips& strips) {
    const Axis &deep = d.axis[0], &high = d.axis[1];
    for (int64_t s = 0; s < strips.count; ++s) {
      const int64_t size = needed(deep, backward, strips.axis == 0 ? strips.of(s) : Range{0, backward ? deep.in : deep.out}).size();
      if (size > planes) planes = size;
    }
    rows = backward ? high.out : high.in;
    const int64_t reach = (high.kernel - 1) * high.dilation + 1;
    if (deep.in == 1 && deep.out == 1 && reach < rows) rows = reach;
  }
};

template <class A>
struct Memory {  // what a scratch points to
  int64_t slots;
  Workspace<A> tile, out;
  Workspace<const A*> rows, weights;
  Workspace<A*> sums;

  Memory(const Depthwise& d, const Slots& slots_, int64_t width)
      : slots(slots_.rows),
        tile(slots_.rows * slots_.planes * width * lanes<A>),
        out(((d.axis[2].in > d.axis[2].out ? d.axis[2].in : d.axis[2].out) + 1) * lanes<A>),
        rows(d.taps()),
        weights(d.taps()),
        sums(d.taps()) {}
  Scratch<A> scratch() const { return {tile.data(), out.data(), rows.data(), weights.data(), sums.data(), slots}; }
};

template <class T>
Planes<T> planes_of(const Depthwise& d, T* data, bool last, int64_t image, int64_t block, int64_t positions) {
  constexpr int V = lanes<std::remove_const_t<T>>;
  const int64_t first = block * V, left = d.channels - first;
  Planes<T> planes;
  planes.data = data + image * d.channels * positions + first * (last ? 1 : positions);
  planes.column = last ? d.channels : 1;
  planes.channel = last ? 1 : positions;
  planes.count = static_cast<int>(left < V ? left : V);
  return planes;
}

inline Range whole_or(const Strips& strips, int axis, int64_t strip, int64_t size) {
  return strips.axis == axis ? strips.of(strip) : Range{0, size};
}

template <class T>
void depthwise_forward(const Depthwise& d, const T* x, const T* weight, const T* bias, T* y) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines lines(d.axis[2], false);
  const int64_t blocks = (d.channels + V - 1) / V;
  const Strips strips = cut<A>(d, false, lines, d.images * blocks);
  const Slots slots(d, false, strips);
  for_pieces(d.images * blocks * strips.count, [&](int64_t piece) {
    const int64_t strip = piece % strips.count, block = piece / strips.count % blocks;
    const int64_t image = piece / strips.count / blocks;
    const Memory<A> memory(d, slots, lines.width);
    const Workspace<A> weights(d.taps() * V);
    const auto to = planes_of(d, y, d.input_last, image, block, d.out_size());
    pack_weights(weight + block * V * d.taps(), d.taps(), to.count, weights.data());
    correlate<T>(d, false, lines, planes_of(d, x, d.input_last, image, block, d.in_size()), to, weights.data(),
                 bias ? bias + block * V : nullptr, whole_or(strips, 0, strip, d.axis[0].out),
                 whole_or(strips, 1, strip, d.axis[1].out), memory.scratch());
  });
}

// Those of dx, dweight and dbias that are not null.
template <class T>
void depthwise_backward(const Depthwise& d, const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines forward(d.axis[2], false), backward(d.axis[2], true);
  const int64_t blocks = (d.channels + V - 1) / V, pieces = d.images * blocks;
  const Strips x_strips = cut<A>(d, false, forward, pieces), y_strips = cut<A>(d, true, backward, pieces);
  const int64_t strips = x_strips.count > y_strips.count ? x_strips.count : y_strips.count;
  const Slots x_slots(d, false, x_strips), y_slots(d, true, y_strips);
  const int64_t units = d.images * strips;
  const int64_t wanted = (2 * SHARES + blocks - 1) / blocks, chunks = units < wanted ? units : wanted;
  const int64_t length = (d.taps() + 1) * V;
  const Workspace<A> partials(blocks * chunks * length);
  for_pieces(blocks * chunks, [&](int64_t piece) {
    const int64_t block = piece / chunks, chunk = piece % chunks;
    A* sums = partials.data() + piece * length;
    std::memset(sums, 0, static_cast<size_t>(length) * sizeof *sums);
    const Workspace<A> weights(d.taps() * V);
    const Memory<A> x_memory(d, x_slots, forward.width), y_memory(d, y_slots, backward.width);
    const auto first = planes_of(d, x, d.input_last, 0, block, d.in_size());
    pack_weights(weight + block * V * d.taps(), d.taps(), first.count, weights.data());
    for (int64_t unit = chunk * units / chunks; unit < (chunk + 1) * units / chunks; ++unit) {
      const int64_t image = unit / strips, strip = unit % strips;
      const auto gradient = planes_of(d, dy, d.gradient_last, image, block, d.out_size());
      if (dx && strip < y_strips.count)
        correlate<T>(d, true, backward, gradient, planes_of(d, dx, d.input_last, image, block, d.in_size()), weights.data(),
                     static_cast<const T*>(nullptr), whole_or(y_strips, 0, strip, d.axis[0].in),
                     whole_or(y_strips, 1, strip, d.axis[1].in), y_memory.scratch());
      if ((dweight || dbias) && strip < x_strips.count)
        add_weight_gradient<T>(d, forward, planes_of(d, x, d.input_last, image, block, d.in_size()), gradient,
                               whole_or(x_strips, 0, strip, d.axis[0].out),
                               whole_or(x_strips, 1, strip, d.axis[1].out), sums, x_memory.scratch());
    }
  });
  if (!dweight && !dbias) return;
  for (int64_t c = 0; c < d.channels; ++c)
    for (int64_t k = 0; k <= d.taps(); ++k) {
      const A* from = partials.data() + c / V * chunks * length + k * V + c % V;
      A sum = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += from[chunk * length];
      if (k < d.taps() && dweight)
        store_one(dweight + c * d.taps() + k, sum);
      else if (k == d.taps() && dbias)
        store_one(dbias + c, sum);
    }
}
