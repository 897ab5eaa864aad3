// Average pooling and its gradient where one window is over the whole picture and columns lie side by side.
//
// Pasted after _rows.h.

template <class T>
void avg_of_pictures(const T* x, int64_t pictures, int64_t size, arithmetic<T> divisor, T* y) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t some_pictures = piece_size(Sweep::PIECE, size);
  for_pieces(piece_size(pictures, some_pictures), [&](int64_t piece) {
    const int64_t begin = piece * some_pictures;
    const int64_t count = begin + some_pictures < pictures ? some_pictures : pictures - begin;
    const Workspace<vec<A>> parts(count);
    const Workspace<A> totals(count + V);
    for (int64_t picture = 0; picture < count; ++picture) {
      const T* from = x + (begin + picture) * size;
      vec<A> total{};
      int64_t i = 0;
      for (; i + V <= size; i += V) total += load(from + i);
      if (i < size) total += load_first(from + i, static_cast<int>(size - i));
      parts[picture] = total;
    }
    sums(parts.data(), count, totals.data());
    for (int64_t i = 0; i < count; i += V) {
      const int some = static_cast<int>(count - i < V ? count - i : V);
      store_some(y + begin + i, load(totals.data() + i) / broadcast<vec<A>>(divisor), some);
    }
  });
}

template <class T>
void avg_of_pictures_backward(const T* dy, int64_t pictures, int64_t size, arithmetic<T> divisor, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t some_pictures = piece_size(Sweep::PIECE, size);
  for_pieces(piece_size(pictures, some_pictures), [&](int64_t piece) {
    const int64_t begin = piece * some_pictures;
    const int64_t end = begin + some_pictures < pictures ? begin + some_pictures : pictures;
    for (int64_t picture = begin; picture < end; ++picture) {
      const vec<A> share = broadcast<vec<A>>(load_one(dy + picture) / divisor);
      T* to = dx + picture * size;
      int64_t i = 0;
      for (; i + V <= size; i += V) store(to + i, share);
      if (i < size) store_first(to + i, share, static_cast<int>(size - i));
    }
  });
}
