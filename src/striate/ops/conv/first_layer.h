// Convolution of few channels to many, channel by channel: lanes are neighbours in a tile's rows; see _flat.h.
//
// Every block of output channels reads the tile, which lies in the second-level cache, and its own weights, which lie
// in the first. Sums stay in registers until they are whole, and then go to the result at once.
#include "conv/flat_rows.h"

constexpr int OUTPUTS = REGISTERS == 32 ? 8 : 4;  // channels whose sums are kept in registers together
constexpr int COLUMNS = 3;                        // vectors of each

// Where a vector's positions are in a tile and in a channel of the result: the end of one row and the beginning of
// the next, or one of them.
struct Stretch {
  int64_t from;
  struct Part {
    int64_t to;
    int begin, end;  // lanes; the number of lane 0 would be at `to`
  } parts[2];
};

#if defined(STRIATE_AVX512)
STRIATE_INLINE void store_between(float* to, floats value, int begin, int end) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << end) - (1u << begin)), value);
}
#endif
template <class T>
STRIATE_INLINE void store_between(T* to, vec<T> value, int begin, int end) {
  for (int i = begin; i < end; ++i) store_one(to + i, value[i]);
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

// The stretches of a unit, which hold all positions of the result's rows. A row begins a vector, unless rows that follow
// each other, with what is between them, take fewer vectors.
template <class T>
int64_t list_stretches(const Flat& f, int64_t outputs, const Unit& unit, Stretch* to) {
  constexpr int V = lanes<T>;
  const int64_t left = f.high.out - unit.first;
  int64_t width = f.wide.out, pitch = f.pitch, rows = left < unit.rows ? left : unit.rows, between = f.picture_pitch;
  if (rows < 1) return 0;
  if (width == pitch) {  // nothing is between the rows: they are one
    width *= rows, pitch *= between;
    rows = between = 1;
  }
  const int64_t all = (unit.pictures - 1) * between + rows, extent = (all - 1) * pitch + width;
  const bool by_rows = pitch < V || unit.pictures * rows * ((width + V - 1) / V) <= (extent + V - 1) / V;
  // Where a row of the tile belongs, or -1.
  const auto row_at = [&](int64_t row) {
    const int64_t picture = row / between, in_picture = row % between;
    return in_picture < rows && row < all
               ? picture * outputs * f.high.out * f.wide.out + unit.first * f.wide.out + in_picture * width
               : int64_t{-1};
  };
  int64_t count = 0;
  const auto part = [&](int64_t row, int64_t column) -> Stretch::Part {  // lane 0 is in this column, perhaps before the first
    const int64_t at = row_at(row), end = width - column < V ? width - column : V;
    return at < 0 || end <= 0 || column <= -V ? Stretch::Part{0, 0, 0}
                                : Stretch::Part{at + column, static_cast<int>(column < 0 ? -column : 0), static_cast<int>(end)};
  };
  if (by_rows) {
    for (int64_t row = 0; row < all; ++row)
      for (int64_t i = 0; i < width && row_at(row) >= 0; i += V) to[count++] = {row * pitch + i, {part(row, i), {0, 0, 0}}};
    return count;
  }
  for (int64_t at = 0; at < extent; at += V) {
    const int64_t row = at / pitch, column = at % pitch;
    const Stretch s{at, {part(row, column), part(row + 1, column - pitch)}};
    if (s.parts[0].end || s.parts[1].end) to[count++] = s;
  }
  return count;
}

// OUTPUTS channels of the result at N stretches.
template <class T, int N>
void convolve_stretches(const Stretch* stretches, const arithmetic<T>* tile, const int64_t* offsets, int64_t taps,
                        const arithmetic<T>* weights, const arithmetic<T>* start, T* to, int64_t plane, int outputs) {
  using V = vec<T>;
  V sums[OUTPUTS][N];
  UNROLLED(o, OUTPUTS)
    UNROLLED(i, N) sums[o][i] = broadcast<V>(start[o]);
  const arithmetic<T>* from[N];
  UNROLLED(i, N) from[i] = tile + stretches[i].from;
  for (int64_t t = 0; t < taps; ++t, weights += OUTPUTS) {
    V x[N];
    UNROLLED(i, N) x[i] = load(from[i] + offsets[t]);
    UNROLLED(o, OUTPUTS) {
      const V weight = broadcast<V>(weights[o]);
      UNROLLED(i, N) sums[o][i] = fma(x[i], weight, sums[o][i]);
    }
  }
  UNROLLED(i, N) {
    const auto& [first, second] = stretches[i].parts;
    if (first.end - first.begin == lanes<T>) {
      UNROLLED(o, OUTPUTS)
        if (o < outputs) store(to + first.to + o * plane, sums[o][i]);
    } else {
      UNROLLED(o, OUTPUTS)
        if (o < outputs) {
          store_between(to + first.to + o * plane, sums[o][i], first.begin, first.end);
          if (second.end) store_between(to + second.to + o * plane, sums[o][i], second.begin, second.end);
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
      convolve_stretches<T, n.value>(stretches + at, tile, f.taps, taps, weights, start + o, to + o * plane, plane, here);
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
