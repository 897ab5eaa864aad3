// Rows of pictures with a channel in each lane, in whatever layout they are stored.
//
// Pasted after _simd.h by kernels whose windows slide over a picture. Rows of a block of channels are packed
// into a tile [row][column][lane] of the arithmetic type shortly before they are needed, with columns of a
// neutral number where the window reaches over the sides. Then neither layout, dtype nor padding is any
// concern of the inner loops, and a packed number serves all taps. In two dimensions the tile is a ring of
// as many rows as the window covers.

#include "_neighbours.h"

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
       Range planes, Range row_range, int64_t slots, arithmetic<T> neutral = 0)
      : data_(data), from_(from), before_(lines.before), width_(lines.width), rows_(rows), columns_(columns),
        planes_(planes), range_(row_range), slots_(slots), next_(row_range.begin) {
    const int64_t after = width_ - before_ - columns;
    for (int64_t slot = 0; slot < planes.size() * slots; ++slot) {  // the sides stay
      arithmetic<T>* line = data + slot * width_ * lanes<T>;
      for (int64_t i = 0; i < before_ * lanes<T>; ++i) line[i] = neutral;
      for (int64_t i = (before_ + columns) * lanes<T>; i < (before_ + columns + after) * lanes<T>; ++i) line[i] = neutral;
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

// Pieces of the work -----------------------------------------------------------------------------------

constexpr int64_t TILE_BYTES = 768 * 1024;  // of a tile with whole planes: the second-level cache

// How the targets along the outermost dimension are cut, so that a source tile fits the cache.
struct Strips {
  int axis = 1;         // 0: planes, 1: rows
  int64_t targets = 1;  // along it
  int64_t count = 1;

  Range of(int64_t strip) const { return {strip * targets / count, (strip + 1) * targets / count}; }
};

template <class A>
Strips cut(const Windows& d, bool backward, const Lines& lines, int64_t pieces) {
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

  Slots(const Windows& d, bool backward, const Strips& strips) {
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

template <class T>
Planes<T> planes_of(const Windows& d, T* data, bool last, int64_t image, int64_t block, int64_t positions) {
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
