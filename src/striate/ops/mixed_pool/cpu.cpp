// mixed_pool: checks what would crash, makes the results, picks the instruction set.
#include <tuple>
#include <type_traits>

#include "_counted.h"

#define STRIATE_KERNELS "mixed_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

template <class T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

// `weights` has a row of shares, or a row for each tap of the gate, of each channel.
struct Call {
  Padded padded;
  Counts counts, inside;

  Call(const Tensor& input, const Tensor& weights, bool gated, const Ints& kernel, const Ints& stride, const Ints& ends,
       const Ints& dilation, const Ints& size, bool include)
      : padded(input, kernel, stride, ends, dilation, size),
        counts(padded.windows, include ? &padded.after : nullptr), inside(padded.windows, nullptr) {
    const auto wanted = input.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
    STD_TORCH_CHECK(weights.scalar_type() == wanted && weights.is_contiguous() && weights.dim() == 2 &&
                        weights.size(0) == (gated ? padded.windows.taps() : 1) && weights.size(1) == input.size(1),
                    "striate::mixed_pool: wanted a number for each channel, or for each tap and channel");
  }
};

Tensor mixed_pool(const Tensor& input, const Tensor& weights, bool gated, const Ints& kernel, const Ints& stride,
                  const Ints& ends, const Ints& dilation, const Ints& size, bool include) {
  const Call call(input, weights, gated, kernel, stride, ends, dilation, size, include);
  const Windows& w = call.padded.windows;
  Tensor output = make(input, output_sizes(w, input.dim() - 2), w.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(mixed_pool_forward<T>)(w, call.counts, call.inside, gated, data<Sum<T>>(weights), data<T>(input),
                                          mutable_data<T>(output));
  });
  return output;
}

// The gradients of the input and of the weights; the latter is empty where it is not wanted.
std::tuple<Tensor, Tensor> mixed_pool_gradient(const Tensor& gradient, const Tensor& input, const Tensor& weights,
                                               bool gated, const Ints& kernel, const Ints& stride, const Ints& ends,
                                               const Ints& dilation, bool include, bool of_weights) {
  const Call call(input, weights, gated, kernel, stride, ends, dilation,
                  Ints(gradient.sizes().begin() + 2, gradient.sizes().end()), include);
  const Windows& w = call.padded.windows;
  check_gradient(gradient, input, w);
  Tensor result = torch::stable::empty_like(input);
  const int64_t each = of_weights ? weights.size(0) : 0;
  Tensor slopes = make({each, w.channels}, weights.scalar_type());
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    const Workspace<Sum<T>> partials(w.images * w.channels * each), sums(w.channels * each);
    STRIATE_NATIVE(mixed_pool_backward<T>)(w, call.counts, call.inside, gated, data<Sum<T>>(weights), data<T>(input),
                                           data<T>(gradient), mutable_data<T>(result),
                                           of_weights ? partials.data() : nullptr);
    add_partials(partials.data(), of_weights ? w.images : 0, w.channels * each, sums.data());
    Sum<T>* to = mutable_data<Sum<T>>(slopes);
    for (int64_t c = 0; c < w.channels; ++c)
      for (int64_t k = 0; k < each; ++k) to[k * w.channels + c] = sums[c * each + k];
  });
  return {result, slopes};
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("mixed_pool", TORCH_BOX(&striate::mixed_pool));
  library.impl("mixed_pool.raw", TORCH_BOX(&striate::mixed_pool));
  library.impl("mixed_pool_backward", TORCH_BOX(&striate::mixed_pool_gradient));
}
