// Max pooling and its gradient where channels lie side by side: a channel in each lane.
//
// Pasted after _last.h, _past_caches.h and winners.h.

template <class T>
void max_pool_last(const Windows& w, const T* x, T* y, uint8_t* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Neighbours planes(w.axis[0], false), rows(w.axis[1], false), columns(w.axis[2], false);
  const int64_t height = w.axis[1].out, width = w.axis[2].out, channels = w.channels;
  for_pieces(w.images * w.axis[0].out * height, [&](int64_t piece) {
    const int64_t row = piece % height, plane = piece / height % w.axis[0].out, image = piece / height / w.axis[0].out;
    const T* picture = x + image * w.in_size() * channels;
    for (int64_t column = 0; column < width; ++column) {
      const int64_t position = piece * width + column;
      for_channels<T, GROUP>(channels, [&](auto group, int64_t c, int count) {
        constexpr int N = decltype(group)::value;
        vec<A> best[N];
        decltype(winners_of<vec<A>>()) winner[N];
        const auto number = [&](int64_t kd, int64_t kh, int64_t kw) {
          return static_cast<int>((kd * w.axis[1].kernel + kh) * w.axis[2].kernel + kw);
        };
        const int first = number(planes.begin(plane)->tap, rows.begin(row)->tap, columns.begin(column)->tap);
        UNROLLED(i, N) best[i] = broadcast<vec<A>>(-__builtin_inf());
        UNROLLED(i, N) winner[i] = winners_of<vec<A>>() + first;
        for (auto p = planes.begin(plane); p < planes.end(plane); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r) {
            const T* line = picture + (p->source * w.axis[1].in + r->source) * w.axis[2].in * channels + c;
            for (auto q = columns.begin(column); q < columns.end(column); ++q) {
              const int tap = number(p->tap, r->tap, q->tap);
              UNROLLED(i, N)
                take_larger(load_some(line + q->source * channels + i * V, count), tap, best[i], winner[i]);
            }
          }
        UNROLLED(i, N) {
          store_some(y + position * channels + c + i * V, best[i], count);
          if (!winners) continue;
          uint8_t bytes[V];
          store_bytes(bytes, winner[i]);
          std::memcpy(winners + position * channels + c + i * V, bytes, static_cast<size_t>(count));
        }
      });
    }
  });
}

template <class T>
void max_pool_last_backward(const Windows& w, const T* dy, const uint8_t* winners, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Neighbours planes(w.axis[0], true), rows(w.axis[1], true), columns(w.axis[2], true);
  const int64_t height = w.axis[1].in, width = w.axis[2].in, channels = w.channels;
  const bool past = lines_go_past(dx, w.images * channels * w.in_size(), channels);
  for_pieces(w.images * w.axis[0].in * height, [&](int64_t piece) {
    const int64_t row = piece % height, plane = piece / height % w.axis[0].in, image = piece / height / w.axis[0].in;
    for (int64_t column = 0; column < width; ++column)
      for_channels<T, GROUP>(channels, [&](auto group, int64_t c, int count) {
        constexpr int N = decltype(group)::value;
        vec<A> sum[N];
        UNROLLED(i, N) sum[i] = vec<A>{};
        for (auto p = planes.begin(plane); p < planes.end(plane); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r)
            for (auto q = columns.begin(column); q < columns.end(column); ++q) {
              const int tap = static_cast<int>((p->tap * w.axis[1].kernel + r->tap) * w.axis[2].kernel + q->tap);
              const int64_t window = (p->source * w.axis[1].out + r->source) * w.axis[2].out + q->source;
              const int64_t at = (image * w.out_size() + window) * channels + c;
              UNROLLED(i, N) {
                uint8_t bytes[V];
                if (count < V) std::memcpy(bytes, winners + at + i * V, static_cast<size_t>(count));
                const auto winner = load_bytes<vec<A>>(count < V ? bytes : winners + at + i * V);
                sum[i] += select(equal(winner, tap), load_some(dy + at + i * V, count), vec<A>{});
              }
            }
        UNROLLED(i, N) put_some(dx + (piece * width + column) * channels + c + i * V, sum[i], count, past);
      });
    if (past) all_is_put();
  });
}
