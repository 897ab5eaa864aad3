// Poolings of small planes: some planes are turned so that a plane is in each lane, pooled like channels that lie
// side by side, and turned back. Their rows are too short for the registers.
//
// Pasted after _neighbours.h.

constexpr int64_t TURNED = 64;          // planes at a time
constexpr int64_t LARGEST_TURNED = 256;  // numbers of a plane

inline bool has_small_planes(const Windows& w) {
  return !w.input_last && w.in_size() <= LARGEST_TURNED && w.axis[2].in <= 16 && w.images * w.channels >= TURNED / 2;
}

// `count` planes of `size` numbers to to[number][plane], where `pitch` planes have room; no others are there.
template <class T>
void turn(const T* from, int64_t count, int64_t size, arithmetic<T>* to, int64_t pitch) {
  constexpr int V = lanes<T>;
  for (int64_t c = 0; c < pitch; c += V)
    for (int64_t i = 0; i < size; i += V) {
      const int some = static_cast<int>(size - i < V ? size - i : V);
      // The processor does not foresee so many streams.
      UNROLLED(k, V) __builtin_prefetch(from + (c + V + k) * size + i);
      vec<T> square[V];
      UNROLLED(k, V) square[k] = c + k < count ? load_some(from + (c + k) * size + i, some) : vec<T>{};
      transpose(square);
      for (int k = 0; k < some; ++k) store(to + (i + k) * pitch + c, square[k]);
    }
}

template <class T>
void turn_back(const arithmetic<T>* from, int64_t count, int64_t size, T* to, int64_t pitch) {
  constexpr int V = lanes<T>;
  for (int64_t c = 0; c < pitch; c += V)
    for (int64_t i = 0; i < size; i += V) {
      const int some = static_cast<int>(size - i < V ? size - i : V);
      UNROLLED(k, V) __builtin_prefetch(to + (c + V + k) * size + i, 1);
      vec<T> square[V];
      UNROLLED(k, V) square[k] = k < some ? load(from + (i + k) * pitch + c) : vec<T>{};
      transpose(square);
      for (int k = 0; k < V && c + k < count; ++k) store_some(to + (c + k) * size + i, square[k], some);
    }
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
