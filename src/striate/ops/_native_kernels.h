// A dot product: its sum is made in fixed pieces, so it has the same bits at any number of threads.

constexpr int64_t DOT_PIECE = 4096;

template <class T>
double dot_piece(const T* a, const T* b, int64_t count) {
  constexpr int step = lanes<T>;
  vec<T> total{};
  int64_t i = 0;
  for (; i + step <= count; i += step) total = fma(load(a + i), load(b + i), total);
  const int rest = static_cast<int>(count - i);
  if (rest) total = fma(load_first(a + i, rest), load_first(b + i, rest), total);
  return sum(total);
}

template <class T>
void dot(const T* a, const T* b, int64_t count, T* result) {
  const int64_t pieces = (count + DOT_PIECE - 1) / DOT_PIECE;
  const Workspace<double> partials(pieces);
  for_pieces(pieces, [&](int64_t piece) {
    const int64_t start = piece * DOT_PIECE;
    const int64_t length = count - start < DOT_PIECE ? count - start : DOT_PIECE;
    partials[piece] = dot_piece(a + start, b + start, length);
  });
  double total = 0;
  for (int64_t piece = 0; piece < pieces; ++piece) total += partials[piece];
  store_one(result, static_cast<arithmetic<T>>(total));
}
