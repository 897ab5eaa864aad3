// Average pooling in up to three dimensions and its gradient, on the rows of _planes.h: lanes are channels.
#include "_planes.h"

constexpr int RESULTS = 8;  // kept in registers together

// B sums from column `at` of the results on, each divided by its divisor.
template <class A, int B>
STRIATE_INLINE void mean_of_taps(const A* const* rows, int64_t row_count, const Line& line, int64_t at,
                                 const A* divisors, A* out) {
  constexpr int V = lanes<A>;
  vec<A> sums[B];
  UNROLLED(b, B) sums[b] = vec<A>{};
  const int64_t step = line.step * V;
  for (int64_t r = 0; r < row_count; ++r)
    for (int t = 0; t < line.taps; ++t) {
      const A* x = rows[r] + line.offset[t] * V + at * step;
      UNROLLED(b, B) sums[b] += load(x + b * step);
    }
  UNROLLED(b, B) store(out + b * V, sums[b] / (vec<A>{} + divisors[at + b]));
}

constexpr int GROUP = REGISTERS == 32 ? 4 : 2;  // registers of channels that lie side by side, taken together

// One sample of the result for each of `to`, over the neighbours in `from`: means, or shares of gradients.
template <class T, bool BACKWARD>
void avg_pool_last(const Windows& w, const Divisors& divisors, const T* from, T* to) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Neighbours planes(w.axis[0], BACKWARD), rows(w.axis[1], BACKWARD), columns(w.axis[2], BACKWARD);
  const auto target = [&](int axis) { return BACKWARD ? w.axis[axis].in : w.axis[axis].out; };
  const auto source = [&](int axis) { return BACKWARD ? w.axis[axis].out : w.axis[axis].in; };
  const int64_t height = target(1), width = target(2), channels = w.channels;
  for_pieces(w.images * target(0) * height, [&](int64_t piece) {
    const int64_t row = piece % height, plane = piece / height % target(0), image = piece / height / target(0);
    const T* picture = from + image * source(0) * source(1) * source(2) * channels;
    for (int64_t column = 0; column < width; ++column)
      for_channels<T, GROUP>(channels, [&](auto group, int64_t c, int count) {
        constexpr int N = decltype(group)::value;
        vec<A> sum[N];
        UNROLLED(i, N) sum[i] = vec<A>{};
        for (auto p = planes.begin(plane); p < planes.end(plane); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r) {
            const T* line = picture + (p->source * source(1) + r->source) * source(2) * channels + c;
            for (auto q = columns.begin(column); q < columns.end(column); ++q) {
              if constexpr (BACKWARD) {
                const vec<A> divisor = vec<A>{} + divisors.of<A>(p->source, r->source, q->source);
                UNROLLED(i, N) sum[i] += load_some(line + q->source * channels + i * V, count) / divisor;
              } else {
                UNROLLED(i, N) sum[i] += load_some(line + q->source * channels + i * V, count);
              }
            }
          }
        T* result = to + (piece * width + column) * channels + c;
        const vec<A> divisor = vec<A>{} + (BACKWARD ? A{1} : divisors.of<A>(plane, row, column));
        UNROLLED(i, N) store_some(result + i * V, sum[i] / divisor, count);
      });
  });
}

template <class T>
void avg_pool_forward(const Windows& w, const Divisors& divisors, const T* x, T* y) {
  if (w.input_last) return avg_pool_last<T, false>(w, divisors, x, y);
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines lines(w.axis[2], false);
  const Line& line = lines.line[0];
  const int64_t blocks = (w.channels + V - 1) / V, height = w.axis[1].out, width = w.axis[2].out;
  const Strips strips = cut<A>(w, false, lines, w.images * blocks);
  const Slots slots(w, false, strips);
  for_pieces(w.images * blocks * strips.count, [&](int64_t piece) {
    const int64_t strip = piece % strips.count, block = piece / strips.count % blocks;
    const int64_t image = piece / strips.count / blocks;
    const Range planes = whole_or(strips, 0, strip, w.axis[0].out), rows = whole_or(strips, 1, strip, height);
    const Workspace<A> memory(slots.rows * slots.planes * lines.width * V), out(width * V), divisor(width);
    const Workspace<const A*> source(w.axis[0].kernel * w.axis[1].kernel);
    Tile<T> tile(memory.data(), planes_of(w, x, w.input_last, image, block, w.in_size()), lines, w.axis[1].in,
                 w.axis[2].in, needed(w.axis[0], false, planes), needed(w.axis[1], false, rows), slots.rows);
    const auto to = planes_of(w, y, w.input_last, image, block, w.out_size());
    for (int64_t plane = planes.begin; plane < planes.end; ++plane)
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        tile.reach(needed(w.axis[1], false, {row, row + 1}).end);
        for (int64_t i = 0; i < width; ++i) divisor[i] = divisors.of<A>(plane, row, i);
        int64_t count = 0;
        for (int64_t kd = 0; kd < w.axis[0].kernel; ++kd)
          for (int64_t kh = 0; kh < w.axis[1].kernel; ++kh) {
            const int64_t p = source_of(w.axis[0], false, plane, kd), r = source_of(w.axis[1], false, row, kh);
            if (p >= 0 && r >= 0) source[count++] = tile.line(p, r);
          }
        int64_t i = 0;
        for (; i + RESULTS <= width; i += RESULTS)
          mean_of_taps<A, RESULTS>(source.data(), count, line, i, divisor.data(), out.data() + i * V);
        for (; i < width; ++i)
          mean_of_taps<A, 1>(source.data(), count, line, i, divisor.data(), out.data() + i * V);
        unpack_row<T>(out.data(), (plane * height + row) * width, line, to);
      }
  });
}

// Each sample gathers its share of the gradients of the windows that it is in.
template <class T>
void avg_pool_backward(const Windows& w, const Divisors& divisors, const T* dy, T* dx) {
  if (w.input_last && w.gradient_last) return avg_pool_last<T, true>(w, divisors, dy, dx);
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines forward(w.axis[2], false), whole(Axis{w.axis[2].out, w.axis[2].out, 1, 1, 0, 1}, false);
  const Line& line = forward.line[0];
  const int64_t blocks = (w.channels + V - 1) / V, height = w.axis[1].in, width = w.axis[2].in;
  const Strips strips = cut<A>(w, true, whole, w.images * blocks);
  const Slots slots(w, true, strips);
  const Line row_of_dx{0, 1, width, 1, 0, true, nullptr, nullptr};
  for_pieces(w.images * blocks * strips.count, [&](int64_t piece) {
    const int64_t strip = piece % strips.count, block = piece / strips.count % blocks;
    const int64_t image = piece / strips.count / blocks;
    const Range planes = whole_or(strips, 0, strip, w.axis[0].in), rows = whole_or(strips, 1, strip, height);
    const Workspace<A> memory(slots.rows * slots.planes * whole.width * V), sums(forward.width * V);
    Tile<T> tile(memory.data(), planes_of(w, dy, w.gradient_last, image, block, w.out_size()), whole, w.axis[1].out,
                 w.axis[2].out, needed(w.axis[0], true, planes), needed(w.axis[1], true, rows), slots.rows);
    const auto to = planes_of(w, dx, w.input_last, image, block, w.in_size());
    A* sum = sums.data() + forward.before * V;
    for (int64_t plane = planes.begin; plane < planes.end; ++plane)
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        tile.reach(needed(w.axis[1], true, {row, row + 1}).end);
        std::memset(sums.data(), 0, static_cast<size_t>(forward.width * V) * sizeof(A));
        for (int64_t kd = w.axis[0].kernel; kd-- > 0;)  // by rising windows, the order in which PyTorch adds
          for (int64_t kh = w.axis[1].kernel; kh-- > 0;) {
            const int64_t p = source_of(w.axis[0], true, plane, kd), r = source_of(w.axis[1], true, row, kh);
            if (p < 0 || r < 0) continue;
            const A* gradient = tile.line(p, r);
            for (int64_t i = 0; i < line.count; ++i) {
              const vec<A> share = load(gradient + i * V) / (vec<A>{} + divisors.of<A>(p, r, i));
              for (int t = 0; t < line.taps; ++t) {
                A* at = sum + (i * line.step + line.offset[t]) * V;
                store(at, load(at) + share);
              }
            }
          }
        unpack_row<T>(sum, (plane * height + row) * width, row_of_dx, to);
      }
  });
}
