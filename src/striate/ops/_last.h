// Windows reduced where channels lie side by side: a channel in each lane.
//
// Pasted after _rows.h.

constexpr int GROUP = REGISTERS == 32 ? 4 : 2;  // registers of channels that lie side by side, taken together

// What numbers are reduced to by each Op; finish(f) calls f with all of it.
template <class A, class... Ops>
struct Reduction {
  STRIATE_INLINE Reduction() {}
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
  STRIATE_INLINE void add(vec<A> number) {
    value = Op::of(value, Op::map(number));
    more.add(number);
  }
  template <class Finish, class... Values>
  STRIATE_INLINE vec<A> finish(const Finish& f, Values... values) const {
    return more.finish(f, values..., value);
  }
};

// The results of all windows: at(depth, row, column) announces some of one place, and gives what makes their results
// of (channel, count, values…), `count` channels from that on.
template <class... Ops, class T, class At>
void reduce_last(const Windows& w, const T* x, T* y, const At& at) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Neighbours planes(w.axis[0], false), rows(w.axis[1], false), columns(w.axis[2], false);
  const int64_t height = w.axis[1].out, width = w.axis[2].out, channels = w.channels;
  for_pieces(w.images * w.axis[0].out * height, [&](int64_t piece) {
    const int64_t row = piece % height, depth = piece / height % w.axis[0].out, image = piece / height / w.axis[0].out;
    const T* picture = x + image * w.in_size() * channels;
    for (int64_t column = 0; column < width; ++column) {
      const auto result = at(depth, row, column);
      T* to = y + (piece * width + column) * channels;
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
          store_some(to + channel, found[i].finish(finish), count);
        }
      });
    }
  });
}
