// Poolings of small planes: some planes are turned so that a plane is in each lane, pooled like channels that lie
// side by side, and turned back. Their rows are too short for the registers.
//
// Pasted after _neighbours.h.

constexpr int64_t TURNED = 64;          // planes at a time
constexpr int64_t LARGEST_TURNED = 256;  // numbers of a plane

inline bool has_small_planes(const Windows& w) {
  return !w.input_last && w.in_size() <= LARGEST_TURNED && w.axis[2].in <= 16 && w.images * w.channels >= TURNED / 2;
}

// `count` planes of `size` numbers are turned, where `pitch` planes have room; no others are there. load(c, i, some) gives
// numbers from i on of plane c, store(i, c, numbers) takes number i of planes from c on.
template <class V, class Load, class Store>
STRIATE_INLINE void turn_by(int64_t count, int64_t size, int64_t pitch, const Load& load, const Store& store) {
  constexpr int N = sizeof(V) / sizeof(V{}[0]);
  for (int64_t c = 0; c < pitch; c += N)
    for (int64_t i = 0; i < size; i += N) {
      const int some = static_cast<int>(size - i < N ? size - i : N);
      V square[N];
      UNROLLED(k, N) square[k] = c + k < count ? load(c + k, i, some) : V{};
      transpose(square);
      for (int k = 0; k < some; ++k) store(i + k, c, square[k]);
    }
}

// The way back: load(i, c) gives number i of planes from c on, store(c, i, numbers, some) takes numbers of plane c.
template <class V, class Load, class Store>
STRIATE_INLINE void turn_back_by(int64_t count, int64_t size, int64_t pitch, const Load& load, const Store& store) {
  constexpr int N = sizeof(V) / sizeof(V{}[0]);
  for (int64_t c = 0; c < pitch; c += N)
    for (int64_t i = 0; i < size; i += N) {
      const int some = static_cast<int>(size - i < N ? size - i : N);
      V square[N];
      UNROLLED(k, N) square[k] = k < some ? load(i + k, c) : V{};
      transpose(square);
      for (int k = 0; k < N && c + k < count; ++k) store(c + k, i, square[k], some);
    }
}

// To to[number][plane]. The processor does not foresee so many streams.
template <class T>
void turn(const T* from, int64_t count, int64_t size, arithmetic<T>* to, int64_t pitch) {
  turn_by<vec<T>>(
      count, size, pitch,
      [&](int64_t plane, int64_t i, int some) {
        __builtin_prefetch(from + (plane + lanes<T>) * size + i);
        return load_some(from + plane * size + i, some);
      },
      [&](int64_t i, int64_t plane, vec<T> numbers) { store(to + i * pitch + plane, numbers); });
}
template <class T>
void turn_back(const arithmetic<T>* from, int64_t count, int64_t size, T* to, int64_t pitch) {
  turn_back_by<vec<T>>(
      count, size, pitch, [&](int64_t i, int64_t plane) { return load(from + i * pitch + plane); },
      [&](int64_t plane, int64_t i, vec<T> numbers, int some) {
        __builtin_prefetch(to + (plane + lanes<T>) * size + i, 1);
        store_some(to + plane * size + i, numbers, some);
      });
}

// Calls body(windows, plane, count) for each `count` planes from number `plane` on, with the windows of a picture
// that has them as channels, and perhaps some more.
template <class T, class Body>
void for_small_planes(const Windows& w, const Body& body) {
  const int64_t planes = w.images * w.channels;
  for_pieces(piece_size(planes, TURNED), [&](int64_t piece) {
    const int64_t first = piece * TURNED, count = planes - first < TURNED ? planes - first : TURNED;
    Windows turned = w;
    turned.images = 1;
    turned.channels = piece_size(count, lanes<T>) * lanes<T>;
    turned.input_last = true;
    body(turned, first, count);
  });
}
