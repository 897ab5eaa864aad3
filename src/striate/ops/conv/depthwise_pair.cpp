// A depthwise K × 1 convolution and a 1 × K one in one pass: checks what would crash and makes the results.
#include <optional>
#include <type_traits>

#include "_large_pages.h"
#include "_window.h"
#include "conv/_depthwise_last.h"

#define STRIATE_KERNELS "conv/depthwise_pair.h"
#include "_each_isa.h"

namespace striate {
namespace {

using Pair = std::pair<Windows, Windows>;
using Bias = std::optional<Tensor>;

// `ends` has the zeros above, below, to the left and to the right.
Pair describe(const Tensor& input, const Tensor& down, const Bias& down_bias, const Tensor& along, const Bias& along_bias,
              const Ints& ends) {
  const auto fits = [&](const Tensor& weight, int64_t taps) {
    return weight.dim() == 4 && weight.size(0) == input.size(1) && weight.size(1) == 1 && weight.size(taps) > 1 &&
           weight.size(5 - taps) == 1 && weight.is_contiguous() && weight.scalar_type() == input.scalar_type();
  };
  const bool last = !input.is_contiguous();
  STD_TORCH_CHECK(input.dim() == 4 && is_dense(input, last) && input.numel() > 0 && fits(down, 2) && fits(along, 3) &&
                      ends.size() == 4,
                  "a pair of depthwise kernels wants (N, C, H, W) without gaps, contiguous (C, 1, K, 1) and (C, 1, 1, K) of one dtype");
  for (const Bias& bias : {down_bias, along_bias})
    STD_TORCH_CHECK(!bias || (bias->numel() == input.size(1) && bias->scalar_type() == input.scalar_type() && bias->is_contiguous()),
                    "a pair of depthwise kernels wants biases for each channel");
  const int64_t taps = down.size(2), rows = input.size(2), columns = input.size(3);
  const int64_t high = rows + ends[0] + ends[1] - taps + 1, wide = columns + ends[2] + ends[3] - taps + 1;
  STD_TORCH_CHECK((taps == 3 || taps == 5 || taps == 7) && along.size(3) == taps && rows > 3 && high > 3 && wide > 0,
                  "a pair of depthwise kernels has 3, 5 or 7 taps each, and they fit four times");
  const ScalarType type = input.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || (type == ScalarType::BFloat16 && !last),
                  "a pair of depthwise kernels wants float32, or contiguous bfloat16");
  for (const int64_t end : ends)
    STD_TORCH_CHECK(end >= 0 && end < taps, "a pair of depthwise kernels wants less padding than taps");
  const Axis one{1, 1, 1, 1, 0, 1}, same_columns{columns, columns, 1, 1, 0, 1}, same_rows{high, high, 1, 1, 0, 1};
  const Axis down_axis{rows, high, taps, 1, ends[0], 1}, along_axis{columns, wide, taps, 1, ends[2], 1};
  return {Windows{input.size(0), input.size(1), last, last, {one, down_axis, same_columns}},
          Windows{input.size(0), input.size(1), last, last, {one, same_rows, along_axis}}};
}

template <class T>
const T* data_or_null(const Bias& bias) {
  return bias ? data<T>(*bias) : nullptr;
}

// Calls body(T{}) with the type that the tensor's numbers are stored in.
template <class Body>
void by_special_type(const Tensor& tensor, const Body& body) {
  tensor.scalar_type() == ScalarType::Float ? body(float{}) : body(bf16{});
}

Tensor depthwise_pair_conv(const Tensor& input, const Tensor& down, const Bias& down_bias, const Tensor& along,
                           const Bias& along_bias, const Ints& ends) {
  const auto [rows, columns] = describe(input, down, down_bias, along, along_bias, ends);
  Tensor output = in_large_pages(make(input, output_sizes(columns, 2), columns.input_last));
  by_special_type(input, [&, &rows = rows, &columns = columns](auto zero) {
    using T = decltype(zero);
    const auto run = [&](const auto& kernel) {
      kernel(rows, columns, data<T>(input), data<T>(down), data_or_null<T>(down_bias), data<T>(along),
             data_or_null<T>(along_bias), mutable_data<T>(output));
    };
    if constexpr (std::is_same_v<T, float>)
      if (rows.input_last) return run(depthwise_last_pair);
    run(STRIATE_NATIVE(pair_correlate<T>));
  });
  return output;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> depthwise_pair_conv_backward(
    const Tensor& gradient, const Tensor& input, const Tensor& down, const Bias& down_bias, const Tensor& along,
    const Ints& ends, const std::vector<bool>& wanted) {
  const auto [rows, columns] = describe(input, down, down_bias, along, std::nullopt, ends);
  const Ints sizes = output_sizes(columns, 2);
  STD_TORCH_CHECK(gradient.dim() == 4 && is_dense(gradient, rows.input_last) && gradient.scalar_type() == input.scalar_type() &&
                      wanted.size() == 5,
                  "a pair of depthwise kernels wants a gradient that lies as the input does, and five wishes");
  for (size_t i = 0; i < sizes.size(); ++i)
    STD_TORCH_CHECK(gradient.size(static_cast<int64_t>(i)) == sizes[i], "a pair of depthwise kernels wants the result's gradient");
  const ScalarType type = input.scalar_type();
  const auto alike = [&](const Tensor& like, bool is_wanted) {
    return is_wanted ? torch::stable::empty_like(like) : make({0}, type);
  };
  const int64_t channels = rows.channels;
  Tensor of_input = in_large_pages(alike(input, wanted[0])), of_down = alike(down, wanted[1]);
  Tensor of_down_bias = make({wanted[2] ? channels : 0}, type), of_along = alike(along, wanted[3]);
  Tensor of_along_bias = make({wanted[4] ? channels : 0}, type);
  by_special_type(input, [&, &rows = rows, &columns = columns](auto zero) {
    using T = decltype(zero);
    const auto place = [&](Tensor& tensor, size_t i) { return wanted[i] ? mutable_data<T>(tensor) : nullptr; };
    T* const found[4] = {place(of_down, 1), place(of_down_bias, 2), place(of_along, 3), place(of_along_bias, 4)};
    const auto run = [&](const auto& kernel) {
      kernel(rows, columns, data<T>(gradient), data<T>(input), data<T>(down), data_or_null<T>(down_bias), data<T>(along),
             place(of_input, 0), found);
    };
    if constexpr (std::is_same_v<T, float>)
      if (rows.input_last) return run(depthwise_last_pair_backward);
    run(STRIATE_NATIVE(pair_backward<T>));
  });
  return {of_input, of_down, of_down_bias, of_along, of_along_bias};
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("depthwise_pair_conv", TORCH_BOX(&striate::depthwise_pair_conv));
  library.impl("depthwise_pair_conv.raw", TORCH_BOX(&striate::depthwise_pair_conv));
  library.impl("depthwise_pair_conv_backward", TORCH_BOX(&striate::depthwise_pair_conv_backward));
}
