// Between PyTorch's tensors and kernels: only the stable ABI, so that one binary serves many versions.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
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

// Not initialised, contiguous, of the same dtype as `like` unless another is given.
inline Tensor make(const Tensor& like, std::vector<int64_t> sizes) { return torch::stable::new_empty(like, sizes); }
inline Tensor make(const Tensor& like, std::vector<int64_t> sizes, ScalarType type) {
  return torch::stable::new_empty(like, sizes, type);
}

}  // namespace striate
