// Max pooling of small planes and its gradient, as where channels lie side by side.
//
// Pasted after last.h and _small_planes.h.

// The winners of `count` planes to to[number][plane]; T is the type of the numbers.
template <class T>
void turn_winners(const uint8_t* from, int64_t count, int64_t size, uint8_t* to, int64_t pitch) {
  constexpr int V = lanes<T>;
  using numbers = decltype(winners_of<vec<T>>());
  for (int64_t c = 0; c < pitch; c += V)
    for (int64_t i = 0; i < size; i += V) {
      const int some = static_cast<int>(size - i < V ? size - i : V);
      vec<T> square[V];
      UNROLLED(k, V) {
        uint8_t bytes[V] = {};
        if (c + k < count) std::memcpy(bytes, from + (c + k) * size + i, static_cast<size_t>(some));
        square[k] = reinterpret_cast<vec<T>>(load_bytes<vec<T>>(bytes));
      }
      transpose(square);
      for (int k = 0; k < some; ++k) store_bytes(to + (i + k) * pitch + c, reinterpret_cast<numbers>(square[k]));
    }
}

template <class T>
void turn_winners_back(const uint8_t* from, int64_t count, int64_t size, uint8_t* to, int64_t pitch) {
  constexpr int V = lanes<T>;
  using numbers = decltype(winners_of<vec<T>>());
  for (int64_t c = 0; c < pitch; c += V)
    for (int64_t i = 0; i < size; i += V) {
      const int some = static_cast<int>(size - i < V ? size - i : V);
      vec<T> square[V];
      UNROLLED(k, V)
        square[k] = k < some ? reinterpret_cast<vec<T>>(load_bytes<vec<T>>(from + (i + k) * pitch + c)) : vec<T>{};
      transpose(square);
      for (int k = 0; k < V && c + k < count; ++k)
        store_some_bytes(to + (c + k) * size + i, reinterpret_cast<numbers>(square[k]), some);
    }
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
