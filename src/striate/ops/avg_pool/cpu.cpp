// avg_pool: checks what would crash, makes the results, picks the instruction set.
#include <type_traits>

#include "_window.h"

namespace striate {

// By what the sums of the windows are divided: one number for all, or the taps that count, by dimension.
struct Divisors {
  int64_t fixed;
  Ints taps[3];

  // Of one window, which is in a row and in a column of windows.
  template <class A>
  A of(int64_t plane, int64_t row, int64_t column) const {
    return of_row<A>(plane, row) * of_column<A>(column);
  }
  template <class A>
  A of_row(int64_t plane, int64_t row) const {
    return fixed ? A{1} : least_one<A>(taps[0][plane]) * least_one<A>(taps[1][row]);
  }
  template <class A>
  A of_column(int64_t column) const {
    return fixed ? static_cast<A>(fixed) : least_one<A>(taps[2][column]);
  }

 private:
  template <class A>  // windows in nothing but padding have sum 0 anyhow
  static A least_one(int64_t taps) {
    return static_cast<A>(taps ? taps : 1);
  }
};

}  // namespace striate

#define STRIATE_KERNELS "avg_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

// Taps of each window that lie in the input, or, with `after` not null, in the input and its padding.
Ints counted(const Axis& axis, const int64_t* after) {
  Ints taps(static_cast<size_t>(axis.out));
  const int64_t begin = after ? -axis.before : 0, end = axis.in + (after ? *after : 0);
  for (int64_t o = 0; o < axis.out; ++o)
    for (int64_t k = 0; k < axis.kernel; ++k) {
      const int64_t at = o * axis.stride - axis.before + k * axis.dilation;
      taps[o] += at >= begin && at < end;
    }
  return taps;
}

// `ends` has the padding before and after along each dimension.
struct Call {
  Windows windows;
  Divisors divisors;

  Call(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& ends, const Ints& dilation,
       const Ints& size, bool count_include_pad, int64_t divisor) {
    Ints before, after;
    STD_TORCH_CHECK(ends.size() == 2 * kernel.size(), "striate::avg_pool: wanted two paddings for each dimension");
    for (size_t i = 0; i < ends.size(); i += 2) before.push_back(ends[i]), after.push_back(ends[i + 1]);
    windows = pooling(input, kernel, stride, before, dilation, size);
    divisors.fixed = divisor;
    const size_t first = 3 - kernel.size();
    const int64_t none = 0;
    for (size_t i = 0; i < 3; ++i)
      divisors.taps[i] =
          counted(windows.axis[i], !count_include_pad ? nullptr : i < first ? &none : &after[i - first]);
  }
};

Tensor avg_pool(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& ends, const Ints& dilation,
                const Ints& size, bool count_include_pad, int64_t divisor) {
  const Call call(input, kernel, stride, ends, dilation, size, count_include_pad, divisor);
  Tensor output = make(input, output_sizes(call.windows, input.dim() - 2), call.windows.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(avg_pool_forward<T>)(call.windows, call.divisors, data<T>(input), mutable_data<T>(output));
  });
  return output;
}

Tensor avg_pool_backward(const Tensor& gradient, const Tensor& input, const Ints& kernel, const Ints& stride,
                         const Ints& ends, const Ints& dilation, bool count_include_pad, int64_t divisor) {
  const Call call(input, kernel, stride, ends, dilation, Ints(gradient.sizes().begin() + 2, gradient.sizes().end()),
            count_include_pad, divisor);
  STD_TORCH_CHECK(gradient.scalar_type() == input.scalar_type() && gradient.size(0) == input.size(0) &&
                      gradient.size(1) == input.size(1) && is_dense(gradient, call.windows.input_last),
                  "striate::avg_pool_backward: the gradient is not that of this input");
  Tensor result = torch::stable::empty_like(input);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(avg_pool_backward<T>)(call.windows, call.divisors, data<T>(gradient), mutable_data<T>(result));
  });
  return result;
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("avg_pool", TORCH_BOX(&striate::avg_pool));
  library.impl("avg_pool.raw", TORCH_BOX(&striate::avg_pool));
  library.impl("avg_pool_backward", TORCH_BOX(&striate::avg_pool_backward));
}
