// max_pool: checks what would crash, makes the results, picks the instruction set.
#include <type_traits>

#include "_window.h"

#define STRIATE_KERNELS "max_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

constexpr int64_t MOST_TAPS = 255;  // a winner is a byte
Windows checked(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& padding, const Ints& size) {
  const Windows w = pooling(input, kernel, stride, padding, Ints(kernel.size(), 1), size);
  for (const Axis& axis : w.axis)
    STD_TORCH_CHECK(axis.before < axis.kernel && (axis.out - 1) * axis.stride < axis.in + axis.before,
                    "striate::max_pool: wanted windows that reach into the input");
  STD_TORCH_CHECK(w.taps() <= MOST_TAPS, "striate::max_pool: wanted at most 255 taps");
  return w;
}

Tensor max_pool_values(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& padding, const Ints& size) {
  const Windows w = checked(input, kernel, stride, padding, size);
  Tensor output = make(input, output_sizes(w, input.dim() - 2), w.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(max_pool_forward<T>)(w, data<T>(input), mutable_data<T>(output), nullptr);
  });
  return output;
}

std::tuple<Tensor, Tensor> max_pool_winners(const Tensor& input, const Ints& kernel, const Ints& stride,
                                            const Ints& padding, const Ints& size) {
  const Windows w = checked(input, kernel, stride, padding, size);
  const Ints sizes = output_sizes(w, input.dim() - 2);
  Tensor output = make(input, sizes, w.input_last), winners = make(sizes, ScalarType::Byte, w.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(max_pool_forward<T>)(w, data<T>(input), mutable_data<T>(output), mutable_data<uint8_t>(winners));
  });
  return {output, winners};
}

Tensor max_pool_gradient(const Tensor& gradient, const Tensor& winners, const Tensor& input, const Ints& kernel,
                          const Ints& stride, const Ints& padding) {
  const Windows w = checked(input, kernel, stride, padding, Ints(gradient.sizes().begin() + 2, gradient.sizes().end()));
  STD_TORCH_CHECK(gradient.scalar_type() == input.scalar_type() && gradient.size(0) == w.images &&
                      gradient.size(1) == w.channels && is_dense(gradient, w.input_last) &&
                      winners.numel() == gradient.numel() && is_dense(winners, w.input_last),
                  "striate::max_pool_backward: the gradient is not that of this input");
  Tensor result = torch::stable::empty_like(input);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(max_pool_backward<T>)(w, data<T>(gradient), data<uint8_t>(winners), mutable_data<T>(result));
  });
  return result;
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("max_pool", TORCH_BOX(&striate::max_pool_winners));
  library.impl("max_pool.raw", TORCH_BOX(&striate::max_pool_winners));
  library.impl("max_pool_values", TORCH_BOX(&striate::max_pool_values));
  library.impl("max_pool_backward", TORCH_BOX(&striate::max_pool_gradient));
}
