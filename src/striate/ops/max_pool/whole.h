// Max pooling and its gradient where one window is over the whole picture and columns lie side by side.
//
// Pasted after winners.h and _rows.h.

#if defined(STRIATE_AVX512)
STRIATE_INLINE uint32_t where_equal(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
STRIATE_INLINE uint32_t where_equal(doubles a, doubles b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
#else
template <class V>
STRIATE_INLINE uint32_t where_equal(V a, V b) {
  return bits_of(a == b);
}
#endif

template <int HALF, class V, int... i>
STRIATE_INLINE V largest_lane(V value, std::integer_sequence<int, i...> order) {
  const V other = __builtin_shufflevector(value, value, ((i + HALF) % static_cast<int>(sizeof...(i)))...);
  if constexpr (HALF == 1)
    return value > other ? value : other;
  else
    return largest_lane<HALF / 2>(value > other ? value : other, order);
}

template <class T>
vec<T> largest_or_nan(const T* x, int64_t size) {
  vec<T> largest = broadcast<vec<T>>(Largest::neutral);
  for (int64_t i = 0; i < size; ++i) largest = max_nan(largest, load_one(x + i) - vec<T>{});
  return largest;
}

// The first of `size` numbers that is the largest, or the last that is none.
template <class T>
STRIATE_INLINE int64_t winner_among(const T* x, int64_t size, vec<T> largest) {
  constexpr int V = lanes<T>;
  if (largest[0] != largest[0]) {
    int64_t last = size - 1;
    for (arithmetic<T> number = load_one(x + last); number == number; number = load_one(x + last)) --last;
    return last;
  }
  for (int64_t i = 0; i < size; i += V) {
    const int some = static_cast<int>(size - i < V ? size - i : V);
    if (const uint32_t found = where_equal(load_some(x + i, some), largest) & ((1u << some) - 1))
      return i + __builtin_ctz(found);
  }
  return 0;
}

// `winners` may be null.
template <class T>
void max_of_pictures(const T* x, int64_t pictures, int64_t size, T* y, uint8_t* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  using numbers = std::make_integer_sequence<std::conditional_t<sizeof(A) == 4, int32_t, int64_t>, V>;
  const A nothing = static_cast<A>(Largest::neutral);
  const int64_t some_pictures = piece_size(Sweep::PIECE, size);
  for_pieces(piece_size(pictures, some_pictures), [&](int64_t piece) {
    const int64_t begin = piece * some_pictures;
    const int64_t end = begin + some_pictures < pictures ? begin + some_pictures : pictures;
    for (int64_t picture = begin; picture < end; ++picture) {
      const T* from = x + picture * size;
      vec<A> largest = broadcast<vec<A>>(Largest::neutral), zeros{};  // unless there is an infinity or NaN
      int64_t i = 0;
      for (; i + V <= size; i += V) {
        const vec<A> value = load(from + i);
        largest = value > largest ? value : largest;
        zeros += value * 0;
      }
      if (const int rest = static_cast<int>(size - i)) {
        const vec<A> value = load_first(from + i, rest), last = first_of(value, rest, nothing, numbers{});
        largest = last > largest ? last : largest;
        zeros += value * 0;
      }
      largest = largest_lane<V / 2>(largest, std::make_integer_sequence<int, V>{});
      if (where_equal(zeros, zeros) != (1u << V) - 1) largest = largest_or_nan<T>(from, size);
      store_one(y + picture, largest[0]);
      if (winners) winners[picture] = static_cast<uint8_t>(winner_among(from, size, largest));
    }
  });
}

template <class T>
void max_of_pictures_backward(const T* dy, const uint8_t* winners, int64_t pictures, int64_t size, T* dx) {
  const int64_t some_pictures = piece_size(Sweep::PIECE, size);
  for_pieces(piece_size(pictures, some_pictures), [&](int64_t piece) {
    const int64_t begin = piece * some_pictures;
    const int64_t end = begin + some_pictures < pictures ? begin + some_pictures : pictures;
    std::memset(static_cast<void*>(dx + begin * size), 0, static_cast<size_t>((end - begin) * size) * sizeof(T));
    for (int64_t picture = begin; picture < end; ++picture) dx[picture * size + winners[picture]] = dy[picture];
  });
}
