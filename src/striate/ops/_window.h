// Sliding windows and the pictures that they slide over, for kernels and what calls them.
#pragma once

#include <cstdint>
#include <vector>

#include "_tensor.h"

namespace striate {

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// One dimension: samples in and out, and the window with the padding before the first sample.
struct Axis {
  int64_t in, out, kernel, stride, before, dilation;
};

// A picture's block of channels, in either layout.
template <class T>
struct Planes {
  T* data;          // first channel, first sample
  int64_t column;   // numbers between neighbouring columns
  int64_t channel;  // between channels
  int count;        // channels, at most the lanes
};

// Windows that slide over a batch of pictures, each channel by itself.
struct Windows {
  int64_t images, channels;
  bool input_last, gradient_last;  // channels side by side: input and output, the output's gradient
  Axis axis[3];  // planes, rows, columns

  int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  int64_t in_size() const { return axis[0].in * axis[1].in * axis[2].in; }
  int64_t out_size() const { return axis[0].out * axis[1].out * axis[2].out; }
};

using Ints = std::vector<int64_t>;

inline Ints output_sizes(const Windows& w, int64_t rank) {
  Ints sizes{w.images, w.channels};
  for (int64_t i = 3 - rank; i < 3; ++i) sizes.push_back(w.axis[i].out);
  return sizes;
}

// The windows of a pooling of (N, C, …) to `size`; every list has a number for each dimension after C.
inline Windows pooling(const Tensor& input, const Ints& kernel, const Ints& stride, const Ints& padding,
                       const Ints& dilation, const Ints& size) {
  const int64_t rank = input.dim() - 2;
  const auto lists = static_cast<size_t>(rank);
  STD_TORCH_CHECK(rank >= 1 && rank <= 3 && kernel.size() == lists && stride.size() == lists &&
                      padding.size() == lists && dilation.size() == lists && size.size() == lists && input.numel() > 0,
                  "a pooling kernel wants (N, C, …) and a number for each dimension");
  Windows w{input.size(0), input.size(1), !input.is_contiguous(), false, {}};
  STD_TORCH_CHECK(is_dense(input, w.input_last), "a pooling kernel wants an input without gaps");
  for (int64_t i = 0; i < 3; ++i) w.axis[i] = {1, 1, 1, 1, 0, 1};
  for (int64_t i = 0; i < rank; ++i) {
    w.axis[3 - rank + i] = {input.size(2 + i), size[i], kernel[i], stride[i], padding[i], dilation[i]};
    STD_TORCH_CHECK(kernel[i] > 0 && stride[i] > 0 && padding[i] >= 0 && dilation[i] > 0 && size[i] > 0,
                    "a pooling kernel wants sizes, kernels, strides and dilations from 1");
  }
  return w;
}

constexpr int64_t SHARES = 8;  // pieces that keep a usual number of threads busy

}  // namespace striate
