// Spectral pooling of pictures as a matrix product along columns and one along rows; lanes are channels.
//
// The map along a dimension of n samples is symmetric: exchanging sample j with n − j and result i with m − i changes
// nothing. So it works on the sums and the differences of such pairs, and gives two results at a time: half the products.
#include "_planes.h"

constexpr int TOGETHER = REGISTERS == 32 ? 3 : 1;  // rows of the matrix
constexpr int BESIDE = 4;                          // vectors along the other dimension

// R rows of the matrix, from `row` on, times the B folded vectors of each pair of samples.
template <class A, int R, int B>
STRIATE_INLINE void results_of(const Fold& fold, const A* matrix, int64_t row, const A* folded, A* to, int64_t along,
                               int64_t across) {
  constexpr int V = lanes<A>;
  vec<A> even[R][B], odd[R][B];
  UNROLLED(r, R) UNROLLED(b, B) even[r][b] = odd[r][b] = vec<A>{};
  const A* line = matrix + row * fold.in;
  int64_t j = 0;
  for (; j < fold.even; ++j)
    UNROLLED(r, R) {
      const vec<A> factor = broadcast<vec<A>>(line[r * fold.in + j]);
      UNROLLED(b, B) even[r][b] += factor * load(folded + (j * BESIDE + b) * V);
    }
  for (; j < fold.in; ++j)
    UNROLLED(r, R) {
      const vec<A> factor = broadcast<vec<A>>(line[r * fold.in + j]);
      UNROLLED(b, B) odd[r][b] += factor * load(folded + (j * BESIDE + b) * V);
    }
  UNROLLED(r, R) {
    const int64_t i = row + r;
    const bool is_extra = i == fold.half;  // the row behind those of the map
    UNROLLED(b, B) store(to + (is_extra ? fold.out : i) * along + b * across, even[r][b] + odd[r][b]);
    if (is_extra || i == 0 || 2 * i == fold.out) continue;
    UNROLLED(b, B) store(to + (fold.out - i) * along + b * across, even[r][b] - odd[r][b]);
  }
}

template <class A, int B>
STRIATE_INLINE void product_of(const Fold& fold, const A* matrix, const A* from, int64_t from_along,
                               int64_t from_across, A* folded, A* to, int64_t along, int64_t across) {
  constexpr int V = lanes<A>;
  for (int64_t j = 0; j < fold.even; ++j) {
    const int64_t mirror = fold.in - j;
    const bool is_pair = j > 0 && mirror != j;
    UNROLLED(b, B) {
      const vec<A> x = load(from + j * from_along + b * from_across);
      if (!is_pair) {
        store(folded + (j * BESIDE + b) * V, x);
        continue;
      }
      const vec<A> other = load(from + mirror * from_along + b * from_across);
      store(folded + (j * BESIDE + b) * V, x + other);
      store(folded + ((fold.even + j - 1) * BESIDE + b) * V, x - other);
    }
  }
  int64_t row = 0;
  for (; row + TOGETHER <= fold.rows; row += TOGETHER)
    results_of<A, TOGETHER, B>(fold, matrix, row, folded, to, along, across);
  for (; row < fold.rows; ++row) results_of<A, 1, B>(fold, matrix, row, folded, to, along, across);
}

// Along one dimension, for `count` places of the other.
template <class A>
void product(const Fold& fold, const A* matrix, const A* from, int64_t from_along, int64_t from_across, int64_t count,
             A* folded, A* to, int64_t along, int64_t across) {
  int64_t i = 0;
  for (; i + BESIDE <= count; i += BESIDE)
    product_of<A, BESIDE>(fold, matrix, from + i * from_across, from_along, from_across, folded, to + i * across, along,
                          across);
  for (; i < count; ++i)
    product_of<A, 1>(fold, matrix, from + i * from_across, from_along, from_across, folded, to + i * across, along, across);
}

template <class A>
Workspace<A> in_type(const std::vector<double>& numbers) {
  Workspace<A> copy(static_cast<int64_t>(numbers.size()));
  for (size_t i = 0; i < numbers.size(); ++i) copy.data()[i] = static_cast<A>(numbers[i]);
  return copy;
}

// `w` has windows of one sample: the sizes in and out are what counts.
template <class T>
void spectral_pool_planes(const Windows& w, const Fold& rows, const Fold& columns, const T* x, T* y) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t height = rows.in, width = columns.in, blocks = (w.channels + V - 1) / V;
  const bool has_lone = rows.rows > rows.half;
  const auto row_matrix = in_type<A>(rows.matrix), column_matrix = in_type<A>(columns.matrix);
  const auto u = in_type<A>(rows.u), last = in_type<A>(columns.u), v = in_type<A>(columns.v);
  const int64_t longest = height > width ? height : width;
  const Line line{0, 1, columns.out, 1, 0, true, nullptr, nullptr};
  for_pieces(w.images * blocks, [&](int64_t piece) {
    const int64_t block = piece % blocks, image = piece / blocks;
    const Workspace<A> tile(height * width * V), half((rows.out + 1) * width * V), folded(longest * BESIDE * V);
    const Workspace<A> result(rows.out * columns.out * V);
    const auto from = planes_of(w, x, w.input_last, image, block, w.in_size());
    const auto to = planes_of(w, y, w.input_last, image, block, w.out_size());
    for (int64_t row = 0; row < height; ++row) pack_row<T>(from, row * width, width, tile.data() + row * width * V);
    product<A>(rows, row_matrix.data(), tile.data(), width * V, V, width, folded.data(), half.data(), width * V, V);
    product<A>(columns, column_matrix.data(), half.data(), V, width * V, rows.out, folded.data(), result.data(), V,
               columns.out * V);
    vec<A> lone{};
    for (int64_t i = 0; has_lone && i < width; ++i)
      lone += broadcast<vec<A>>(v[i]) * load(half.data() + (rows.out * width + i) * V);
    for (int64_t row = 0; row < rows.out; ++row) {
      A* out = result.data() + row * columns.out * V;
      for (int64_t i = 0; has_lone && i < columns.out; ++i)
        store(out + i * V, load(out + i * V) - broadcast<vec<A>>(u[row] * last[i]) * lone);
      unpack_row<T>(out, row * columns.out, line, to);
    }
  });
}
