// Average pooling and its gradient where channels lie side by side: a channel in each lane.
//
// Pasted after _last.h.

template <class T>
void avg_pool_last(const Windows& w, const Divisors& divisors, const T* x, T* y) {
  using A = arithmetic<T>;
  reduce_last<Total>(w, x, y, [&](int64_t plane, int64_t row, int64_t column) {
    const vec<A> divisor = vec<A>{} + divisors.of<A>(plane, row, column);
    return [divisor](int64_t, int, vec<A> sum) { return sum / divisor; };
  });
}

// Whether every window's sum is divided by the same number.
inline bool are_alike(const Windows& w, const Divisors& divisors) {
  for (size_t i = 0; i < 3 && !divisors.fixed; ++i)
    for (const int64_t taps : divisors.counts.taps[i])
      if (taps != divisors.counts.taps[i][0]) return false;
  return w.out_size() > 0;
}

// Each sample gathers its share of the gradients of the windows that it is in.
template <class T>
void avg_pool_last_backward(const Windows& w, const Divisors& divisors, const T* dy, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  if (w.axis[0].stride == 1 && w.axis[1].stride == 1 && w.axis[2].stride == 1 && are_alike(w, divisors)) {
    Windows back = w;  // with steps of one the gradient is pooled as the picture was, from the other side
    for (Axis& axis : back.axis)
      axis = {axis.out, axis.in, axis.kernel, 1, (axis.kernel - 1) * axis.dilation - axis.before, axis.dilation};
    const vec<A> divisor = vec<A>{} + divisors.of<A>(0, 0, 0);
    return reduce_last<Total>(back, dy, dx, [&](int64_t, int64_t, int64_t) {
      return [divisor](int64_t, int, vec<A> sum) { return sum / divisor; };
    });
  }
  const Neighbours planes(w.axis[0], true), rows(w.axis[1], true), columns(w.axis[2], true);
  const int64_t height = w.axis[1].in, width = w.axis[2].in, channels = w.channels;
  const bool past = lines_go_past(dx, w.images * w.in_size() * channels, channels);
  for_pieces(w.images * w.axis[0].in * height, [&](int64_t piece) {
    const int64_t row = piece % height, plane = piece / height % w.axis[0].in, image = piece / height / w.axis[0].in;
    const T* picture = dy + image * w.out_size() * channels;
    for (int64_t column = 0; column < width; ++column)
      for_channels<T, GROUP>(channels, [&](auto group, int64_t c, int count) {
        constexpr int N = decltype(group)::value;
        vec<A> sum[N];
        UNROLLED(i, N) sum[i] = vec<A>{};
        for (auto p = planes.begin(plane); p < planes.end(plane); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r) {
            const T* line = picture + (p->source * w.axis[1].out + r->source) * w.axis[2].out * channels + c;
            for (auto q = columns.begin(column); q < columns.end(column); ++q) {
              const vec<A> divisor = vec<A>{} + divisors.of<A>(p->source, r->source, q->source);
              UNROLLED(i, N) sum[i] += load_some(line + q->source * channels + i * V, count) / divisor;
            }
          }
        T* result = dx + (piece * width + column) * channels + c;
        UNROLLED(i, N) put_some(result + i * V, sum[i], count, past);
      });
    if (past) all_is_put();
  });
}
