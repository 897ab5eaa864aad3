// Depthwise convolution and its transpose: checks what would crash, makes the results, picks the instruction set.
#include <type_traits>

#include "_large_pages.h"
#include "_window.h"
#include "conv/_depthwise_last.h"
#include "conv/_depthwise_rows.h"

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

// The convolution of a tensor shaped (N, C, `sizes`); `ends` has the padding before and after along each dimension.
Windows describe(const Tensor& like, const Ints& sizes, const Tensor& weight, const Ints& stride, const Ints& ends,
                 const Ints& dilation) {
  const int64_t rank = like.dim() - 2;
  const auto lists = static_cast<size_t>(rank);
  STD_TORCH_CHECK(rank >= 1 && rank <= 3 && weight.dim() == like.dim() && weight.size(0) == like.size(1) &&
                      weight.size(1) == 1 && weight.is_contiguous() && weight.scalar_type() == like.scalar_type() &&
                      sizes.size() == lists && stride.size() == lists && ends.size() == 2 * lists &&
                      dilation.size() == lists && like.numel() > 0 && is_dense(like, !like.is_contiguous()),
                  "a depthwise kernel wants (N, C, …), contiguous (C, 1, …) of one dtype, and numbers for each dimension");
  Windows d{like.size(0), like.size(1), !like.is_contiguous(), false, {}};
  for (int64_t i = 0; i < 3; ++i) d.axis[i] = {1, 1, 1, 1, 0, 1};
  for (int64_t i = 0; i < rank; ++i) {
    Axis& axis = d.axis[3 - rank + i];
    axis = {sizes[i], 0, weight.size(2 + i), stride[i], ends[2 * i], dilation[i]};
    STD_TORCH_CHECK(axis.in > 0 && axis.kernel > 0 && axis.stride > 0 && axis.dilation > 0,
                    "a depthwise kernel wants sizes, kernels, strides and dilations from 1");
    const int64_t room = axis.in + ends[2 * i] + ends[2 * i + 1] - axis.dilation * (axis.kernel - 1) - 1;
    STD_TORCH_CHECK(room >= 0, "a depthwise kernel wants a window that fits");
    axis.out = room / axis.stride + 1;
  }
  return d;
}

Ints spatial(const Tensor& tensor) { return Ints(tensor.sizes().begin() + 2, tensor.sizes().end()); }

void check_bias(const Windows& d, const Tensor& weight, const std::optional<Tensor>& bias) {
  STD_TORCH_CHECK(!bias || (bias->numel() == d.channels && bias->scalar_type() == weight.scalar_type() && bias->is_contiguous()),
                  "a depthwise kernel wants a bias for each channel");
}

void check_output(const Windows& d, const Tensor& output, const Tensor& like) {
  const Ints sizes = output_sizes(d, like.dim() - 2);
  STD_TORCH_CHECK(output.dim() == like.dim() && output.scalar_type() == like.scalar_type() &&
                      is_dense(output, !output.is_contiguous()),
                  "a depthwise kernel wants tensors of one rank and dtype without gaps");
  for (size_t i = 0; i < sizes.size(); ++i)
    STD_TORCH_CHECK(output.size(static_cast<int64_t>(i)) == sizes[i], "a depthwise kernel wants sizes that belong together");
}

// The convolution of `from`, or, backward, its transpose, by the kernel for it.
template <class T>
void run(const Windows& d, bool backward, const T* from, const T* weight, const T* bias, T* to) {
  if (in_rows<T>(d))
    depthwise_rows(d, backward, from, weight, bias, to);
  else
    STRIATE_NATIVE(depthwise<T>)(d, backward, from, d.input_last, weight, bias, to, d.input_last);
}

Tensor depthwise_conv(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Ints& stride,
                      const Ints& ends, const Ints& dilation) {
  const Windows d = describe(input, spatial(input), weight, stride, ends, dilation);
  check_bias(d, weight, bias);
  Tensor output = in_large_pages(make(input, output_sizes(d, input.dim() - 2), d.input_last));
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    run(d, false, data<T>(input), data<T>(weight), bias ? data<T>(*bias) : nullptr, mutable_data<T>(output));
  });
  return output;
}

Tensor depthwise_conv_transpose(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                                const Ints& stride, const Ints& ends, const Ints& dilation, const Ints& size) {
  const Windows d = describe(input, size, weight, stride, ends, dilation);
  check_output(d, input, input);
  check_bias(d, weight, bias);
  Ints sizes{d.images, d.channels};
  sizes.insert(sizes.end(), size.begin(), size.end());
  Tensor output = in_large_pages(make(input, sizes, d.input_last));
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    run(d, true, data<T>(input), data<T>(weight), bias ? data<T>(*bias) : nullptr, mutable_data<T>(output));
  });
  return output;
}

std::tuple<Tensor, Tensor, Tensor> depthwise_conv_backward(const Tensor& gradient, const Tensor& input,
                                                           const Tensor& weight, const Ints& stride, const Ints& ends,
                                                           const Ints& dilation, const std::vector<bool>& wanted) {
  Windows d = describe(input, spatial(input), weight, stride, ends, dilation);
  d.gradient_last = !gradient.is_contiguous();
  check_output(d, gradient, input);
  const auto result = [](const Tensor& like, bool is_wanted) {
    return is_wanted ? in_large_pages(torch::stable::empty_like(like)) : make({0}, like.scalar_type());
  };
  Tensor of_input = result(input, wanted[0]), of_weight = result(weight, wanted[1]);
  Tensor of_bias = make({wanted[2] ? d.channels : 0}, input.scalar_type());
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    T *dx = wanted[0] ? mutable_data<T>(of_input) : nullptr, *dweight = wanted[1] ? mutable_data<T>(of_weight) : nullptr;
    T* dbias = wanted[2] ? mutable_data<T>(of_bias) : nullptr;
    const auto run = in_rows<T>(d) ? depthwise_rows_backward<T> : STRIATE_NATIVE(depthwise_backward<T>);
    run(d, data<T>(gradient), data<T>(input), data<T>(weight), dx, dweight, dbias);
  });
  return {of_input, of_weight, of_bias};
}

}  // namespace

void depthwise_last_pair(const Windows& first, const Windows& second, const float* x, const float* down, const float* down_bias,
                         const float* along, const float* along_bias, float* y) {
  using T = float;
  STRIATE_NATIVE(correlate_pair<T>)(first, second, x, down, down_bias, along, along_bias, y);
}

void depthwise_last_pair_backward(const Windows& first, const Windows& second, const float* dy, const float* x,
                                  const float* down, const float* down_bias, const float* along, float* dx,
                                  float* const (&found)[4]) {
  using T = float;
  STRIATE_NATIVE(correlate_pair_backward<T>)(first, second, dy, x, down, down_bias, along, dx, found);
}

}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("depthwise_conv", TORCH_BOX(&striate::depthwise_conv));
  library.impl("depthwise_conv.raw", TORCH_BOX(&striate::depthwise_conv));
  library.impl("depthwise_conv_transpose", TORCH_BOX(&striate::depthwise_conv_transpose));
  library.impl("depthwise_conv_transpose.raw", TORCH_BOX(&striate::depthwise_conv_transpose));
  library.impl("depthwise_conv_backward", TORCH_BOX(&striate::depthwise_conv_backward));
}
