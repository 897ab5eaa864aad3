// Depthwise convolution in up to three dimensions, and its gradients, on the rows of _planes.h: lanes are channels.
#include "_planes.h"
#include "conv/depthwise_last.h"
#include "conv/depthwise_last_pair.h"

constexpr int OUTPUTS = REGISTERS == 32 ? 8 : 6;   // whose sums are kept in registers together
constexpr int NEIGHBOURS = REGISTERS == 32 ? 7 : 3;  // taps in a row that share what is loaded for them
constexpr int TAPS = REGISTERS == 32 ? 12 : 8;     // whose gradients are kept in registers together

constexpr int64_t IN_PLACE = 7;  // columns of a kernel up to which channels that lie side by side need no packing

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
void correlate(const Windows& d, bool backward, const Lines& lines, const Planes<const T>& from,
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
      for_kernel_rows(d, backward, plane, row, [&](int64_t at_plane, int64_t at_row, int64_t in_kernel) {
        scratch.rows[count] = tile.line(at_plane, at_row);
        scratch.weights[count++] = weights + in_kernel * d.axis[2].kernel * V;
      });
      const int64_t offset = (plane * target_rows + row) * target_columns;
      for (int64_t l = 0; l < lines.count; ++l) {
        sum_line<A>(scratch.rows, scratch.weights, count, lines.line[l], start, scratch.out);
        unpack_row<T>(scratch.out, offset, lines.line[l], to);
      }
    }
}

// sums[tap][lane] += this picture's part of the weights' gradient; the last row of sums is the bias's.
template <class T>
void add_weight_gradient(const Windows& d, const Lines& lines, const Planes<const T>& from,
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
      if (line.taps == 0) continue;  // all of them lie beside the picture: there is no offset
      int64_t count = 0;
      for_kernel_rows(d, false, plane, row, [&](int64_t at_plane, int64_t at_row, int64_t in_kernel) {
        scratch.rows[count] = tile.line(at_plane, at_row) + line.offset[0] * V;
        scratch.sums[count++] = sums + (in_kernel * d.axis[2].kernel + line.tap[0]) * V;
      });
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

template <class A>
struct Memory {  // what a scratch points to
  int64_t slots;
  Workspace<A> tile, out;
  Workspace<const A*> rows, weights;
  Workspace<A*> sums;

  Memory(const Windows& d, const Slots& slots_, int64_t width)
      : slots(slots_.rows),
        tile(slots_.rows * slots_.planes * width * lanes<A>),
        out(((d.axis[2].in > d.axis[2].out ? d.axis[2].in : d.axis[2].out) + 1) * lanes<A>),
        rows(d.taps()),
        weights(d.taps()),
        sums(d.taps()) {}
  Scratch<A> scratch() const { return {tile.data(), out.data(), rows.data(), weights.data(), sums.data(), slots}; }
};

// The convolution of x, or, backward, its transpose: of what is shaped like its output.
template <class T>
void depthwise(const Windows& d, bool backward, const T* from, bool from_last, const T* weight, const T* bias, T* to,
               bool to_last) {
  if (from_last && to_last && d.axis[2].kernel <= IN_PLACE) return depthwise_last(d, backward, from, weight, bias, to);
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines lines(d.axis[2], backward);
  const int64_t blocks = (d.channels + V - 1) / V;
  const Strips strips = cut<A>(d, backward, lines, d.images * blocks);
  const Slots slots(d, backward, strips);
  const int64_t from_size = backward ? d.out_size() : d.in_size(), to_size = backward ? d.in_size() : d.out_size();
  const auto target = [&](int axis) { return backward ? d.axis[axis].in : d.axis[axis].out; };
  for_pieces(d.images * blocks * strips.count, [&](int64_t piece) {
    const int64_t strip = piece % strips.count, block = piece / strips.count % blocks;
    const int64_t image = piece / strips.count / blocks;
    const Memory<A> memory(d, slots, lines.width);
    const Workspace<A> weights(d.taps() * V);
    const auto results = planes_of(d, to, to_last, image, block, to_size);
    pack_weights(weight + block * V * d.taps(), d.taps(), results.count, weights.data());
    correlate<T>(d, backward, lines, planes_of(d, from, from_last, image, block, from_size), results, weights.data(),
                 bias ? bias + block * V : nullptr, whole_or(strips, 0, strip, target(0)),
                 whole_or(strips, 1, strip, target(1)), memory.scratch());
  });
}

// Those of dx, dweight and dbias that are not null.
template <class T>
void depthwise_backward(const Windows& d, const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias) {
  if (d.input_last && d.gradient_last && d.axis[2].kernel <= IN_PLACE)
    return depthwise_last_backward(d, dy, x, weight, dx, dweight, dbias);
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
