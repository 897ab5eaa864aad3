// lp_pool: checks what would crash, makes the results, picks the instruction set.
#include <type_traits>

#include "_counted.h"

#define STRIATE_KERNELS "lp_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

struct Call {
  Padded padded;
  Counts counts;
  double full;

  Call(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& ends, const Ints& dilation,
       const Ints& size, bool mean)
      : padded(input, kernel, stride, ends, dilation, size),
        counts(padded.windows, mean ? nullptr : &padded.after),
        full(mean ? 1. : static_cast<double>(padded.windows.taps())) {}
};

Tensor lp_pool(const Tensor& input, double p, const Ints& kernel, const Ints& stride, const Ints& ends,
               const Ints& dilation, const Ints& size, bool mean) {
  const Call call(input, kernel, stride, ends, dilation, size, mean);
  const Windows& w = call.padded.windows;
  Tensor output = make(input, output_sizes(w, input.dim() - 2), w.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(lp_pool_forward<T>)(w, call.counts, p, call.full, data<T>(input), mutable_data<T>(output));
  });
  return output;
}

Tensor lp_pool_gradient(const Tensor& gradient, const Tensor& input, const Tensor& norms, double p, const Ints& kernel,
                        const Ints& stride, const Ints& ends, const Ints& dilation, bool mean) {
  const Call call(input, kernel, stride, ends, dilation, Ints(gradient.sizes().begin() + 2, gradient.sizes().end()), mean);
  const Windows& w = call.padded.windows;
  check_gradient(gradient, input, w);
  check_gradient(norms, input, w);
  STD_TORCH_CHECK(norms.numel() == gradient.numel(), "striate::lp_pool_backward: the norms are not those of this input");
  Tensor result = torch::stable::empty_like(input);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(lp_pool_backward<T>)(w, call.counts, p, call.full, data<T>(input), data<T>(gradient), data<T>(norms),
                                        mutable_data<T>(result));
  });
  return result;
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("lp_pool", TORCH_BOX(&striate::lp_pool));
  library.impl("lp_pool.raw", TORCH_BOX(&striate::lp_pool));
  library.impl("lp_pool_backward", TORCH_BOX(&striate::lp_pool_gradient));
}
