// Max pooling of small planes and its gradient, as where channels lie side by side.
//
// Pasted after last.h and _small_planes.h.

// The winners of `count` planes to to[number][plane]; T is the type of the numbers.
template <class T>
void turn_winners(const uint8_t* from, int64_t count, int64_t size, uint8_t* to, int64_t pitch) {
  using numbers = decltype(winners_of<vec<T>>());
  turn_by<vec<T>>(
      count, size, pitch,
      [&](int64_t plane, int64_t i, int some) {
        uint8_t bytes[lanes<T>] = {};
        std::memcpy(bytes, from + plane * size + i, static_cast<size_t>(some));
        return reinterpret_cast<vec<T>>(load_bytes<vec<T>>(bytes));
      },
      [&](int64_t i, int64_t plane, vec<T> who) { store_bytes(to + i * pitch + plane, reinterpret_cast<numbers>(who)); });
}

template <class T>
void turn_winners_back(const uint8_t* from, int64_t count, int64_t size, uint8_t* to, int64_t pitch) {
  using numbers = decltype(winners_of<vec<T>>());
  turn_back_by<vec<T>>(
      count, size, pitch,
      [&](int64_t i, int64_t plane) { return reinterpret_cast<vec<T>>(load_bytes<vec<T>>(from + i * pitch + plane)); },
      [&](int64_t plane, int64_t i, vec<T> who, int some) {
        store_some_bytes(to + plane * size + i, reinterpret_cast<numbers>(who), some);
      });
}

template <class T>
void max_pool_small(const Windows& w, const T* x, T* y, uint8_t* winners) {
  using A = arithmetic<T>;
  const int64_t in = w.in_size(), out = w.out_size();
  for_small_planes<T>(w, [&](const Windows& turned, int64_t first, int64_t count) {
    const int64_t pitch = turned.channels;
    const Workspace<A> from(in * pitch), to(out * pitch);
    const Workspace<uint8_t> who(out * pitch);
    turn(x + first * in, count, in, from.data(), pitch);
    max_pool_last<A>(turned, from.data(), to.data(), winners ? who.data() : nullptr);
    turn_back(to.data(), count, out, y + first * out, pitch);
    if (winners) turn_winners_back<T>(who.data(), count, out, winners + first * out, pitch);
  });
}

template <class T>
void max_pool_small_backward(const Windows& w, const T* dy, const uint8_t* winners, T* dx) {
  using A = arithmetic<T>;
  const int64_t in = w.in_size(), out = w.out_size();
  for_small_planes<T>(w, [&](const Windows& turned, int64_t first, int64_t count) {
    const int64_t pitch = turned.channels;
    const Workspace<A> from(out * pitch), to(in * pitch);
    const Workspace<uint8_t> who(out * pitch);
    turn(dy + first * out, count, out, from.data(), pitch);
    turn_winners<T>(winners + first * out, count, out, who.data(), pitch);
    max_pool_last_backward<A>(turned, from.data(), who.data(), to.data());
    turn_back(to.data(), count, in, dx + first * in, pitch);
  });
}
