// Depthwise convolution where columns lie side by side, for the small kernels that depthwise_rows.cpp has.
#pragma once

#include "_window.h"

namespace striate {

// Whether there is a kernel for these windows: 3 × 3 with any number of planes, 3 × 1, 1 × 3, 7 × 1 and 1 × 7, 3 × 3 and
// 4 × 4 with a stride of two, and 7 × 7 of wide pictures, where a row fills a good part of a register, there are rows for a
// band, and a channel of a picture is read in place or fits the cache of a core.
inline bool fits_rows(const Windows& d) {
  constexpr int64_t NARROWEST = 5, LOWEST = 4, WIDE = 24, LARGEST_COPIED = 1 << 18;  // columns, rows, columns, numbers
  const Axis &deep = d.axis[0], &high = d.axis[1], &wide = d.axis[2];
  const auto is = [&](int64_t rows, int64_t columns, int64_t stride) {
    return high.kernel == rows && wide.kernel == columns && high.stride == stride && wide.stride == stride;
  };
  const bool flat = deep.in == 1 && deep.kernel == 1 && deep.out == 1;
  if (d.input_last || d.gradient_last) return false;
  const bool along = deep.kernel == 1 && (is(3, 1, 1) || is(1, 3, 1) || is(7, 1, 1) || is(1, 7, 1));
  const bool large = is(7, 7, 1) && wide.in >= WIDE && wide.out >= WIDE;
  if (!is(3, 3, 1) && !along && !(flat && (large || is(3, 3, 2) || is(4, 4, 2)))) return false;
  if (high.kernel > 1 && (high.in < LOWEST || high.out < LOWEST)) return false;
  for (const Axis& axis : d.axis)
    if (axis.dilation > 1 || axis.before >= axis.kernel) return false;
  const int64_t rows = high.in > high.out ? high.in : high.out, columns = wide.in > wide.out ? wide.in : wide.out;
  const int64_t planes = deep.in > deep.out ? deep.in : deep.out;
  const bool fits_cache = isa() == Isa::avx512 || planes * rows * columns <= LARGEST_COPIED;  // see conv/depthwise_in_place.h
  return deep.stride == 1 && wide.in >= NARROWEST && wide.out >= NARROWEST && fits_cache;
}

// Whether these windows of numbers of a type are served there.
template <class T>
bool in_rows(const Windows& d) {
  return has_special<T>(isa()) && fits_rows(d);
}

// The convolution of a tensor, or, backward, its transpose.
template <class T>
void depthwise_rows(const Windows& d, bool backward, const T* from, const T* weight, const T* bias, T* to);

// Those of dx, dweight and dbias that are not null.
template <class T>
void depthwise_rows_backward(const Windows& d, const T* dy, const T* x, const T* weight, T* dx, T* dweight, T* dbias);

}  // namespace striate
