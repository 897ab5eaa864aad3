// spectral_pool: builds the maps, checks what would crash, makes the result, picks the instruction set.
#include <cmath>
#include <list>
#include <memory>
#include <type_traits>
#include <vector>

#include "_window.h"

namespace striate {

// A map along one dimension on the sums and differences of sample j and sample n − j; op.py has the formulas.
struct Fold {
  int64_t in, out;
  int64_t even, half, rows;    // sums; results before their mirror images; those and the row for v
  std::vector<double> matrix;  // (rows, in): for the sums, then for the differences
  std::vector<double> u, v;    // the imaginary part is their outer product; empty where there is none

  // From `in` samples to `out`, or the transposed map from `out` to `in`; `with_v`: one more row, the product with v.
  Fold(int64_t in_, int64_t out_, bool transposed, bool with_v) : in(in_), out(out_), even(in / 2 + 1), half(out / 2 + 1), rows(half) {
    const int64_t n = transposed ? out : in, m = transposed ? in : out, kept = n < m ? n : m, period = m * n;
    const auto sine = [](int64_t a, int64_t b) {
      return std::sin(static_cast<double>(a % (2 * b)) * (M_PI / static_cast<double>(b)));
    };
    const auto entry = [&](int64_t i, int64_t j) {  // of the map from n to m
      const int64_t theta = i * n - j * m;
      if (theta % period == 0) return static_cast<double>(kept) / static_cast<double>(n);
      double ratio = sine(theta * kept, period) / sine(theta, period);
      if (kept % 2 == 0) ratio *= std::cos(static_cast<double>(theta % (2 * period)) * (M_PI / static_cast<double>(period)));
      return ratio / static_cast<double>(n);
    };
    matrix.resize(static_cast<size_t>(half * in));
    for (int64_t i = 0; i < half; ++i)
      fold(&matrix[static_cast<size_t>(i * in)], [&](int64_t j) { return transposed ? entry(j, i) : entry(i, j); });
    if (kept % 2) return;
    std::vector<double> of_m, of_n;
    const auto alternating = [](int64_t i) { return i % 2 ? -1. : 1.; };
    for (int64_t i = 0; i < m; ++i) of_m.push_back(m < n ? alternating(i) : -sine(i * kept, m));
    for (int64_t j = 0; j < n; ++j) of_n.push_back((m < n ? sine(j * kept, n) : alternating(j)) / static_cast<double>(n));
    u = transposed ? of_n : of_m;
    v = transposed ? of_m : of_n;
    if (!with_v) return;
    matrix.resize(static_cast<size_t>((half + 1) * in));
    fold(&matrix[static_cast<size_t>(half * in)], [&](int64_t j) { return v[static_cast<size_t>(j)]; });
    rows = half + 1;
  }

 private:
  template <class Row>
  void fold(double* to, const Row& row) const {
    for (int64_t j = 0; j < even; ++j) {
      const double one = row(j);
      if (j == 0 || in - j == j) {
        to[j] = one;
        continue;
      }
      const double other = row(in - j);
      to[j] = (one + other) / 2;
      to[even + j - 1] = (one - other) / 2;
    }
  }
};

}  // namespace striate

#define STRIATE_KERNELS "spectral_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

// The map along a dimension. A thread keeps the last few small ones: a layer asks for them at every call, and their sines
// take longer than the pooling of a small picture.
std::shared_ptr<const Fold> fold_of(const Axis& axis, bool transposed, bool with_v) {
  constexpr size_t KEPT = 8, LARGEST = 1 << 15;  // maps; numbers of one
  struct Entry {
    bool transposed, with_v;
    std::shared_ptr<const Fold> fold;
  };
  thread_local std::list<Entry> kept;
  for (const Entry& entry : kept)
    if (entry.fold->in == axis.in && entry.fold->out == axis.out && entry.transposed == transposed && entry.with_v == with_v)
      return entry.fold;
  const auto fold = std::make_shared<const Fold>(axis.in, axis.out, transposed, with_v);
  if (fold->matrix.size() > LARGEST) return fold;
  if (kept.size() == KEPT) kept.pop_back();
  kept.push_front({transposed, with_v, fold});
  return fold;
}

// Of (N, C, H, W) to `size`; or the transposed map from there, the gradient of that from `size` to (H, W).
Tensor spectral_pool(const Tensor& input, const Ints& size, bool transposed) {
  STD_TORCH_CHECK(input.dim() == 4, "striate::spectral_pool: wanted pictures");
  const Windows w = pooling(input, {1, 1}, {1, 1}, {0, 0}, {1, 1}, size);
  const auto is_even = [&](const Axis& axis) { return (axis.in < axis.out ? axis.in : axis.out) % 2 == 0; };
  const bool with_v = is_even(w.axis[1]) && is_even(w.axis[2]);
  const auto rows = fold_of(w.axis[1], transposed, with_v), columns = fold_of(w.axis[2], transposed, false);
  Tensor output = make(input, output_sizes(w, 2), w.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(spectral_pool_planes<T>)(w, *rows, *columns, data<T>(input), mutable_data<T>(output));
  });
  return output;
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("spectral_pool", TORCH_BOX(&striate::spectral_pool));
  library.impl("spectral_pool.raw", TORCH_BOX(&striate::spectral_pool));
}
