// Depthwise convolution and its gradients where columns lie side by side, for small kernels: lanes are neighbouring
// columns. A channel of a picture, the Source, is read in place or from a frame of zeros that it is copied into. A band is a
// few rows of targets that share what is loaded.

#include "conv/depthwise_frame.h"
#include "conv/depthwise_in_place.h"

// Calls body with each tap of a row, as part of its type.
template <int W, class Body>
STRIATE_INLINE void for_taps(const Body& body) {
  [&]<int... t>(std::integer_sequence<int, t...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, t>{}), ...);
  }(std::make_integer_sequence<int, W>{});
}

constexpr int BAND = 4, DOT_BAND = REGISTERS == 32 ? 4 : 2;

// Rows of targets: to[r][x] = start + Σ over u, t of source[r·STEP + u][x·STEP + t] · weights[u][t], R of them at once, the
// last ones overlapping. Targets' rows lie `apart` numbers from each other.
template <class T, int H, int W, int STEP, int R, class Source, class To>
void add_rows(const Source& source, int64_t plane, const arithmetic<T>* weights, arithmetic<T> start, To* to, int64_t apart,
              int64_t rows, int64_t columns, Ahead& ahead) {
  constexpr int V = lanes<T>, SOURCES = (R - 1) * STEP + H;
  vec<T> weight[H][W];
  UNROLLED(u, H)
    UNROLLED(t, W) weight[u][t] = broadcast<vec<T>>(weights[u * W + t]);
  for (int64_t band = 0; band < rows; band += R) {
    const int64_t begin = band + R <= rows ? band : rows - R;
    const auto line = source.rows(plane, begin * STEP);
    ahead.turn();
    for (int64_t x = 0; x < columns; x += V) {
      typename Source::Columns from(source, x, V);
      vec<T> sum[R];
      UNROLLED(r, R) sum[r] = broadcast<vec<T>>(start);
      UNROLLED(row, SOURCES)
        for_taps<W>([&](auto t) __attribute__((always_inline)) {
          vec<T> value = from.template read<t>(line[row]);
          keep(value);
          UNROLLED(r, R)
            if (row - r * STEP >= 0 && row - r * STEP < H) sum[r] = fma(value, weight[row - r * STEP][t], sum[r]);
        });
      const int here = static_cast<int>(columns - x < V ? columns - x : V);
      UNROLLED(r, R) store_some(to + (begin + r) * apart + x, sum[r], here);
    }
  }
}

// R rows of COLUMNS registers of targets from (plane, row, x) on, `last` numbers of the last one, with `depth` planes of
// weights: more weights than registers, each for all columns.
template <class T, int H, int W, int R, int COLUMNS, class Source, class To>
STRIATE_INLINE void sum_block(const Source& source, int64_t plane, int64_t row, int64_t x, const arithmetic<T>* weights,
                              int64_t depth, arithmetic<T> start, To* to, int64_t apart, int last) {
  using A = arithmetic<T>;
  using Columns = typename Source::Columns;
  constexpr int V = lanes<T>;
  constexpr bool FEW = REGISTERS == 32 && H * W <= 9;  // weights stay in registers
  Columns from[2] = {Columns(source, x, V), Columns(source, COLUMNS > 1 ? x + V : x, V)};
  vec<T> sum[R][COLUMNS];
  UNROLLED(r, R)
    UNROLLED(c, COLUMNS) sum[r][c] = broadcast<vec<T>>(start);
  for (int64_t k = 0; k < depth; ++k, weights += H * W) {
    vec<T> weight[H][W];
    if constexpr (FEW) UNROLLED(u, H) UNROLLED(t, W) weight[u][t] = broadcast<vec<T>>(weights[u * W + t]);
    const auto line = source.rows(plane + k, row);
    UNROLLED(i, R - 1 + H) {
      const A* some = weights;
#if defined(__x86_64__)
      if constexpr (!FEW) asm("" : "+r"(some));  // compilers would keep all of them somewhere
#endif
      for_taps<W>([&](auto t) __attribute__((always_inline)) {
        vec<T> value[COLUMNS];
        UNROLLED(c, COLUMNS) {
          value[c] = from[c].template read<t>(line[i]);
          keep(value[c]);
        }
        UNROLLED(r, R)
          if (i - r >= 0 && i - r < H) {
            const vec<T> by = FEW ? weight[i - r][t] : broadcast<vec<T>>(some[(i - r) * W + t]);
            UNROLLED(c, COLUMNS) sum[r][c] = fma(value[c], by, sum[r][c]);
          }
      });
    }
  }
  UNROLLED(r, R)
    UNROLLED(c, COLUMNS) store_some(to + r * apart + c * V, sum[r][c], c + 1 < COLUMNS ? V : last);
}

// As add_rows, with several planes of weights or many.
template <class T, int H, int W, int R, class Source, class To>
void add_many(const Source& source, int64_t plane, const arithmetic<T>* weights, int64_t depth, arithmetic<T> start, To* to,
              int64_t apart, int64_t rows, int64_t columns, Ahead& ahead) {
  constexpr int V = lanes<T>;
  for (int64_t band = 0; band < rows; band += R) {
    const int64_t begin = band + R <= rows ? band : rows - R;
    ahead.turn();
    for (int64_t x = 0; x < columns; x += 2 * V) {
      const int left = static_cast<int>(columns - x < 2 * V ? columns - x : 2 * V);
      To* target = to + begin * apart + x;
      if (left > V)
        sum_block<T, H, W, R, 2>(source, plane, begin, x, weights, depth, start, target, apart, left - V);
      else
        sum_block<T, H, W, R, 1>(source, plane, begin, x, weights, depth, start, target, apart, left);
    }
  }
}

// gradients[u][t] += Σ over r, x of gradient[r][x] · source[first + r·STEP + u][x·STEP + t], a register of sums each, for
// some times R rows, which lie `apart` numbers from each other; total += the gradient.
template <class T, int H, int W, int STEP, int R, class Source, class From>
void dot_rows(const Source& source, int64_t plane, int64_t first, const From* gradient, int64_t apart, int64_t rows,
              int64_t columns, arithmetic<T>* gradients, arithmetic<T>* total, Ahead& ahead) {
  constexpr int V = lanes<T>, SOURCES = (R - 1) * STEP + H;
  vec<T> sum[H][W], all = load(total);
  UNROLLED(u, H)
    UNROLLED(t, W) sum[u][t] = load(gradients + (u * W + t) * V);
  const auto add = [&](int64_t band, int64_t x, int here) __attribute__((always_inline)) {
    typename Source::Columns from(source, x, here);
    vec<T> g[R];
    UNROLLED(r, R) {
      g[r] = load_some(gradient + (band + r) * apart + x, here);
      all += g[r];
    }
    const auto line = source.rows(plane, first + band * STEP);
    UNROLLED(row, SOURCES)
      for_taps<W>([&](auto t) __attribute__((always_inline)) {
        vec<T> value = from.template read<t>(line[row]);
        keep(value);
        UNROLLED(r, R)
          if (row - r * STEP >= 0 && row - r * STEP < H) sum[row - r * STEP][t] = fma(value, g[r], sum[row - r * STEP][t]);
      });
  };
  for (int64_t band = 0; band < rows; band += R) {
    ahead.turn();
    int64_t x = 0;
    for (; x + V <= columns; x += V) add(band, x, V);
    if (x < columns) add(band, x, static_cast<int>(columns - x));  // what lies behind may be infinite
  }
  store(total, all);
  UNROLLED(u, H)
    UNROLLED(t, W) store(gradients + (u * W + t) * V, sum[u][t]);
}

// A channel of a picture ---------------------------------------------------------------------------------------

// The targets' planes and rows, `apart` numbers from each other, with weights [plane][row][column] of `depth` planes.
template <class T, int H, int W, int STEP, class Source, class To>
void correlate_picture(const Source& source, const arithmetic<T>* weights, int64_t depth, arithmetic<T> start,
                       const int64_t (&target)[3], To* to, int64_t apart, Ahead ahead) {
  constexpr bool MANY = H * W > 16, DEEP = H == 3 && W == 3;  // see fits_rows()
  const int64_t rows = target[1], columns = target[2];
  const auto add = [&](auto together, int64_t plane) __attribute__((always_inline)) {
    constexpr int R = decltype(together)::value;
    if constexpr (STEP == 1 && (MANY || DEEP))
      if (MANY || depth > 1)
        return add_many<T, H, W, R>(source, plane, weights, depth, start, to, apart, rows, columns, ahead);
    if constexpr (!MANY) add_rows<T, H, W, STEP, R>(source, plane, weights, start, to, apart, rows, columns, ahead);
  };
  for (int64_t plane = 0; plane < target[0]; ++plane, to += rows * apart)
    if (H > 1 || rows >= BAND)
      add(std::integral_constant<int, BAND>{}, plane);
    else if constexpr (H == 1)
      add(std::integral_constant<int, 1>{}, plane);
}

// Some times R rows of gradients by as many rows of taps at once as there are registers for; see dot_rows.
template <class T, int H, int W, int STEP, int R, int FIRST = 0, class Source, class From>
void dot_some(const Source& source, int64_t plane, int64_t row, const From* gradient, int64_t apart, int64_t rows,
              int64_t columns, arithmetic<T>* sums, arithmetic<T>* total, arithmetic<T>* ignored, Ahead& ahead) {
  constexpr int MOST = (REGISTERS == 32 ? 21 : 9) / W, HERE = H - FIRST < MOST ? H - FIRST : MOST;
  dot_rows<T, HERE, W, STEP, R>(source, plane, row + FIRST, gradient, apart, rows, columns, sums + FIRST * W * lanes<T>,
                                FIRST ? ignored : total, ahead);
  if constexpr (FIRST + HERE < H)
    dot_some<T, H, W, STEP, R, FIRST + HERE>(source, plane, row, gradient, apart, rows, columns, sums, total, ignored, ahead);
}

// sums[tap] += the weights' gradient, a register each; the last register is the bias's.
template <class T, int H, int W, int STEP, class Source, class From>
void dot_picture(const Source& source, const From* gradient, int64_t apart, int64_t depth, const int64_t (&out)[3],
                 arithmetic<T>* sums, arithmetic<T>* ignored, Ahead ahead) {
  constexpr int V = lanes<T>;
  const int64_t bands = out[1] / DOT_BAND * DOT_BAND, rest = out[1] - bands;
  for (int64_t plane = 0; plane < out[0]; ++plane, gradient += out[1] * apart)
    for (int64_t k = 0; k < depth; ++k) {
      arithmetic<T>*sum = sums + k * H * W * V, *total = k ? ignored : sums + depth * H * W * V;
      dot_some<T, H, W, STEP, DOT_BAND>(source, plane + k, 0, gradient, apart, bands, out[2], sum, total, ignored, ahead);
      if (rest)
        dot_some<T, H, W, STEP, 1>(source, plane + k, bands * STEP, gradient + bands * apart, apart, rest, out[2], sum,
                                   total, ignored, ahead);
    }
}

// The transpose with a stride of two: target 2j + q - before, along each dimension, has every second tap from q on, of
// sources j, j - 1, …. SHIFTED is an odd number of columns before: the first target has q = 1.
template <class T, int K, bool SHIFTED, class Source>
void spread_rows(const Source& source, const arithmetic<T>* weights, arithmetic<T> start, const Windows& d, T* to, Ahead ahead) {
  constexpr int V = lanes<T>;
  using all = std::make_integer_sequence<int, V>;
  const int64_t rows = d.axis[1].in, columns = d.axis[2].in, top = d.axis[1].before;
  vec<T> weight[K][K];
  UNROLLED(u, K)
    UNROLLED(t, K) weight[u][t] = broadcast<vec<T>>(weights[u * K + t]);
  for (int64_t j = top / 2; 2 * j < top + rows; ++j) {
    ahead.turn();
    const auto line = source.rows(0, j);
    for (int64_t x = 0; x < columns; x += 2 * V) {
      typename Source::Columns from(source, x / 2, V);
      vec<T> value[2][3];  // of rows j and j - 1, each from the column before on
      UNROLLED(v, 2)
        for_taps<SHIFTED ? 3 : 2>([&](auto c) __attribute__((always_inline)) { value[v][c] = from.template read<c>(line[1 - v]); });
      const auto sum = [&](int u, int t, int at) __attribute__((always_inline)) {
        vec<T> total = broadcast<vec<T>>(start);
        UNROLLED(v, 2)
          UNROLLED(c, 2)
            if (u + 2 * v < K && t + 2 * c < K) total = fma(value[v][at - c], weight[u + 2 * v][t + 2 * c], total);
        return total;
      };
      UNROLLED(q, 2) {
        const int64_t row = 2 * j + q - top;
        if (row < 0 || row >= rows) continue;
        const vec<T> first = sum(q, SHIFTED ? 1 : 0, 1), second = SHIFTED ? sum(q, 0, 2) : sum(q, 1, 1);
        const auto store_up_to = [&](int64_t at, vec<T> some) __attribute__((always_inline)) {
          if (at < columns) store_some(to + row * columns + at, some, static_cast<int>(columns - at < V ? columns - at : V));
        };
        store_up_to(x, interleave<0>(first, second, all{}));
        store_up_to(x + V, interleave<V / 2>(first, second, all{}));
      }
    }
  }
}

// The whole operation for kernels of H × W (and any number of planes) ----------------------------------------

template <class T, int H, int W, int STEP>
struct SmallKernel {
  using A = arithmetic<T>;
  static constexpr int V = lanes<T>;
#if defined(STRIATE_AVX512)
  using Inputs = InPlace<T, W, STEP>;
  using Gradients = InPlace<T, STEP == 2 ? 3 : W, 1>;  // see spread_rows
#else
  using Inputs = Frame<T, STEP>;
  using Gradients = Frame<T, 1>;
#endif

  const Windows& d;
  const int64_t in[3], out[3], depth, taps;

  explicit SmallKernel(const Windows& windows)
      : d(windows), in{d.axis[0].in, d.axis[1].in, d.axis[2].in}, out{d.axis[0].out, d.axis[1].out, d.axis[2].out},
        depth(d.axis[0].kernel), taps(d.taps()) {}

  template <class Picture = Inputs>
  Picture inputs() const {
    return Picture(in, {d.axis[0].before, d.axis[1].before, d.axis[2].before},
                   {out[0] + depth - 1, (out[1] - 1) * STEP + H, (out[2] - 1) * STEP + W});
  }
  template <class Picture = Gradients>
  Picture gradients() const {
    const int64_t top = d.axis[1].before, left = d.axis[2].before;
    if (STEP == 2) return Picture(out, {0, 1, 1 - left / 2}, {1, (top + in[1] - 1) / 2 + 2, (in[2] + 1) / 2 + 2});
    return Picture(out, {depth - 1 - d.axis[0].before, H - 1 - top, W - 1 - left}, {in[0] + depth - 1, in[1] + H - 1, in[2] + W - 1});
  }
  void read_weights(const T* from, bool transposed, A* to) const {
    for (int64_t k = 0; k < taps; ++k) to[k] = load_one(from + (transposed && STEP == 1 ? taps - 1 - k : k));
  }
  void transpose_picture(const Gradients& gradients, const A* weights, A start, T* to, const Ahead& ahead) const {
    if constexpr (STEP == 2)
      if (d.axis[2].before % 2)
        spread_rows<T, H, true>(gradients, weights, start, d, to, ahead);
      else
        spread_rows<T, H, false>(gradients, weights, start, d, to, ahead);
    else
      correlate_picture<T, H, W, 1>(gradients, weights, depth, start, in, to, in[2], ahead);
  }
  // The picture's channel at `from`, to be loaded beside the arithmetic for `targets`; no memory at the end of a piece.
  static Ahead next(const T* from, bool is_last, int64_t size, const int64_t (&targets)[3], int64_t band, int64_t depth) {
    return Ahead(from, is_last ? 0 : size * static_cast<int64_t>(sizeof(T)), targets[0] * depth * (targets[1] / band));
  }

  void correlate(bool backward, const T* from, const T* weight, const T* bias, T* to) const {
    const int64_t planes = d.images * d.channels, pieces = worth(planes);
    const int64_t from_size = backward ? d.out_size() : d.in_size(), to_size = backward ? d.in_size() : d.out_size();
    for_pieces(pieces, [&](int64_t piece) {
      const Workspace<A> weights(taps);
      const auto each_plane = [&](auto picture, const auto& compute) {
        const int64_t end = (piece + 1) * planes / pieces;
        for (int64_t plane = piece * planes / pieces; plane < end; ++plane) {
          const int64_t channel = plane % d.channels;
          read_weights(weight + channel * taps, backward, weights.data());
          picture.take(from + plane * from_size);
          compute(picture, bias ? load_one(bias + channel) : 0, to + plane * to_size, from + (plane + 1) * from_size, plane + 1 == end);
        }
      };
      if (backward)
        each_plane(gradients(), [&](const auto& picture, A start, T* target, const T* following, bool is_last) {
          transpose_picture(picture, weights.data(), start, target,
                            next(following, is_last, from_size, in, STEP == 2 ? 2 : BAND, depth));
        });
      else
        each_plane(inputs(), [&](const auto& picture, A start, T* target, const T* following, bool is_last) {
          correlate_picture<T, H, W, STEP>(picture, weights.data(), depth, start, out, target, out[2],
                                            next(following, is_last, from_size, out, BAND, depth));
        });
    });
  }

  // A piece has all images of its channels: nothing is left to be added.
  void backward(const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias) const {
    const int64_t pieces = worth(d.channels);
    for_pieces(pieces, [&](int64_t piece) {
      const Workspace<A> weights(taps), sums((taps + 2) * V), totals(taps + 1);
      std::optional<Inputs> of_x;
      std::optional<Gradients> of_y;
      if (dx) of_y.emplace(gradients());
      if (dweight || dbias) of_x.emplace(inputs());
      for (int64_t channel = piece * d.channels / pieces; channel < (piece + 1) * d.channels / pieces; ++channel) {
        read_weights(weight + channel * taps, true, weights.data());
        std::memset(sums.data(), 0, static_cast<size_t>((taps + 2) * V) * sizeof(A));
        for (int64_t image = 0; image < d.images; ++image) {
          const int64_t plane = image * d.channels + channel, following = plane + d.channels;
          const bool is_last = image + 1 == d.images;
          const T* gradient = dy + plane * d.out_size();
          if (of_x) {
            of_x->take(x + plane * d.in_size());
            dot_picture<T, H, W, STEP>(*of_x, gradient, out[2], depth, out, sums.data(), sums.data() + (taps + 1) * V,
                                        next(x + following * d.in_size(), is_last, d.in_size(), out, DOT_BAND, depth));
          }
          if (of_y) {
            of_y->take(gradient);
            transpose_picture(*of_y, weights.data(), 0, dx + plane * d.in_size(),
                              next(dy + following * d.out_size(), is_last, d.out_size(), in, STEP == 2 ? 2 : BAND, depth));
          }
        }
        if (!of_x) continue;
        for (int64_t k = 0; k <= taps; ++k) totals[k] = sum(load(sums.data() + k * V));
        for (int64_t k = 0; dweight && k < taps; ++k) store_one(dweight + channel * taps + k, totals[k]);
        if (dbias) store_one(dbias + channel, totals[taps]);
      }
    });
  }
  // Pieces of at most `most` that are worth a thread's while.
  int64_t worth(int64_t most) const {
    const int64_t enough = 1 << 18, work = d.images * d.channels * d.out_size() * taps;
    return work < 2 * enough ? 1 : work / enough < most ? work / enough : most;
  }
};

// Calls body with the SmallKernel of these windows; in_rows() says which there are.
template <class T, class Body>
void with_small_kernel(const Windows& d, const Body& body) {
  if constexpr (!has_special<T>(SET))
    return;
  else if (d.axis[1].kernel == 7 && d.axis[2].kernel == 7)
    body(SmallKernel<T, 7, 7, 1>(d));
  else if (d.axis[1].kernel == 7)
    body(SmallKernel<T, 7, 1, 1>(d));
  else if (d.axis[2].kernel == 7)
    body(SmallKernel<T, 1, 7, 1>(d));
  else if (d.axis[2].kernel == 1)
    body(SmallKernel<T, 3, 1, 1>(d));
  else if (d.axis[1].kernel == 1)
    body(SmallKernel<T, 1, 3, 1>(d));
  else if (d.axis[1].kernel == 4)
    body(SmallKernel<T, 4, 4, 2>(d));
  else if (d.axis[1].stride == 2)
    body(SmallKernel<T, 3, 3, 2>(d));
  else
    body(SmallKernel<T, 3, 3, 1>(d));
}

template <class T>
void correlate_in_rows(const Windows& d, bool backward, const T* from, const T* weight, const T* bias, T* to) {
  with_small_kernel<T>(d, [&](const auto& kernel) { kernel.correlate(backward, from, weight, bias, to); });
}

template <class T>
void backward_in_rows(const Windows& d, const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias) {
  with_small_kernel<T>(d, [&](const auto& kernel) { kernel.backward(dy, x, weight, dx, dweight, dbias); });
}
