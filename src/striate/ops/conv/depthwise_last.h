// Depthwise convolution and its gradients where channels lie side by side: lanes are channels, and the numbers are
// used where they lie. A block is a few neighbouring columns of a row of targets, of one register of channels.
#include "conv/depthwise_sources.h"

constexpr int ABREAST = 2;                        // registers of channels taken together
constexpr int LONG = REGISTERS == 32 ? 7 : 4;     // columns whose sums are kept in registers together: rows of
constexpr int SHORT = 4;                          // pictures are often multiples of seven, and of four
constexpr int DOT_BLOCK = 8;                      // columns whose gradients are
constexpr int TOGETHER = 3;                       // neighbouring taps that share what is loaded for them

// sums[n][b] += Σ over t of x[first + b·STEP + t] · weights[t] for N registers of channels, each column loaded once.
// The weights of a register are `next` from the other's.
template <class T, int N, int B, int STEP, int TAPS, bool EDGE>
STRIATE_INLINE void add_taps(const Pixels<T>& x, int64_t first, const arithmetic<T>* weights, int64_t next,
                             vec<T> (&sums)[N][B]) {
  constexpr int V = lanes<T>;
  vec<T> weight[N][TAPS];
  UNROLLED(n, N)
    UNROLLED(t, TAPS) weight[n][t] = load(weights + n * next + t * V);
  const T* from = x.row + first * x.channels;
  UNROLLED(c, (B - 1) * STEP + TAPS) {
    if (!(STEP > TAPS && c % STEP >= TAPS) && (!EDGE || x.inside(first + c)))
      UNROLLED(n, N) {
        vec<T> column = load_some(from + n * V, x.count);
        keep(column);
        UNROLLED(t, TAPS)
          if (c >= t && (c - t) % STEP == 0 && (c - t) / STEP < B)
            sums[n][(c - t) / STEP] = fma(column, weight[n][t], sums[n][(c - t) / STEP]);
      }
    advance(from, x.channels);
  }
}

// The same for one tap and any step.
template <class T, int N, int B, bool EDGE>
STRIATE_INLINE void add_tap(const Pixels<T>& x, int64_t first, int64_t step, const arithmetic<T>* weights, int64_t next,
                            vec<T> (&sums)[N][B]) {
  vec<T> weight[N];
  UNROLLED(n, N) weight[n] = load(weights + n * next);
  const T* from = x.row + first * x.channels;
  const int64_t far = step * x.channels;
  UNROLLED(b, B) {
    if (!EDGE || x.inside(first + b * step))
      UNROLLED(n, N) sums[n][b] = fma(load_some(from + n * lanes<T>, x.count), weight[n], sums[n][b]);
    advance(from, far);
  }
}

// N registers of channels of B columns. STEP 1 or 2: neighbouring taps; 0: any. `weights` of each register of channels
// are `next` from the other's: [row of the kernel][tap][lane].
template <class T, int N, int B, int STEP, bool EDGE>
STRIATE_INLINE void sum_block(const Sources<T>& from, const Line& line, int64_t at, int64_t channel, int count,
                              const arithmetic<T>* weights, int64_t next, const T* bias, T* to) {
  constexpr int V = lanes<T>;
  vec<T> sums[N][B];
  UNROLLED(n, N) {
    const vec<T> start = bias ? vec<T>(load_some(bias + n * V, count)) : vec<T>{};
    UNROLLED(b, B) sums[n][b] = start;
  }
  const T* const* rows = from.rows.data();
  const int64_t *kernel_row = from.kernel_row.data(), *offset = line.offset;
  const int64_t row_count = from.count, step = line.step, first = line.taps ? offset[0] + at * step : 0;
  const int taps = line.taps;
  Pixels<T> x{nullptr, from.channels, from.columns, count};
  for (int64_t r = 0; r < row_count; ++r) {
    x.row = rows[r] + channel;
    const arithmetic<T>* weight = weights + kernel_row[r] * taps * V;
    int t = 0;
    if constexpr (STEP > 0) {
      for (; t + TOGETHER <= taps; t += TOGETHER)
        add_taps<T, N, B, STEP, TOGETHER, EDGE>(x, first + t, weight + t * V, next, sums);
      if (t + 2 <= taps) {
        add_taps<T, N, B, STEP, 2, EDGE>(x, first + t, weight + t * V, next, sums);
        t += 2;
      }
    }
    for (; t < taps; ++t)
      add_tap<T, N, B, EDGE>(x, offset[t] + at * step, step, weight + t * V, next, sums);
  }
  const int64_t every = line.every * x.channels;
  UNROLLED(n, N)
    UNROLLED(b, B) store_some(to + b * every + n * V, sums[n][b], count);
}

// The same for one register of channels, wherever the columns are; called, as there are few and it would be made twice.
template <class T, int B, int STEP>
__attribute__((noinline)) void sum_rest(const Sources<T>& from, const Line& line, int64_t at, int64_t channel, int count,
                                        const arithmetic<T>* weights, int64_t next, const T* bias, T* to) {
  sum_block<T, 1, B, STEP, true>(from, line, at, channel, count, weights, next, bias, to);
}

// All channels of B columns from `at` on.
template <class T, int B, int STEP, bool EDGE>
void sum_columns_of(const Sources<T>& from, const Line& line, int64_t at, const arithmetic<T>* weights,
                    int64_t kernel_rows, const T* bias, T* to) {
  constexpr int V = lanes<T>;
  const int64_t next = kernel_rows * line.taps * V;
  int64_t c = 0;
  for (; c + ABREAST * V <= from.channels; c += ABREAST * V, weights += ABREAST * next)
    sum_block<T, ABREAST, B, STEP, EDGE>(from, line, at, c, V, weights, next, bias ? bias + c : nullptr, to + c);
  if (c >= V && c + V == from.channels) {  // the last register once more with its neighbour: alone it takes longer
    c -= V, weights -= next;
    sum_block<T, ABREAST, B, STEP, EDGE>(from, line, at, c, V, weights, next, bias ? bias + c : nullptr, to + c);
    return;
  }
  for (; c < from.channels; c += V, weights += next)
    sum_rest<T, B, STEP>(from, line, at, c, static_cast<int>(from.channels - c < V ? from.channels - c : V), weights, next,
                         bias ? bias + c : nullptr, to + c);
}

template <class T, int B, int STEP>
void sum_columns_at(const Sources<T>& from, const Line& line, int64_t at, const arithmetic<T>* weights,
                    int64_t kernel_rows, const T* bias, T* to) {
  if (line.first == 0) from.foresee(at * line.step, B * line.step);
  const int64_t lowest = line.taps ? line.offset[0] : 0, highest = line.taps ? line.offset[line.taps - 1] : 0;
  if (lowest + at * line.step < 0 || highest + (at + B - 1) * line.step >= from.columns)
    sum_columns_of<T, B, STEP, true>(from, line, at, weights, kernel_rows, bias, to);
  else
    sum_columns_of<T, B, STEP, false>(from, line, at, weights, kernel_rows, bias, to);
}

// A line of a row of targets, in blocks of neighbouring columns.
template <class T, int STEP>
void sum_row(const Sources<T>& from, const Line& line, const arithmetic<T>* weights, int64_t kernel_rows,
             const T* bias, T* to) {
  int64_t size = 1;
  for (int64_t i = 0; i < line.count; i += size) {
    const int64_t left = line.count - i;
    size = line.count < SHORT ? 1 : STEP > 0 && left >= LONG && left != 2 * SHORT ? LONG : SHORT;
    const int64_t at = left < size ? line.count - size : i;  // the last ones overlap
    T* out = to + (line.first + at * line.every) * from.channels;
    if (size == 1)
      sum_columns_of<T, 1, 0, true>(from, line, at, weights, kernel_rows, bias, out);
    else if (size == SHORT)
      sum_columns_at<T, SHORT, STEP>(from, line, at, weights, kernel_rows, bias, out);
    else if constexpr (STEP > 0)
      sum_columns_at<T, LONG, STEP>(from, line, at, weights, kernel_rows, bias, out);
  }
}

// Weights [channel][tap] for each line as [register of channels][row of the kernel][tap of the line][lane].
template <class T>
struct WeightsByLine {
  int64_t kernel_rows;
  Workspace<arithmetic<T>> weight;
  Workspace<int64_t> start;

  WeightsByLine(const Windows& d, const Lines& lines, const T* from)
      : kernel_rows(d.axis[0].kernel * d.axis[1].kernel),
        weight((d.channels + lanes<T> - 1) / lanes<T> * lanes<T> * d.taps()), start(lines.count) {
    constexpr int V = lanes<T>;
    arithmetic<T>* to = weight.data();
    for (int64_t l = 0; l < lines.count; ++l) {
      const Line& line = lines.line[l];
      start[l] = to - weight.data();
      for (int64_t c = 0; c < d.channels; c += V)
        for (int64_t r = 0; r < kernel_rows; ++r)
          for (int t = 0; t < line.taps; ++t, to += V)
            for (int64_t lane = 0; lane < V; ++lane)
              to[lane] = c + lane < d.channels
                             ? load_one(from + (c + lane) * d.taps() + r * d.axis[2].kernel + line.tap[t])
                             : 0;
    }
  }
};

// A row of targets from the rows that were gathered for it.
template <class T>
void correlate_row(const Sources<T>& sources, const Lines& lines, const WeightsByLine<T>& weights, const T* bias,
                   T* to) {
  for (int64_t l = 0; l < lines.count; ++l) {
    const Line& line = lines.line[l];
    const arithmetic<T>* weight = weights.weight.data() + weights.start[l];
    with_step<T>(step_of(line), [&](auto step) {
      sum_row<T, decltype(step)::value>(sources, line, weight, weights.kernel_rows, bias, to);
    });
  }
}

// sums[t] += Σ over b of gradient[b] · x[first + b·STEP + t]; `valid` of the gradients are there.
template <class T, int STEP, int TAPS, bool EDGE>
STRIATE_INLINE void dot_taps(const Pixels<T>& x, int64_t first, const vec<T> (&gradient)[DOT_BLOCK], int64_t valid,
                             arithmetic<T>* sums) {
  constexpr int V = lanes<T>;
  vec<T> sum[TAPS];
  UNROLLED(t, TAPS) sum[t] = load(sums + t * V);
  const T* from = x.row + first * x.channels;
  UNROLLED(c, (DOT_BLOCK - 1) * STEP + TAPS) {
    if (!(STEP > TAPS && c % STEP >= TAPS) && (!EDGE || x.inside(first + c))) {
      vec<T> column = load_some(from, x.count);
      keep(column);
      UNROLLED(t, TAPS)
        if (c >= t && (c - t) % STEP == 0 && (c - t) / STEP < DOT_BLOCK)
          if (!EDGE || (c - t) / STEP < valid) sum[t] = fma(column, gradient[(c - t) / STEP], sum[t]);
    }
    advance(from, x.channels);
  }
  UNROLLED(t, TAPS) store(sums + t * V, sum[t]);
}

template <class T>
STRIATE_INLINE void dot_tap(const Pixels<T>& x, int64_t first, int64_t step, const vec<T> (&gradient)[DOT_BLOCK],
                            int64_t valid, arithmetic<T>* sums) {
  vec<T> sum = load(sums);
  UNROLLED(b, DOT_BLOCK)
    if (b < valid && x.inside(first + b * step)) sum = fma(x.at(first + b * step), gradient[b], sum);
  store(sums, sum);
}

// A block's part of the gradients of one register of channels: sums[tap][lane], the last of them the bias's.
template <class T, int STEP, bool EDGE>
STRIATE_INLINE void dot_block(const Windows& d, const Sources<T>& from, const Line& line, int64_t at, int64_t valid,
                              int64_t channel, int count, const T* gradient, arithmetic<T>* sums) {
  constexpr int V = lanes<T>;
  vec<T> g[DOT_BLOCK];
  arithmetic<T>* bias = sums + d.taps() * V;
  vec<T> total = load(bias);
  UNROLLED(b, DOT_BLOCK) {
    g[b] = EDGE && b >= valid ? vec<T>{} : load_some(gradient + b * from.channels, count);
    total += g[b];
  }
  store(bias, total);
  const T* const* rows = from.rows.data();
  const int64_t *kernel_row = from.kernel_row.data(), *offset = line.offset;
  const int64_t row_count = from.count, width = d.axis[2].kernel, step = line.step;
  const int64_t first = line.taps ? offset[0] + at * step : 0;
  const int taps = line.taps;
  if (taps == 0) return;
  sums += line.tap[0] * V;
  Pixels<T> x{nullptr, from.channels, from.columns, count};
  for (int64_t r = 0; r < row_count; ++r) {
    x.row = rows[r] + channel;
    arithmetic<T>* sum = sums + kernel_row[r] * width * V;
    int t = 0;
    if constexpr (STEP > 0) {
      for (; t + TOGETHER <= taps; t += TOGETHER)
        dot_taps<T, STEP, TOGETHER, EDGE>(x, first + t, g, valid, sum + t * V);
      if (t + 2 <= taps) {
        dot_taps<T, STEP, 2, EDGE>(x, first + t, g, valid, sum + t * V);
        t += 2;
      }
    }
    for (; t < taps; ++t) dot_tap<T>(x, offset[t] + at * step, step, g, valid, sum + t * V);
  }
}

template <class T, int STEP>
__attribute__((noinline)) void dot_rest(const Windows& d, const Sources<T>& from, const Line& line, int64_t at, int64_t valid,
                                        int64_t channel, int count, const T* gradient, arithmetic<T>* sums) {
  dot_block<T, STEP, true>(d, from, line, at, valid, channel, count, gradient, sums);
}

template <class T, int STEP, bool EDGE>
void dot_columns(const Windows& d, const Sources<T>& from, const Line& line, int64_t at, int64_t valid,
                 const T* gradient, arithmetic<T>* sums) {
  constexpr int V = lanes<T>;
  const int64_t next = (d.taps() + 1) * V;
  int64_t c = 0;
  for (; c + V <= d.channels; c += V, sums += next)
    dot_block<T, STEP, EDGE>(d, from, line, at, valid, c, V, gradient + c, sums);
  if (c < d.channels)
    dot_rest<T, STEP>(d, from, line, at, valid, c, static_cast<int>(d.channels - c), gradient + c, sums);
}

// The part of a row of the output.
template <class T, int STEP>
void dot_row(const Windows& d, const Sources<T>& from, const Line& line, const T* gradient, arithmetic<T>* sums) {
  const int64_t lowest = line.taps ? line.offset[0] : 0, highest = line.taps ? line.offset[line.taps - 1] : 0;
  for (int64_t i = 0; i < line.count; i += DOT_BLOCK) {
    const int64_t valid = line.count - i < DOT_BLOCK ? line.count - i : DOT_BLOCK;
    from.foresee(i * line.step, DOT_BLOCK * line.step);
    const bool edge = valid < DOT_BLOCK || lowest + i * line.step < 0 ||
                      highest + (i + DOT_BLOCK - 1) * line.step >= from.columns;
    if (edge)
      dot_columns<T, STEP, true>(d, from, line, i, valid, gradient + i * d.channels, sums);
    else
      dot_columns<T, STEP, false>(d, from, line, i, valid, gradient + i * d.channels, sums);
  }
}

// The whole operation ----------------------------------------------------------------------------------

// The convolution of x, or, backward, its transpose.
template <class T>
void depthwise_last(const Windows& d, bool backward, const T* from, const T* weight, const T* bias, T* to) {
  const Lines lines(d.axis[2], backward);
  const WeightsByLine<T> weights(d, lines, weight);
  const auto target = [&](int axis) { return backward ? d.axis[axis].in : d.axis[axis].out; };
  const int64_t rows = d.images * target(0) * target(1), length = target(2) * d.channels;
  const int64_t enough = 1 << 18, work = rows * length * d.taps();  // a piece is worth a thread's while
  const int64_t pieces = work < 2 * enough ? 1 : work / enough < rows ? work / enough : rows;
  for_pieces(pieces, [&](int64_t piece) {
    Sources<T> sources(d, backward);
    for (int64_t row = piece * rows / pieces; row < (piece + 1) * rows / pieces; ++row) {
      sources.gather(d, backward, from, row);
      correlate_row(sources, lines, weights, bias, to + row * length);
    }
  });
}

// The gradients of a weight and of a bias, those that are not null, from partial sums that are `next` numbers apart.
template <class T>
void add_pieces(const Windows& d, const arithmetic<T>* partials, int64_t pieces, int64_t next, T* dweight, T* dbias) {
  constexpr int V = lanes<T>;
  for (int64_t c = 0; c < d.channels; ++c)
    for (int64_t k = 0; k <= d.taps(); ++k) {
      const arithmetic<T>* from = partials + (c / V * (d.taps() + 1) + k) * V + c % V;
      arithmetic<T> sum = 0;
      for (int64_t piece = 0; piece < pieces; ++piece) sum += from[piece * next];
      if (k < d.taps() && dweight)
        store_one(dweight + c * d.taps() + k, sum);
      else if (k == d.taps() && dbias)
        store_one(dbias + c, sum);
    }
}

// Those of dx, dweight and dbias that are not null: rows of both in turn, so that the gradient is read once.
template <class T>
void depthwise_last_backward(const Windows& d, const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines forward(d.axis[2], false), backward(d.axis[2], true);
  const Line& line = forward.line[0];
  const int step = step_of(line);
  const WeightsByLine<T> weights(d, backward, weight);
  const int64_t length = (d.channels + V - 1) / V * (d.taps() + 1) * V;
  const int64_t y_rows = d.images * d.axis[0].out * d.axis[1].out, x_rows = d.images * d.axis[0].in * d.axis[1].in;
  const int64_t y_length = d.axis[2].out * d.channels, x_length = d.axis[2].in * d.channels;
  const int64_t wanted = y_rows * y_length * d.taps() / (1 << 16), most = wanted < 2 * SHARES ? wanted : 2 * SHARES;
  const int64_t pieces = most < 1 ? 1 : most < y_rows ? most : y_rows;
  const bool sums_wanted = dweight || dbias;
  const Workspace<A> partials(sums_wanted ? pieces * length : 0);
  for_pieces(pieces, [&](int64_t piece) {
    Sources<T> x_sources(d, false), y_sources(d, true);
    A* sums = partials.data() + piece * length;
    if (sums_wanted) std::memset(sums, 0, static_cast<size_t>(length) * sizeof *sums);
    const int64_t end = (piece + 1) * y_rows / pieces;
    int64_t x_row = piece * x_rows / pieces;
    for (int64_t row = piece * y_rows / pieces; row < end; ++row) {
      if (sums_wanted) {
        x_sources.gather(d, false, x, row);
        const T* gradient = dy + row * y_length;
        with_step<T>(step, [&](auto special) { dot_row<T, decltype(special)::value>(d, x_sources, line, gradient, sums); });
      }
      const int64_t until = row + 1 == end ? (piece + 1) * x_rows / pieces : (row + 1) * x_rows / y_rows;
      for (; dx && x_row < until; ++x_row) {
        y_sources.gather(d, true, dy, x_row);
        correlate_row(y_sources, backward, weights, static_cast<const T*>(nullptr), dx + x_row * x_length);
      }
    }
  });
  if (sums_wanted) add_pieces<T>(d, partials.data(), pieces, length, dweight, dbias);
}
