// Convolution with few channels in a group, its transpose and its gradients: lanes are positions of a tile.
#include "conv/flat_rows.h"

constexpr int TARGETS = 4;                      // whose sums are kept in registers together
constexpr int PRODUCTS = REGISTERS == 32 ? 6 : 3;  // taps whose gradients are, for as many targets
constexpr int64_t STRETCH = 48;                 // vectors of positions that the first-level cache keeps

// Vectors of each of so many targets that fit the registers.
constexpr int columns_of(int targets) {
  if (REGISTERS == 32) return targets < 3 ? 8 : targets == 3 ? 7 : 6;
  return targets == 1 ? 6 : targets == 2 ? 4 : 3;
}

STRIATE_INLINE int64_t begin_of(int64_t count, int64_t most, int64_t block) {  // blocks as equal as can be
  const int64_t blocks = (count + most - 1) / most;
  return count * block / blocks;
}

// to[targets[o]] = start[o] + Σ weights[t][o] · from[taps[t]], for N targets and COLUMNS vectors.
template <class A, int N, int COLUMNS>
void sum_taps(const A* from, const int64_t* taps, int64_t count, const A* weights, const A* start, A* to,
              const int64_t* targets) {
  constexpr int V = lanes<A>;
  vec<A> sums[N][COLUMNS];
  UNROLLED(o, N)
    UNROLLED(i, COLUMNS) sums[o][i] = broadcast<vec<A>>(start ? start[o] : A{0});
  for (int64_t t = 0; t < count; ++t, weights += N) {
    const A* x = from + taps[t];
    vec<A> columns[COLUMNS];
    UNROLLED(i, COLUMNS) columns[i] = load(x + i * V);
    UNROLLED(o, N) {
      const vec<A> weight = broadcast<vec<A>>(weights[o]);
      UNROLLED(i, COLUMNS) sums[o][i] = fma(columns[i], weight, sums[o][i]);
    }
  }
  UNROLLED(o, N)
    UNROLLED(i, COLUMNS) store(to + targets[o] + i * V, sums[o][i]);
}

template <class A, int N, int COLUMNS = columns_of(N)>
STRIATE_INLINE void sum_columns(int64_t columns, const A* from, const int64_t* taps, int64_t count, const A* weights,
                                const A* start, A* to, const int64_t* targets) {
  if (columns == COLUMNS)
    sum_taps<A, N, COLUMNS>(from, taps, count, weights, start, to, targets);
  else if constexpr (COLUMNS > 1)
    sum_columns<A, N, COLUMNS - 1>(columns, from, taps, count, weights, start, to, targets);
}

template <class A, int N = TARGETS>
void sum_stretch(int64_t targets_now, int64_t vectors, const A* from, const int64_t* taps, int64_t count,
                 const A* weights, const A* start, A* to, const int64_t* targets) {
  if (targets_now == N) {
    const int64_t blocks = (vectors + columns_of(N) - 1) / columns_of(N);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t at = vectors * b / blocks, end = vectors * (b + 1) / blocks;
      sum_columns<A, N>(end - at, from + at * lanes<A>, taps, count, weights, start, to + at * lanes<A>, targets);
    }
  } else if constexpr (N > 1) {
    sum_stretch<A, N - 1>(targets_now, vectors, from, taps, count, weights, start, to, targets);
  }
}

// All targets at `positions` positions; weights as pack_weights gives them.
template <class A>
void sum_targets(int64_t positions, const A* from, const int64_t* taps, int64_t count, const A* weights, const A* start,
                 A* to, const int64_t* targets, int64_t target_count) {
  const int64_t vectors = (positions + lanes<A> - 1) / lanes<A>;
  const int64_t blocks = (target_count + TARGETS - 1) / TARGETS, stretches = (vectors + STRETCH - 1) / STRETCH;
  for (int64_t s = 0; s < stretches; ++s) {
    const int64_t at = vectors * s / stretches, end = vectors * (s + 1) / stretches;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t first = begin_of(target_count, TARGETS, b), next = begin_of(target_count, TARGETS, b + 1);
      sum_stretch<A>(next - first, end - at, from + at * lanes<A>, taps, count, weights + first * count,
                     start ? start + first : nullptr, to + at * lanes<A>, targets + first);
    }
  }
}

// Weights [tap][target] given by weight(tap, target) as blocks of [tap][target].
template <class A, class Weight>
void pack_weights(int64_t taps, int64_t targets, A* to, const Weight& weight) {
  const int64_t blocks = (targets + TARGETS - 1) / TARGETS;
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t o = begin_of(targets, TARGETS, b); o < begin_of(targets, TARGETS, b + 1); ++o)
        *to++ = weight(t, o);
}

// sums[o][t] += Σ y[o] · x[taps[t]] over `vectors` of positions, for N channels of y and M taps.
template <class A, int N, int M>
void sum_products(const A* y, int64_t y_step, const A* x, const int64_t* taps, int64_t vectors, A* result,
                  int64_t result_step) {
  constexpr int V = lanes<A>;
  vec<A> total[N * M];
  UNROLLED(i, N * M) total[i] = vec<A>{};
  const A* columns[M];
  UNROLLED(t, M) columns[t] = x + taps[t];
  for (int64_t i = 0; i < vectors * V; i += V) {
    vec<A> gradient[N];
    UNROLLED(o, N) gradient[o] = load(y + o * y_step + i);
    UNROLLED(t, M) {
      const vec<A> column = load(columns[t] + i);
      UNROLLED(o, N) total[o * M + t] = fma(gradient[o], column, total[o * M + t]);
    }
  }
  A found[N * M];
  sums(total, N * M, found);
  UNROLLED(o, N)
    UNROLLED(t, M) result[o * result_step + t] += found[o * M + t];
}

template <class A, int N = TARGETS, int M = PRODUCTS>
void sum_products_of(int64_t channels, int64_t taps_now, const A* y, int64_t y_step, const A* x, const int64_t* taps,
                     int64_t vectors, A* result, int64_t result_step) {
  if (channels == N && taps_now == M) {
    sum_products<A, N, M>(y, y_step, x, taps, vectors, result, result_step);
  } else if (channels == N) {
    if constexpr (M > 1)
      sum_products_of<A, N, M - 1>(channels, taps_now, y, y_step, x, taps, vectors, result, result_step);
  } else if constexpr (N > 1) {
    sum_products_of<A, N - 1, M>(channels, taps_now, y, y_step, x, taps, vectors, result, result_step);
  }
}

// result[k][t] += Σ y[k] · x[taps[t]] over `positions`, all channels of y and all taps. What follows the
// positions of y are zeros, up to whole vectors.
template <class A>
void sum_all_products(int64_t positions, const A* y, int64_t y_step, int64_t channels, const A* x, const int64_t* taps,
                      int64_t count, A* result) {
  const int64_t vectors = (positions + lanes<A> - 1) / lanes<A>, stretches = (vectors + STRETCH - 1) / STRETCH;
  const int64_t rows = (channels + TARGETS - 1) / TARGETS, columns = (count + PRODUCTS - 1) / PRODUCTS;
  for (int64_t s = 0; s < stretches; ++s) {
    const int64_t at = vectors * s / stretches, end = vectors * (s + 1) / stretches;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) {
        const int64_t k = begin_of(channels, TARGETS, r), t = begin_of(count, PRODUCTS, c);
        sum_products_of<A>(begin_of(channels, TARGETS, r + 1) - k, begin_of(count, PRODUCTS, c + 1) - t,
                           y + k * y_step + at * lanes<A>, y_step, x + at * lanes<A>, taps + t, end - at,
                           result + k * count + t, count);
      }
  }
}

template <class A>
A sum_of(const A* from, int64_t positions) {  // zeros follow
  vec<A> total{};
  for (int64_t i = 0; i < positions; i += lanes<A>) total += load(from + i);
  return sum(total);
}

STRIATE_INLINE int64_t groups_of(const Flat& f, int64_t block) {
  const int64_t left = f.groups - block * f.together;
  return left < f.together ? left : f.together;
}

// Positions from the first output of a unit to the last one.
STRIATE_INLINE int64_t extent_of(const Flat& f, const Unit& unit) {
  const int64_t left = f.high.out - unit.first, rows = left < unit.rows ? left : unit.rows;
  return rows < 1 ? 0 : ((unit.pictures - 1) * f.picture_pitch + rows - 1) * f.pitch + f.wide.out;
}

template <class T>
void flat_conv(const Flat& f, const T* x, const T* weight, const T* bias, T* y) {
  using A = arithmetic<T>;
  const int64_t count = f.taps_each(), channels = f.groups * f.y.channels;
  const Workspace<A> packed(channels * count), start(channels);
  const Workspace<int64_t> targets(f.y.channels);
  for (int64_t k = 0; k < channels; ++k) start[k] = bias ? load_one(bias + k) : 0;
  for (int64_t k = 0; k < f.y.channels; ++k) targets[k] = k * f.y.length;
  for (int64_t g = 0; g < f.groups; ++g) {
    const T* from = weight + g * f.y.channels * count;
    pack_weights(count, f.y.channels, packed.data() + g * f.y.channels * count,
                 [&](int64_t t, int64_t k) { return load_one(from + k * count + t); });
  }
  const int64_t shares = share_of(f.units, f.blocks());
  for_pieces(f.blocks() * shares, [&](int64_t piece) {
    const int64_t block = piece / shares, share = piece % shares;
    FlatTile<A> x_tile(f, f.x), y_tile(f, f.y);
    for (int64_t u = share * f.units / shares; u < (share + 1) * f.units / shares; ++u) {
      const Unit unit = f.unit(u);
      const int64_t extent = extent_of(f, unit);
      if (!extent) continue;
      A *from = x_tile.data(unit), *to = y_tile.data(unit) + f.y.start;
      pack(f, f.x, x, block, unit, 0, unit.rows + (f.strips > 1 ? f.high.reach() : 0), from);
      for (int64_t g = 0; g < groups_of(f, block); ++g) {
        const int64_t first = (block * f.together + g) * f.y.channels;
        sum_targets<A>(extent, from + g * f.x.planes() * f.x.length, f.taps, count, packed.data() + first * count,
                       start.data() + first, to + g * f.y.channels * f.y.length, targets.data(), f.y.channels);
      }
      unpack(f, f.y, y_tile.data(unit), block, unit, y);
    }
  });
}

// Weights for the transpose: for each group the phases one after the other.
template <class T>
void pack_transposed(const Flat& f, const T* weight, arithmetic<T>* to) {
  const int64_t size = f.y.channels * f.taps_each();
  for (int64_t g = 0; g < f.groups; ++g)
    for (int64_t p = 0; p < f.phase_count; ++p) {
      const Phases& phases = f.phases[p];
      const int64_t* at = f.phase_weights + phases.first_weight;
      pack_weights(phases.taps, phases.targets, to + g * size + phases.first_weight,
                   [&](int64_t t, int64_t o) { return load_one(weight + g * size + at[t * phases.targets + o]); });
    }
}

// The transpose of one unit: from a tile shaped like the output to one shaped like the input.
template <class A>
void transpose_unit(const Flat& f, const Unit& unit, int64_t block, const A* from, const A* packed, const A* start, A* to) {
  const int64_t extent = ((unit.pictures - 1) * f.picture_pitch + unit.rows) * f.pitch;
  const int64_t size = f.y.channels * f.taps_each();
  for (int64_t g = 0; g < groups_of(f, block); ++g)
    for (int64_t p = 0; p < f.phase_count; ++p) {
      const Phases& phases = f.phases[p];
      const int64_t number = block * f.together + g;
      sum_targets<A>(extent, from + g * f.y.planes() * f.y.length + f.y.start, f.phase_taps + phases.first_tap,
                     phases.taps, packed + number * size + phases.first_weight,
                     start ? start + (number * f.x.planes() + phases.first_target) : nullptr,
                     to + g * f.x.planes() * f.x.length, f.phase_targets + phases.first_target, phases.targets);
    }
}

template <class T>
void flat_transpose(const Flat& f, const T* y, const T* weight, const T* bias, T* x) {
  using A = arithmetic<T>;
  const int64_t targets = f.x.planes();
  const Workspace<A> packed(f.groups * f.y.channels * f.taps_each()), start(f.groups * targets);
  pack_transposed(f, weight, packed.data());
  for (int64_t i = 0; i < f.groups * targets; ++i)
    start[i] = bias ? load_one(bias + i / targets * f.x.channels + f.phase_targets[i % targets] / f.x.length / (targets / f.x.channels)) : 0;
  const int64_t shares = share_of(f.units, f.blocks());
  for_pieces(f.blocks() * shares, [&](int64_t piece) {
    const int64_t block = piece / shares, share = piece % shares;
    FlatTile<A> x_tile(f, f.x), y_tile(f, f.y);
    for (int64_t u = share * f.units / shares; u < (share + 1) * f.units / shares; ++u) {
      const Unit unit = f.unit(u);
      A *from = y_tile.data(unit), *to = x_tile.data(unit);
      pack(f, f.y, y, block, unit, f.strips > 1 ? -f.high.reach() : 0, unit.rows, from);
      transpose_unit(f, unit, block, from, packed.data(), start.data(), to);
      unpack(f, f.x, to, block, unit, x);
    }
  });
}

// Those of dx, dweight and dbias that are not null.
template <class T>
void flat_backward(const Flat& f, const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias) {
  using A = arithmetic<T>;
  const int64_t count = f.taps_each(), size = f.y.channels * count, outputs = f.together * f.y.channels;
  const Workspace<A> packed(dx ? f.groups * size : 0);
  if (dx) pack_transposed(f, weight, packed.data());
  const int64_t shares = share_of(f.units, f.blocks()), length = f.together * size + outputs;
  const Workspace<A> partials(f.blocks() * shares * length);
  for_pieces(f.blocks() * shares, [&](int64_t piece) {
    const int64_t block = piece / shares, share = piece % shares;
    A* result = partials.data() + piece * length;
    std::memset(result, 0, static_cast<size_t>(length) * sizeof *result);
    FlatTile<A> x_tile(f, f.x), y_tile(f, f.y), dx_tile(f, f.x);
    for (int64_t u = share * f.units / shares; u < (share + 1) * f.units / shares; ++u) {
      const Unit unit = f.unit(u);
      A* gradient = y_tile.data(unit);
      pack(f, f.y, dy, block, unit, dx && f.strips > 1 ? -f.high.reach() : 0, unit.rows, gradient);
      if (dx) {
        A* to = dx_tile.data(unit);
        transpose_unit<A>(f, unit, block, gradient, packed.data(), nullptr, to);
        unpack(f, f.x, to, block, unit, dx);
      }
      const int64_t extent = extent_of(f, unit);
      if (dweight && extent) {
        A* from = x_tile.data(unit);
        pack(f, f.x, x, block, unit, 0, unit.rows + (f.strips > 1 ? f.high.reach() : 0), from);
        for (int64_t g = 0; g < groups_of(f, block); ++g)
          sum_all_products<A>(extent, gradient + g * f.y.channels * f.y.length + f.y.start, f.y.length, f.y.channels,
                              from + g * f.x.planes() * f.x.length, f.taps, count, result + g * size);
      }
      if (dbias && extent)
        for (int64_t k = 0; k < groups_of(f, block) * f.y.channels; ++k)
          result[f.together * size + k] += sum_of(gradient + k * f.y.length + f.y.start, extent);
    }
  });
  const auto add = [&](int64_t block, int64_t i) {
    A sum = 0;
    for (int64_t share = 0; share < shares; ++share) sum += partials[(block * shares + share) * length + i];
    return sum;
  };
  for (int64_t block = 0; block < f.blocks(); ++block) {
    const int64_t here = groups_of(f, block), first = block * f.together;
    if (dweight)
      for (int64_t i = 0; i < here * size; ++i) store_one(dweight + first * size + i, add(block, i));
    if (dbias)
      for (int64_t k = 0; k < here * f.y.channels; ++k)
        store_one(dbias + first * f.y.channels + k, add(block, f.together * size + k));
  }
}
