// Depthwise convolution by small kernels where columns lie side by side, apart so that it is compiled beside the rest.
#include <optional>

#include "conv/_depthwise_rows.h"

#define STRIATE_KERNELS "conv/depthwise_rows.h"
#include "_each_isa.h"

namespace striate {

template <class T>
void depthwise_rows(const Windows& d, bool backward, const T* from, const T* weight, const T* bias, T* to) {
  STRIATE_NATIVE(correlate_in_rows<T>)(d, backward, from, weight, bias, to);
}

template <class T>
void depthwise_rows_backward(const Windows& d, const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias) {
  STRIATE_NATIVE(backward_in_rows<T>)(d, dy, x, weight, dx, dweight, dbias);
}

#define STRIATE_FOR(T)                                                                                          \
  template void depthwise_rows<T>(const Windows&, bool, const T*, const T*, const T*, T*);                      \
  template void depthwise_rows_backward<T>(const Windows&, const T*, const T*, const T*, T*, T*, T*)
STRIATE_FOR(float);
STRIATE_FOR(double);
STRIATE_FOR(bf16);
#undef STRIATE_FOR

}  // namespace striate
