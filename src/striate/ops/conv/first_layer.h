// Convolution of few channels to many, channel by channel: lanes are neighbours in a tile's rows; see _flat.h.
//
// Every block of output channels reads the tile, which lies in the second-level cache, and its own weights, which lie
// in the first. Sums stay in registers until they are whole, and then go to the result at once.
#include "conv/flat_rows.h"

constexpr int OUTPUTS = REGISTERS == 32 ? 8 : 4;  // channels whose sums are kept in registers together
constexpr int COLUMNS = 3;                        // vectors of each

// A vector's positions: neighbours in the result, where rows follow each other, but from two rows of the tile if a row
// ends among them; and from two pictures, which the result has in two places.
struct Stretch {
  int64_t from[2], to[2];  // where lane 0 would be
  int first, end;          // lanes of the first row, of both
};

#if defined(STRIATE_AVX512)
using Later = __mmask16;
STRIATE_INLINE Later lanes_from(int first) { return static_cast<Later>(~0u << first); }
STRIATE_INLINE floats load_later(floats value, Later later, const float* from) {
  return _mm512_mask_loadu_ps(value, later, from);
}
#else
using Later = ints;
STRIATE_INLINE Later lanes_from(int first) {
  ints lane;
  UNROLLED(i, LANES) lane[i] = i;
  return lane >= first;
}
STRIATE_INLINE floats load_later(floats value, Later later, const float* from) { return select(later, load(from), value); }
#endif

template <class T>
STRIATE_INLINE void store_between(T* to, vec<T> value, int begin, int end) {
#if defined(STRIATE_AVX512)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << end) - (1u << begin)), value);
#else
  for (int i = begin; i < end; ++i) to[i] = value[i];
#endif
}

// Weights (outputs, taps) as blocks of [tap][OUTPUTS], the last one filled up with zeros; the bias likewise.
template <class T>
void pack_outputs(int64_t outputs, int64_t taps, const T* weight, const T* bias, arithmetic<T>* weights, arithmetic<T>* start) {
  const int64_t blocks = (outputs + OUTPUTS - 1) / OUTPUTS;
  for (int64_t o = 0; o < blocks * OUTPUTS; ++o) {
    arithmetic<T>* to = weights + o / OUTPUTS * OUTPUTS * taps + o % OUTPUTS;
    for (int64_t t = 0; t < taps; ++t) to[t * OUTPUTS] = o < outputs ? load_one(weight + o * taps + t) : 0;
    start[o] = bias && o < outputs ? load_one(bias + o) : 0;
  }
}

// The stretches that hold all positions of a unit's rows, with an idle lane only at the end, or where three rows of less
// than a vector would meet.
template <class T>
int64_t list_stretches(const Flat& f, int64_t outputs, const Unit& unit, Stretch* to) {
  constexpr int V = lanes<T>;
  const int64_t width = f.wide.out, left = f.high.out - unit.first, rows = left < unit.rows ? left : unit.rows;
  const int64_t all = unit.pictures * rows, plane = f.high.out * width;
  const auto from = [&](int64_t row) { return (row / rows * f.picture_pitch + row % rows) * f.pitch; };
  const auto belongs = [&](int64_t row) { return row / rows * outputs * plane + (unit.first + row % rows) * width; };
  int64_t count = 0, column = 0;
  for (int64_t row = 0; row < all;) {
    const int here = static_cast<int>(width - column < V ? width - column : V);
    Stretch s{{from(row) + column, 0}, {belongs(row) + column, 0}, here, here};
    s.from[1] = s.from[0], s.to[1] = s.to[0];
    column += here;
    if (column == width) ++row, column = 0;
    if (here < V && row < all) {
      column = width < V - here ? width : V - here;
      s.from[1] = from(row) - here, s.to[1] = belongs(row) - here;
      s.end += static_cast<int>(column);
      if (column == width) ++row, column = 0;
    }
    if (s.from[0] == s.from[1] && s.to[0] == s.to[1]) s.first = s.end;  // nothing is between the rows
    to[count++] = s;
  }
  return count;
}

// OUTPUTS channels of the result at N stretches; `two`: some of them are of two rows.
template <class T, int N, bool two>
void convolve_stretches(const Stretch* stretches, const arithmetic<T>* tile, const int64_t* offsets, int64_t taps,
                        const arithmetic<T>* weights, const arithmetic<T>* start, T* to, int64_t plane, int outputs) {
  using V = vec<T>;
  V sums[OUTPUTS][N];
  UNROLLED(o, OUTPUTS)
    UNROLLED(i, N) sums[o][i] = broadcast<V>(start[o]);
  const arithmetic<T>* from[2][N];
  Later later[N];
  UNROLLED(i, N) {
    from[0][i] = tile + stretches[i].from[0], from[1][i] = tile + stretches[i].from[1];
    later[i] = lanes_from(stretches[i].first);
  }
  for (int64_t t = 0; t < taps; ++t, weights += OUTPUTS) {
    V x[N];
    UNROLLED(i, N) {
      x[i] = load(from[0][i] + offsets[t]);
      if constexpr (two) x[i] = load_later(x[i], later[i], from[1][i] + offsets[t]);
    }
    UNROLLED(o, OUTPUTS) {
      const V weight = broadcast<V>(weights[o]);
      UNROLLED(i, N) sums[o][i] = fma(x[i], weight, sums[o][i]);
    }
  }
  UNROLLED(i, N) {
    const Stretch& s = stretches[i];
    const bool whole = s.end == lanes<T> && s.to[0] == s.to[1];
    UNROLLED(o, OUTPUTS) {
      if (o >= outputs) break;
      if (whole) {
        store(to + s.to[0] + o * plane, sums[o][i]);
      } else {
        store_between(to + s.to[0] + o * plane, sums[o][i], 0, s.first);
        store_between(to + s.to[1] + o * plane, sums[o][i], s.first, s.end);
      }
    }
  }
}

// What the next unit reads is fetched while this one is computed: the caches have lost it to the result, and the few
// sums that are made of each number do not hide the way from memory.
template <class T>
class Ahead {
  static constexpr int64_t LINE = 64 / sizeof(T);

 public:
  // In so many steps.
  Ahead(const Flat& f, const T* x, const Unit& unit, int64_t steps) : planes_(unit.pictures * f.x.channels) {
    const int64_t first = unit.first * f.x.row_stride - f.x.row_before, begin = first > 0 ? first : 0;
    const int64_t end = first + (unit.rows + f.high.reach()) * f.x.row_stride, last = end < f.x.rows ? end : f.x.rows;
    plane_ = f.x.rows * f.x.columns;
    length_ = (last - begin) * f.x.columns;
    at_ = x + unit.picture * f.x.channels * plane_ + begin * f.x.columns;
    each_ = (planes_ * length_ / LINE + steps - 1) / steps;
  }
  Ahead() = default;

  STRIATE_INLINE void step() {
    for (int64_t i = 0; i < each_ && planes_ > 0; ++i) {
      __builtin_prefetch(at_ + done_, 0, 2);
      done_ += LINE;
      if (done_ < length_) continue;
      done_ = 0;
      at_ += plane_;
      --planes_;
    }
  }

 private:
  int64_t planes_ = 0, plane_ = 0, length_ = 0, each_ = 0, done_ = 0;
  const T* at_ = nullptr;
};

template <class T>
void convolve_unit(const Stretch* stretches, int64_t count, const arithmetic<T>* tile, const Flat& f,
                   int64_t outputs, const arithmetic<T>* weights, const arithmetic<T>* start, Ahead<T> ahead, T* to) {
  const int64_t taps = f.taps_each(), plane = f.high.out * f.wide.out;
  for (int64_t o = 0; o < outputs; o += OUTPUTS, weights += OUTPUTS * taps) {
    const int here = static_cast<int>(outputs - o < OUTPUTS ? outputs - o : OUTPUTS);
    const auto run = [&](auto n, int64_t at) {
      ahead.step();
      const Stretch* now = stretches + at;
      bool two = false;
      for (int i = 0; i < n.value; ++i) two = two || now[i].first < now[i].end;
      const auto convolve = two ? convolve_stretches<T, n.value, true> : convolve_stretches<T, n.value, false>;
      convolve(now, tile, f.taps, taps, weights, start + o, to + o * plane, plane, here);
    };
    int64_t at = 0;
    for (; at + COLUMNS <= count; at += COLUMNS) run(std::integral_constant<int, COLUMNS>{}, at);
    if (count - at == 2) run(std::integral_constant<int, 2>{}, at);
    if (count - at == 1) run(std::integral_constant<int, 1>{}, at);
  }
}

template <class T>
void first_layer(const Flat& f, int64_t outputs, const T* x, const T* weight, const T* bias, T* y) {
  using A = arithmetic<T>;
  const int64_t taps = f.taps_each(), room = (outputs + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
  const Workspace<A> weights(room * taps), start(room);
  pack_outputs(outputs, taps, weight, bias, weights.data(), start.data());
  const int64_t shares = share_of(f.units, 1), plane = f.high.out * f.wide.out;
  for_pieces(shares, [&](int64_t share) {
    FlatTile<A> tile(f, f.x);
    const Workspace<Stretch> stretches(f.x.length / lanes<T> + f.x.length / f.pitch);
    for (int64_t u = share * f.units / shares; u < (share + 1) * f.units / shares; ++u) {
      const Unit unit = f.unit(u);
      const int64_t count = list_stretches<T>(f, outputs, unit, stretches.data());
      A* from = tile.data(unit);
      pack(f, f.x, x, 0, unit, 0, unit.rows + (f.strips > 1 ? f.high.reach() : 0), from);
      const int64_t steps = room / OUTPUTS * ((count + COLUMNS - 1) / COLUMNS);
      const Ahead<T> ahead = u + 1 < f.units && count ? Ahead<T>(f, x, f.unit(u + 1), steps) : Ahead<T>();
      convolve_unit(stretches.data(), count, from, f, outputs, weights.data(), start.data(), ahead, y + unit.picture * outputs * plane);
    }
  });
}
