// conv_pool: checks what would crash, makes the results, picks the instruction set.
#include "_tensor.h"

namespace striate {
namespace {

constexpr int64_t BLOCK = 16;  // pictures whose winners lie together

// Sizes of one call, and how its tensors lie in memory.
struct Sizes {
  int64_t pictures, channels, height, width, outputs, kernel_h, kernel_w, pad_h, pad_w, pooled_h, pooled_w;
  bool input_last, output_last;  // (H, W, C) instead of (C, H, W)
  bool relu;
  int64_t weight_strides[4], gradient_strides[4];

  int64_t padded_h() const { return height + 2 * pad_h; }
  int64_t padded_w() const { return width + 2 * pad_w; }
  int64_t pixels() const { return channels * padded_h() * padded_w(); }
  int64_t results() const { return outputs * pooled_h * pooled_w; }
  int64_t winners() const { return (pictures + BLOCK - 1) / BLOCK * BLOCK * results(); }
  int64_t weights() const { return outputs * channels * kernel_h * kernel_w; }
};

inline int64_t at(const int64_t (&strides)[4], int64_t output, int64_t channel, int64_t row, int64_t column) {
  return output * strides[0] + channel * strides[1] + row * strides[2] + column * strides[3];
}

}  // namespace
}  // namespace striate

#define STRIATE_KERNELS "conv_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

Sizes sizes_of(const Tensor& input, const Tensor& weight, const std::vector<int64_t>& padding, bool relu, bool output_last) {
  STD_TORCH_CHECK(input.dim() == 4 && weight.dim() == 4 && padding.size() == 2 && weight.size(1) == input.size(1) &&
                      weight.scalar_type() == input.scalar_type(),
                  "striate::conv_pool: wanted (N, C, H, W), (O, C, kh, kw) of one dtype and two paddings");
  Sizes s{};
  s.pictures = input.size(0), s.channels = input.size(1), s.height = input.size(2), s.width = input.size(3);
  s.outputs = weight.size(0), s.kernel_h = weight.size(2), s.kernel_w = weight.size(3);
  s.pad_h = padding[0], s.pad_w = padding[1];
  s.pooled_h = (s.padded_h() - s.kernel_h + 1) / 2, s.pooled_w = (s.padded_w() - s.kernel_w + 1) / 2;
  STD_TORCH_CHECK(s.pad_h >= 0 && s.pad_w >= 0 && s.pooled_h > 0 && s.pooled_w > 0 && s.kernel_h > 0 && s.kernel_w > 0,
                  "striate::conv_pool: the kernel and the window do not fit");
  s.relu = relu, s.output_last = output_last;
  s.input_last = !input.is_contiguous();
  STD_TORCH_CHECK(is_dense(input, s.input_last), "striate::conv_pool: wanted an input without gaps");
  for (int i = 0; i < 4; ++i) s.weight_strides[i] = weight.stride(i);
  return s;
}

// Half of the lanes of AVX-512 would be idle with up to eight pictures; AVX2 takes half the time then.
Isa isa_for(const Sizes& s) { return isa() == Isa::avx512 && s.pictures <= 8 ? Isa::avx2 : isa(); }

std::tuple<Tensor, Tensor> conv_pool(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                                     const std::vector<int64_t>& padding, bool relu, bool channels_last) {
  const Sizes s = sizes_of(input, weight, padding, relu, channels_last);
  STD_TORCH_CHECK(!bias || (bias->numel() == s.outputs && bias->is_contiguous() && bias->scalar_type() == input.scalar_type()),
                  "striate::conv_pool: wanted a bias for each output channel");
  Tensor output = make(input, {s.pictures, s.outputs, s.pooled_h, s.pooled_w}, channels_last);
  Tensor winners = make({s.winners()}, ScalarType::Byte);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE_OF(isa_for(s), forward<T>)(s, data<T>(input), data<T>(weight), bias ? data<T>(*bias) : nullptr,
                               mutable_data<T>(output), mutable_data<uint8_t>(winners));
  });
  return {output, winners};
}

std::tuple<Tensor, Tensor, Tensor> conv_pool_backward(const Tensor& gradient, const Tensor& winners, const Tensor& input,
                                                      const Tensor& weight, const std::vector<int64_t>& padding,
                                                      const std::vector<bool>& wanted, bool channels_last) {
  Sizes s = sizes_of(input, weight, padding, false, channels_last);
  STD_TORCH_CHECK(wanted.size() == 3 && gradient.numel() == s.pictures * s.results() && is_dense(gradient, channels_last) &&
                      winners.numel() == s.winners() &&
                      gradient.scalar_type() == input.scalar_type() && winners.scalar_type() == ScalarType::Byte,
                  "striate::conv_pool_backward: the gradient or the winners are not those of this call");
  const auto result = [](const Tensor& like, bool is_wanted) { return is_wanted ? torch::stable::empty_like(like) : make({0}, like.scalar_type()); };
  Tensor input_gradient = result(input, wanted[0]), weight_gradient = result(weight, wanted[1]);
  Tensor bias_gradient = make({wanted[2] ? s.outputs : 0}, input.scalar_type());
  // a weight with gaps has a gradient without
  for (int i = 0; i < 4 && wanted[1]; ++i) s.gradient_strides[i] = weight_gradient.stride(i);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE_OF(isa_for(s), backward<T>)(s, data<T>(gradient), data<uint8_t>(winners), data<T>(input), data<T>(weight),
                                wanted[0] ? mutable_data<T>(input_gradient) : nullptr,
                                wanted[1] ? mutable_data<T>(weight_gradient) : nullptr,
                                wanted[2] ? mutable_data<T>(bias_gradient) : nullptr);
  });
  return {input_gradient, weight_gradient, bias_gradient};
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("conv_pool", TORCH_BOX(&striate::conv_pool));
  library.impl("conv_pool.raw", TORCH_BOX(&striate::conv_pool));
  library.impl("conv_pool_backward", TORCH_BOX(&striate::conv_pool_backward));
}
