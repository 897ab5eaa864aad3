// Convolution of pictures with few channels to many: checks what would crash, makes the result, picks the instruction set.
#include "conv/_flat.h"

#include "_large_pages.h"

#define STRIATE_KERNELS "conv/first_layer.h"
#include "_each_isa.h"

namespace striate {
namespace {

Flat describe(const Tensor& input, const Tensor& weight, const Ints& stride, const Ints& ends, const Ints& dilation) {
  const int64_t rank = input.dim() - 2;
  const auto lists = static_cast<size_t>(rank);
  STD_TORCH_CHECK((rank == 1 || rank == 2) && weight.dim() == input.dim() && weight.size(1) == input.size(1) &&
                      input.is_contiguous() && weight.is_contiguous() && input.numel() > 0 && weight.numel() > 0 &&
                      input.scalar_type() == ScalarType::Float && weight.scalar_type() == ScalarType::Float && stride.size() == lists && ends.size() == 2 * lists &&
                      dilation.size() == lists,
                  "a kernel for first layers wants contiguous (N, C, …) and weights in float32, and numbers for each dimension");
  Flat f{};
  f.pictures = input.size(0), f.groups = 1;
  f.high = {1, 1, 1, 1, 0, 1};
  for (int64_t i = 0; i < rank; ++i) {
    Track& track = i == rank - 1 ? f.wide : f.high;
    track = {input.size(2 + i), 0, weight.size(2 + i), stride[i], ends[2 * i], dilation[i]};
    STD_TORCH_CHECK(track.stride > 0 && track.dilation > 0 && track.before >= 0,
                    "a kernel for first layers wants strides and dilations from 1");
    const int64_t room = track.in + ends[2 * i] + ends[2 * i + 1] - track.dilation * (track.kernel - 1) - 1;
    STD_TORCH_CHECK(room >= 0, "a kernel for first layers wants a window that fits");
    track.out = room / track.stride + 1;
  }
  const Track &h = f.high, &w = f.wide;
  f.x = {input.size(1), false, h.in, w.in, h.stride, w.stride, h.before, w.before, 0, 0};
  f.y = {1, false, h.out, w.out, 1, 1, 0, 0, 0, 0};  // the result has no tile: its channels take no room there
  return f;
}

// Strips of as many rows of the result, enough to keep the threads busy: the plan's are of the tile's rows, of which the
// last ones are only read, and few where strips share many rows, which costs little where many channels read them.
void even_strips(Flat& f) {
  constexpr int64_t LEAST_ROWS = 4;
  const int64_t wanted = (SHARES + f.pictures - 1) / f.pictures, most = f.high.out / LEAST_ROWS;
  if (f.each == 1 && f.strips < wanted && f.strips < most) f.strips = wanted < most ? wanted : most;
  if (f.strips == 1) return;
  f.strip = (f.high.out + f.strips - 1) / f.strips;
  f.strips = (f.high.out + f.strip - 1) / f.strip;
  f.units = f.pictures * f.strips;
}

Tensor first_layer_conv(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Ints& stride,
                        const Ints& ends, const Ints& dilation) {
  const Flat f = describe(input, weight, stride, ends, dilation);
  const int64_t outputs = weight.size(0);
  STD_TORCH_CHECK(!bias || (bias->numel() == outputs && bias->scalar_type() == weight.scalar_type() && bias->is_contiguous()),
                  "a kernel for first layers wants a bias for each channel");
  Ints sizes{f.pictures, outputs};
  if (input.dim() == 4) sizes.push_back(f.high.out);
  sizes.push_back(f.wide.out);
  Tensor output = in_large_pages(make(input, sizes));
  using T = float;
  FlatPlan plan(f, sizeof(T), 64 / static_cast<int64_t>(sizeof(T)), false, false);
  even_strips(plan.flat);
  STRIATE_NATIVE(first_layer<T>)(plan.flat, outputs, data<T>(input), data<T>(weight), bias ? data<T>(*bias) : nullptr,
                                 mutable_data<T>(output));
  return output;
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("first_layer_conv", TORCH_BOX(&striate::first_layer_conv));
  library.impl("first_layer_conv.raw", TORCH_BOX(&striate::first_layer_conv));
}
