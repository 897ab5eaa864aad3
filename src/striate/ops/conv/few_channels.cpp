// Convolution with few channels in a group: checks what would crash, makes the results, picks the instruction set.
#include "conv/_flat.h"

#define STRIATE_KERNELS "conv/few_channels.h"
#include "_each_isa.h"

namespace striate {
namespace {

// The convolution of x, shaped (pictures, channels, `sizes`), to y; one dimension is the columns of one row.
Flat describe(const Tensor& like, int64_t channels, const Ints& sizes, const Tensor& weight, const Ints& stride,
              const Ints& ends, const Ints& dilation, int64_t groups) {
  const int64_t rank = like.dim() - 2;
  const auto lists = static_cast<size_t>(rank);
  STD_TORCH_CHECK((rank == 1 || rank == 2) && weight.dim() == like.dim() && groups > 0 && channels > 0 &&
                      channels % groups == 0 && weight.size(0) % groups == 0 && weight.size(1) == channels / groups &&
                      weight.is_contiguous() && weight.numel() > 0 && weight.scalar_type() == like.scalar_type() &&
                      sizes.size() == lists && stride.size() == lists && ends.size() == 2 * lists &&
                      dilation.size() == lists && like.numel() > 0 && is_dense(like, !like.is_contiguous()),
                  "a kernel for few channels wants (N, C, …), contiguous weights of one dtype, and numbers for each dimension");
  Flat f{};
  f.pictures = like.size(0), f.groups = groups;
  f.high = {1, 1, 1, 1, 0, 1};
  for (int64_t i = 0; i < rank; ++i) {
    Track& track = i == rank - 1 ? f.wide : f.high;
    track = {sizes[i], 0, weight.size(2 + i), stride[i], ends[2 * i], dilation[i]};
    STD_TORCH_CHECK(track.in > 0 && track.kernel > 0 && track.stride > 0 && track.dilation > 0 && track.before >= 0,
                    "a kernel for few channels wants sizes, kernels, strides and dilations from 1");
    const int64_t room = track.in + ends[2 * i] + ends[2 * i + 1] - track.dilation * (track.kernel - 1) - 1;
    STD_TORCH_CHECK(room >= 0, "a kernel for few channels wants a window that fits");
    track.out = room / track.stride + 1;
  }
  const Track &h = f.high, &w = f.wide;
  f.x = {channels / groups, false, h.in, w.in, h.stride, w.stride, h.before, w.before, 0, 0};
  f.y = {weight.size(0) / groups, false, h.out, w.out, 1, 1, 0, 0, 0, 0};
  return f;
}

Ints spatial(const Tensor& tensor) { return Ints(tensor.sizes().begin() + 2, tensor.sizes().end()); }

Ints output_sizes(const Flat& f, int64_t rank) {
  Ints sizes{f.pictures, f.groups * f.y.channels};
  if (rank == 2) sizes.push_back(f.high.out);
  sizes.push_back(f.wide.out);
  return sizes;
}

void check_output(const Flat& f, const Tensor& output, const Tensor& like) {
  const Ints sizes = output_sizes(f, like.dim() - 2);
  STD_TORCH_CHECK(output.dim() == like.dim() && output.scalar_type() == like.scalar_type() &&
                      is_dense(output, !output.is_contiguous()),
                  "a kernel for few channels wants tensors of one rank and dtype without gaps");
  for (size_t i = 0; i < sizes.size(); ++i)
    STD_TORCH_CHECK(output.size(static_cast<int64_t>(i)) == sizes[i], "a kernel for few channels wants sizes that belong together");
}

void check_bias(const std::optional<Tensor>& bias, const Tensor& weight, int64_t channels) {
  STD_TORCH_CHECK(!bias || (bias->numel() == channels && bias->scalar_type() == weight.scalar_type() && bias->is_contiguous()),
                  "a kernel for few channels wants a bias for each channel");
}

template <class T>
FlatPlan plan(const Flat& f, bool transposed, bool both) {
  constexpr int64_t bytes = sizeof(T) == 8 ? 8 : 4;  // of the arithmetic
  return FlatPlan(f, bytes, 64 / static_cast<int64_t>(sizeof(T)), transposed, both);
}

Tensor few_channels_conv(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Ints& stride,
                         const Ints& ends, const Ints& dilation, int64_t groups, bool channels_last) {
  Flat f = describe(input, input.size(1), spatial(input), weight, stride, ends, dilation, groups);
  check_bias(bias, weight, weight.size(0));
  f.x.last = !input.is_contiguous(), f.y.last = channels_last;
  STD_TORCH_CHECK(!channels_last || input.dim() == 4, "a kernel for few channels wants pictures for channels last");
  Tensor output = make(input, output_sizes(f, input.dim() - 2), f.y.last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    const FlatPlan planned = plan<T>(f, false, false);
    STRIATE_NATIVE(flat_conv<T>)(planned.flat, data<T>(input), data<T>(weight), bias ? data<T>(*bias) : nullptr,
                                 mutable_data<T>(output));
  });
  return output;
}

Tensor few_channels_conv_transpose(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                                   const Ints& stride, const Ints& ends, const Ints& dilation, const Ints& size,
                                   int64_t groups, bool channels_last) {
  const int64_t channels = weight.dim() > 1 ? weight.size(1) * groups : 0;
  Flat f = describe(input, channels, size, weight, stride, ends, dilation, groups);
  check_output(f, input, input);
  check_bias(bias, weight, channels);
  f.x.last = channels_last, f.y.last = !input.is_contiguous();
  STD_TORCH_CHECK(!channels_last || input.dim() == 4, "a kernel for few channels wants pictures for channels last");
  Ints sizes{f.pictures, channels};
  sizes.insert(sizes.end(), size.begin(), size.end());
  Tensor output = make(input, sizes, f.x.last);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    const FlatPlan planned = plan<T>(f, true, false);
    STRIATE_NATIVE(flat_transpose<T>)(planned.flat, data<T>(input), data<T>(weight), bias ? data<T>(*bias) : nullptr,
                                      mutable_data<T>(output));
  });
  return output;
}

std::tuple<Tensor, Tensor, Tensor> few_channels_conv_backward(const Tensor& gradient, const Tensor& input,
                                                              const Tensor& weight, const Ints& stride, const Ints& ends,
                                                              const Ints& dilation, int64_t groups,
                                                              const std::vector<bool>& wanted) {
  Flat f = describe(input, input.size(1), spatial(input), weight, stride, ends, dilation, groups);
  check_output(f, gradient, input);
  f.x.last = !input.is_contiguous(), f.y.last = !gradient.is_contiguous();
  const auto result = [](const Tensor& like, bool is_wanted) {
    return is_wanted ? torch::stable::empty_like(like) : make({0}, like.scalar_type());
  };
  Tensor of_input = result(input, wanted[0]), of_weight = result(weight, wanted[1]);
  Tensor of_bias = make({wanted[2] ? weight.size(0) : 0}, input.scalar_type());
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    const FlatPlan planned = plan<T>(f, wanted[0], wanted[0] && wanted[1]);
    STRIATE_NATIVE(flat_backward<T>)(planned.flat, data<T>(gradient), data<T>(input), data<T>(weight),
                                     wanted[0] ? mutable_data<T>(of_input) : nullptr,
                                     wanted[1] ? mutable_data<T>(of_weight) : nullptr,
                                     wanted[2] ? mutable_data<T>(of_bias) : nullptr);
  });
  return {of_input, of_weight, of_bias};
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("few_channels_conv", TORCH_BOX(&striate::few_channels_conv));
  library.impl("few_channels_conv.raw", TORCH_BOX(&striate::few_channels_conv));
  library.impl("few_channels_conv_transpose", TORCH_BOX(&striate::few_channels_conv_transpose));
  library.impl("few_channels_conv_transpose.raw", TORCH_BOX(&striate::few_channels_conv_transpose));
  library.impl("few_channels_conv_backward", TORCH_BOX(&striate::few_channels_conv_backward));
}
