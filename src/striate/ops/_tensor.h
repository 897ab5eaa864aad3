// Between PyTorch's tensors and kernels: only the stable ABI, so that one binary serves many versions.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "_isa.h"

namespace striate {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <class T>
const T* data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}
template <class T>
T* mutable_data(Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

// Calls body(T{}) with the type that the tensor's numbers are stored in.
template <class Body>
void by_type(const Tensor& tensor, const Body& body) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float:
      return body(float{});
    case ScalarType::Double:
      return body(double{});
    case ScalarType::BFloat16:
      return body(bf16{});
    default:
      STD_TORCH_CHECK(false, "the kernels take float32, float64 and bfloat16");
  }
}

// Whether the numbers lie in (N, C, …) order without gaps, or in (N, …, C) order.
inline bool is_dense(const Tensor& tensor, bool channels_last) {
  if (!channels_last) return tensor.is_contiguous();
  int64_t expected = 1;
  const auto matches = [&](int64_t dimension) {
    const int64_t size = tensor.size(dimension);
    const bool fits = size == 1 || tensor.stride(dimension) == expected;
    expected *= size;
    return fits;
  };
  if (tensor.numel() == 0) return true;
  bool fits = matches(1);
  for (int64_t dimension = tensor.dim() - 1; dimension > 1; --dimension) fits = matches(dimension) && fits;
  return matches(0) && fits;
}

// Not initialised, on the CPU, of a dtype or that of `like`; contiguous, or with channels last.
inline Tensor make(std::vector<int64_t> sizes, ScalarType type, bool channels_last = false) {
  using torch::headeronly::MemoryFormat;
  const auto last = sizes.size() == 5 ? MemoryFormat::ChannelsLast3d : MemoryFormat::ChannelsLast;
  const auto format = channels_last ? last : MemoryFormat::Contiguous;
  return torch::stable::empty(sizes, type, std::nullopt, std::nullopt, std::nullopt, format);
}
inline Tensor make(const Tensor& like, std::vector<int64_t> sizes, bool channels_last = false) {
  return make(std::move(sizes), like.scalar_type(), channels_last);
}

}  // namespace striate
