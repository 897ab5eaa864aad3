// Average pooling and its gradient where channels lie side by side: a channel in each lane.
//
// Pasted after _neighbours.h.

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
