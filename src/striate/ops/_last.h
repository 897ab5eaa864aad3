// Windows reduced where channels lie side by side: a channel in each lane.
//
// Pasted after _past_caches.h and _rows.h.

constexpr int GROUP = REGISTERS == 32 ? 4 : 2;  // registers of channels that lie side by side, taken together

// What numbers are reduced to by each Op; finish(f) calls f with all of it.
template <class A, class... Ops>
struct Reduction {
  STRIATE_INLINE Reduction() {}
  STRIATE_INLINE explicit Reduction(vec<A>) {}
  STRIATE_INLINE void add(vec<A>) {}
  template <class Finish, class... Values>
  STRIATE_INLINE vec<A> finish(const Finish& f, Values... values) const {
    return f(values...);
  }
};
template <class A, class Op, class... More>
struct Reduction<A, Op, More...> {
  vec<A> value;
  Reduction<A, More...> more;

  STRIATE_INLINE Reduction() : value(broadcast<vec<A>>(Op::neutral)) {}
  STRIATE_INLINE explicit Reduction(vec<A> number) : value(Op::map(number)), more(number) {}
  STRIATE_INLINE void add(vec<A> number) {
    value = Op::of(value, Op::map(number));
    more.add(number);
  }
  template <class Finish, class... Values>
  STRIATE_INLINE vec<A> finish(const Finish& f, Values... values) const {
    return more.finish(f, values..., value);
  }
};

// A window of K × K neighbours with all its channels, `line` numbers from one row to the next. While memory is waited for,
// the processor looks a few hundred instructions ahead: few for each load are what makes this fast.
template <int K, class... Ops, class T, class Result>
STRIATE_INLINE void reduce_square(const T* from, int64_t line, int64_t channels, T* to, bool past, const Result& result) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const T* taps[K * K];
  UNROLLED(t, K * K) taps[t] = from + t / K * line + t % K * channels;
  const auto some = [&](int64_t c, int count) __attribute__((always_inline)) {
    Reduction<A, Ops...> found(load_some(taps[0] + c, count));
    UNROLLED(t, K * K - 1) found.add(load_some(taps[t + 1] + c, count));
    put_some(to + c, found.finish([&](auto... values) { return result(c, count, values...); }), count, past);
  };
  int64_t c = 0;
  for (; c + V <= channels; c += V) some(c, V);
  if (c < channels) some(c, static_cast<int>(channels - c));
}

// The results of all windows: at(depth, row, column) announces some of one place, and gives what makes their results
// of (channel, count, values…), `count` channels from that on.
template <class... Ops, class T, class At>
void reduce_last(const Windows& w, const T* x, T* y, const At& at) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Neighbours planes(w.axis[0], false), rows(w.axis[1], false), columns(w.axis[2], false);
  const int64_t height = w.axis[1].out, width = w.axis[2].out, channels = w.channels;
  const int64_t size = w.axis[1].kernel;
  [[maybe_unused]] const int64_t pitch = w.axis[2].in * channels;
  const bool are_dense = (size == 2 || size == 3) && w.axis[2].kernel == size && w.axis[1].dilation == 1 &&
                         w.axis[2].dilation == 1;
  const bool past = lines_go_past(y, w.images * channels * w.out_size(), channels);
  for_pieces(w.images * w.axis[0].out * height, [&](int64_t piece) {
    const int64_t row = piece % height, depth = piece / height % w.axis[0].out, image = piece / height / w.axis[0].out;
    const T* picture = x + image * w.in_size() * channels;
    const int64_t lines = (planes.end(depth) - planes.begin(depth)) * (rows.end(row) - rows.begin(row));
    [[maybe_unused]] const bool squares = are_dense && w.axis[0].kernel == 1 && lines == size;
    [[maybe_unused]] const int64_t top = squares ? planes.begin(depth)->source * w.axis[1].in + rows.begin(row)->source : 0;
    for (int64_t column = 0; column < width; ++column) {
      const auto result = at(depth, row, column);
      T* to = y + (piece * width + column) * channels;
      if constexpr (has_special<T>(SET))
        if (squares && columns.end(column) - columns.begin(column) == size) {
          const T* from = picture + (top * w.axis[2].in + columns.begin(column)->source) * channels;
          size == 2 ? reduce_square<2, Ops...>(from, pitch, channels, to, past, result)
                    : reduce_square<3, Ops...>(from, pitch, channels, to, past, result);
          continue;
        }
      for_channels<T, GROUP>(channels, [&](auto group, int64_t c, int count) {
        constexpr int N = decltype(group)::value;
        Reduction<A, Ops...> found[N];
        for (auto p = planes.begin(depth); p < planes.end(depth); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r) {
            const T* line = picture + (p->source * w.axis[1].in + r->source) * w.axis[2].in * channels + c;
            for (auto q = columns.begin(column); q < columns.end(column); ++q)
              UNROLLED(i, N) found[i].add(load_some(line + q->source * channels + i * V, count));
          }
        UNROLLED(i, N) {
          const int64_t channel = c + i * V;
          const auto finish = [&](auto... values) { return result(channel, count, values...); };
          put_some(to + channel, found[i].finish(finish), count, past);
        }
      });
    }
    if (past) all_is_put();
  });
}
