// A depthwise pair of float32 where channels lie side by side, which is compiled with the kernels that it is made of. In
// bfloat16 two convolutions are faster, as what lies between would be rounded and widened again.
#pragma once

#include "_window.h"

namespace striate {

void depthwise_last_pair(const Windows& first, const Windows& second, const float* x, const float* down, const float* down_bias,
                         const float* along, const float* along_bias, float* y);

// Those that are not null of dx and of the gradients of both weights and biases.
void depthwise_last_pair_backward(const Windows& first, const Windows& second, const float* dy, const float* x,
                                  const float* down, const float* down_bias, const float* along, float* dx,
                                  float* const (&found)[4]);

}  // namespace striate
