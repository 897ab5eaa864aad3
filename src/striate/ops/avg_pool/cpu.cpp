// avg_pool: checks what would crash, makes the results, picks the instruction set.
#include <type_traits>

#include "_counted.h"

namespace striate {

// By what the sums of the windows are divided: one number for all, or the taps that count, by dimension.
struct Divisors {
  int64_t fixed;
  Counts counts;

  // Of one window, which is in a row and in a column of windows.
  template <class A>
  A of(int64_t plane, int64_t row, int64_t column) const {
    return of_row<A>(plane, row) * of_column<A>(column);
  }
  template <class A>
  A of_row(int64_t plane, int64_t row) const {
    return fixed ? A{1} : counts.of_row<A>(plane, row);
  }
  template <class A>
  A of_column(int64_t column) const {
    return fixed ? static_cast<A>(fixed) : counts.of_column<A>(column);
  }
};

}  // namespace striate

#define STRIATE_KERNELS "avg_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

struct Call {
  Padded padded;
  Divisors divisors;

  Call(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& ends, const Ints& dilation,
       const Ints& size, bool count_include_pad, int64_t divisor)
      : padded(input, kernel, stride, ends, dilation, size),
        divisors{divisor, Counts(padded.windows, count_include_pad ? &padded.after : nullptr)} {}
};

Tensor avg_pool(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& ends, const Ints& dilation,
                const Ints& size, bool count_include_pad, int64_t divisor) {
  const Call call(input, kernel, stride, ends, dilation, size, count_include_pad, divisor);
  const Windows& w = call.padded.windows;
  Tensor output = make(input, output_sizes(w, input.dim() - 2), w.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(avg_pool_forward<T>)(w, call.divisors, data<T>(input), mutable_data<T>(output));
  });
  return output;
}

Tensor avg_pool_backward(const Tensor& gradient, const Tensor& input, const Ints& kernel, const Ints& stride,
                         const Ints& ends, const Ints& dilation, bool count_include_pad, int64_t divisor) {
  const Call call(input, kernel, stride, ends, dilation, Ints(gradient.sizes().begin() + 2, gradient.sizes().end()),
            count_include_pad, divisor);
  const Windows& w = call.padded.windows;
  check_gradient(gradient, input, w);
  Tensor result = torch::stable::empty_like(input);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(avg_pool_backward<T>)(w, call.divisors, data<T>(gradient), mutable_data<T>(result));
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
