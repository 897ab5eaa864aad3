// Kernels of conv: depthwise convolution.
#include <type_traits>

#include "_window.h"

namespace striate {

template <class A>
struct Scratch {  // a piece's own memory
  A *tile, *out;
  const A **rows, **weights;
  A** sums;
  int64_t slots;  // rows of a plane that the tile keeps
};

}  // namespace striate

#define STRIATE_KERNELS "conv/depthwise.h"
#include "_each_isa.h"

namespace striate {
namespace {

// `ends` has the padding before and after along each dimension.
Windows describe(const Tensor& input, const Tensor& weight, const Ints& stride, const Ints& ends,
                   const Ints& dilation) {
  const int64_t rank = input.dim() - 2;
  const auto lists = static_cast<size_t>(rank);
  STD_TORCH_CHECK(rank >= 1 && rank <= 3 && weight.dim() == input.dim() && weight.size(0) == input.size(1) &&
                      weight.size(1) == 1 && weight.is_contiguous() && weight.scalar_type() == input.scalar_type() &&
                      stride.size() == lists && ends.size() == 2 * lists && dilation.size() == lists,
                  "striate::depthwise_conv: wanted (N, C, …), contiguous (C, 1, …) of one dtype, and numbers for each dimension");
  Windows d{input.size(0), input.size(1), !input.is_contiguous(), false, {}};
  for (int64_t i = 0; i < 3; ++i) d.axis[i] = {1, 1, 1, 1, 0, 1};
  for (int64_t i = 0; i < rank; ++i) {
    Axis& axis = d.axis[3 - rank + i];
    axis = {input.size(2 + i), 0, weight.size(2 + i), stride[i], ends[2 * i], dilation[i]};
    axis.out = (axis.in + ends[2 * i] + ends[2 * i + 1] - axis.dilation * (axis.kernel - 1) - 1) / axis.stride + 1;
    STD_TORCH_CHECK(axis.in > 0 && axis.kernel > 0 && axis.out > 0 && axis.stride > 0 && axis.dilation > 0,
                    "striate::depthwise_conv: the window does not fit");
  }
  return d;
}

Tensor depthwise_conv(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Ints& stride,
                      const Ints& ends, const Ints& dilation) {
  const Windows d = describe(input, weight, stride, ends, dilation);
  STD_TORCH_CHECK(!bias || (bias->numel() == d.channels && bias->scalar_type() == input.scalar_type() && bias->is_contiguous()),
                  "striate::depthwise_conv: wanted a bias for each channel");
  Tensor output = make(input, output_sizes(d, input.dim() - 2), d.input_last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(depthwise_forward<T>)(d, data<T>(input), data<T>(weight), bias ? data<T>(*bias) : nullptr,
                                         mutable_data<T>(output));
  });
  return output;
}

std::tuple<Tensor, Tensor, Tensor> depthwise_conv_backward(const Tensor& gradient, const Tensor& input,
                                                           const Tensor& weight, const Ints& stride, const Ints& ends,
                                                           const Ints& dilation, const std::vector<bool>& wanted) {
  Windows d = describe(input, weight, stride, ends, dilation);
  d.gradient_last = !gradient.is_contiguous();
  const Ints sizes = output_sizes(d, input.dim() - 2);
  for (size_t i = 0; i < sizes.size(); ++i)
    STD_TORCH_CHECK(gradient.dim() == input.dim() && gradient.size(static_cast<int64_t>(i)) == sizes[i],
                    "striate::depthwise_conv_backward: the gradient is not shaped like the output");
  const auto result = [](const Tensor& like, bool is_wanted) {
    return is_wanted ? torch::stable::empty_like(like) : make({0}, like.scalar_type());
  };
  Tensor of_input = result(input, wanted[0]), of_weight = result(weight, wanted[1]);
  Tensor of_bias = make({wanted[2] ? d.channels : 0}, input.scalar_type());
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(depthwise_backward<T>)(d, data<T>(gradient), data<T>(input), data<T>(weight),
                                          wanted[0] ? mutable_data<T>(of_input) : nullptr,
                                          wanted[1] ? mutable_data<T>(of_weight) : nullptr,
                                          wanted[2] ? mutable_data<T>(of_bias) : nullptr);
  });
  return {of_input, of_weight, of_bias};
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("depthwise_conv", TORCH_BOX(&striate::depthwise_conv));
  library.impl("depthwise_conv.raw", TORCH_BOX(&striate::depthwise_conv));
  library.impl("depthwise_conv_backward", TORCH_BOX(&striate::depthwise_conv_backward));
}
