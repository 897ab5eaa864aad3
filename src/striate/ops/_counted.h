// How many taps of each window lie in the picture, for kernels that divide by it and what calls them.
#pragma once

#include "_window.h"

namespace striate {

// Along each dimension the number of taps of each window in the input, or in the input and its padding.
struct Counts {
  Ints taps[3];

  // `after`: the padding behind the input along the last dimensions, which counts too; null: none does.
  Counts(const Windows& w, const Ints* after) {
    const size_t first = after ? 3 - after->size() : 3;
    for (size_t i = 0; i < 3; ++i) {
      const Axis& axis = w.axis[i];
      const int64_t begin = after ? -axis.before : 0, end = axis.in + (i >= first ? (*after)[i - first] : 0);
      taps[i].resize(static_cast<size_t>(axis.out));
      for (int64_t o = 0; o < axis.out; ++o)
        for (int64_t k = 0; k < axis.kernel; ++k) {
          const int64_t at = o * axis.stride - axis.before + k * axis.dilation;
          taps[i][static_cast<size_t>(o)] += at >= begin && at < end;
        }
    }
  }
  // At least one: windows in nothing but padding have nothing to divide.
  template <class A>
  A of_row(int64_t plane, int64_t row) const {
    return least_one<A>(of(plane, row));
  }
  template <class A>
  A of_column(int64_t column) const {
    return least_one<A>(taps[2][static_cast<size_t>(column)]);
  }
  int64_t of(int64_t plane, int64_t row) const {  // but for the columns
    return taps[0][static_cast<size_t>(plane)] * taps[1][static_cast<size_t>(row)];
  }

 private:
  template <class A>
  static A least_one(int64_t count) {
    return static_cast<A>(count ? count : 1);
  }
};

// The windows of a pooling with paddings before and after each dimension: b₀, a₀, b₁, a₁, …
struct Padded {
  Windows windows;
  Ints after;

  Padded(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& ends, const Ints& dilation,
         const Ints& size) {
    Ints before;
    STD_TORCH_CHECK(ends.size() == 2 * kernel.size(), "a pooling kernel wants two paddings for each dimension");
    for (size_t i = 0; i < ends.size(); i += 2) before.push_back(ends[i]), after.push_back(ends[i + 1]);
    windows = pooling(input, kernel, stride, before, dilation, size);
  }
};

// The gradient of the windows' results: of the input's batch, channels, dtype and layout.
inline void check_gradient(const Tensor& gradient, const Tensor& input, const Windows& w) {
  STD_TORCH_CHECK(gradient.scalar_type() == input.scalar_type() && gradient.dim() == input.dim() &&
                      gradient.size(0) == w.images && gradient.size(1) == w.channels && is_dense(gradient, w.input_last),
                  "a pooling kernel's gradient is not that of this input");
}

}  // namespace striate
