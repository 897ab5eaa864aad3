// Local convolution: checks what would crash, makes the results, picks the instruction set.
#include <type_traits>

#include "_window.h"

namespace striate {

// Of a batch: `in` and `out` are the channels of a group.
struct Local {
  int64_t images, groups, in, out;
  Axis axis[3];  // planes, rows, columns

  int64_t in_channels() const { return groups * in; }
  int64_t out_channels() const { return groups * out; }
  int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  int64_t rows() const { return axis[0].out * axis[1].out; }  // of an output channel, in all its planes
  int64_t positions() const { return rows() * axis[2].out; }
  int64_t padded_columns(int64_t lanes) const { return (axis[2].out + lanes - 1) / lanes * lanes; }
};

// A tensor (N, C, rows, columns) in either layout: numbers from one to the next.
template <class T>
struct Strided {
  T* data;
  int64_t image, channel, row, column;
};

}  // namespace striate

#define STRIATE_KERNELS "local_conv/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

// The weight is (C_out, C_in / groups, *kernel, *output); `ends` has the padding before and after each dimension.
Local describe(const Tensor& input, const Tensor& weight, const Ints& stride, const Ints& ends, const Ints& dilation) {
  const int64_t rank = input.dim() - 2;
  const auto lists = static_cast<size_t>(rank);
  STD_TORCH_CHECK(rank >= 1 && rank <= 3 && weight.dim() == 2 + 2 * rank && weight.is_contiguous() &&
                      weight.scalar_type() == input.scalar_type() && stride.size() == lists && ends.size() == 2 * lists &&
                      dilation.size() == lists && input.numel() > 0 && weight.numel() > 0 &&
                      is_dense(input, !input.is_contiguous()) && input.size(1) % weight.size(1) == 0,
                  "the local kernel wants (N, C, …) and contiguous weights (C_out, C_in / groups, *kernel, *output)");
  const int64_t groups = input.size(1) / weight.size(1);
  STD_TORCH_CHECK(weight.size(0) % groups == 0, "the local kernel wants output channels that the groups divide");
  Local d{input.size(0), groups, weight.size(1), weight.size(0) / groups, {}};
  for (int64_t i = 0; i < 3; ++i) d.axis[i] = {1, 1, 1, 1, 0, 1};
  for (int64_t i = 0; i < rank; ++i) {
    const Axis axis{input.size(2 + i), weight.size(2 + rank + i), weight.size(2 + i), stride[i], ends[2 * i], dilation[i]};
    const int64_t room = axis.in + axis.before + ends[2 * i + 1] - axis.dilation * (axis.kernel - 1) - 1;
    STD_TORCH_CHECK(axis.stride > 0 && axis.dilation > 0 && axis.before >= 0 && room >= 0 &&
                        axis.out == room / axis.stride + 1,
                    "the local kernel wants strides and dilations from 1 and kernels for every position");
    d.axis[3 - rank + i] = axis;
  }
  return d;
}

template <class T>
Strided<T> strided(T* data, const Tensor& tensor) {
  const int64_t channels = tensor.size(1), last = tensor.size(tensor.dim() - 1);
  int64_t samples = 1;
  for (int64_t i = 2; i < tensor.dim(); ++i) samples *= tensor.size(i);
  if (tensor.is_contiguous()) return {data, channels * samples, samples, last, 1};
  return {data, channels * samples, 1, last * channels, channels};
}

Tensor local_conv(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Ints& stride,
                  const Ints& ends, const Ints& dilation) {
  const Local d = describe(input, weight, stride, ends, dilation);
  STD_TORCH_CHECK(!bias || (bias->is_contiguous() && bias->scalar_type() == input.scalar_type() &&
                            bias->numel() == d.out_channels() * d.positions()),
                  "the local kernel wants a bias for each output");
  Ints sizes{d.images, d.out_channels()};
  for (int64_t i = input.dim(); i < weight.dim(); ++i) sizes.push_back(weight.size(i));
  Tensor output = make(input, sizes, !input.is_contiguous());
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(local_forward<T>)(d, strided(data<T>(input), input), data<T>(weight),
                                     bias ? data<T>(*bias) : nullptr, strided(mutable_data<T>(output), output));
  });
  return output;
}

std::tuple<Tensor, Tensor> local_conv_backward(const Tensor& gradient, const Tensor& input, const Tensor& weight,
                                               const Ints& stride, const Ints& ends, const Ints& dilation,
                                               const std::vector<bool>& wanted) {
  const Local d = describe(input, weight, stride, ends, dilation);
  for (int64_t i = input.dim(); i < weight.dim(); ++i)
    STD_TORCH_CHECK(gradient.dim() == input.dim() && gradient.size(i - input.dim() + 2) == weight.size(i),
                    "the local kernel wants a gradient for every position");
  STD_TORCH_CHECK(gradient.dim() == input.dim() && gradient.scalar_type() == input.scalar_type() &&
                      gradient.size(0) == d.images && gradient.size(1) == d.out_channels() &&
                      is_dense(gradient, !gradient.is_contiguous()),
                  "the local kernel wants the gradient of this output");
  const auto result = [](const Tensor& like, bool is_wanted) {
    return is_wanted ? torch::stable::empty_like(like) : make({0}, like.scalar_type());
  };
  Tensor of_input = result(input, wanted[0]), of_weight = result(weight, wanted[1]);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(local_backward<T>)(d, strided(data<T>(gradient), gradient), strided(data<T>(input), input),
                                      data<T>(weight),
                                      strided<T>(wanted[0] ? mutable_data<T>(of_input) : nullptr, input),
                                      wanted[1] ? mutable_data<T>(of_weight) : nullptr);
  });
  return {of_input, of_weight};
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("local_conv", TORCH_BOX(&striate::local_conv));
  library.impl("local_conv.raw", TORCH_BOX(&striate::local_conv));
  library.impl("local_conv_backward", TORCH_BOX(&striate::local_conv_backward));
}
