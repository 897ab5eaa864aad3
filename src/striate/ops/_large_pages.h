// Results in large pages.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "_tensor.h"

namespace striate {

// Asks for large pages (2 MB) behind a large tensor that nobody has written yet, as NumPy does. Its pages are mostly
// new, and the first write to each of thousands of small ones interrupts the kernel for longer than the arithmetic
// takes. Refusal does no harm.
inline Tensor in_large_pages(Tensor tensor) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t WORTH = 4 << 20, PAGE = 4096;
  const uintptr_t bytes = static_cast<uintptr_t>(tensor.numel()) * tensor.element_size();
  if (bytes >= WORTH) {
    const auto begin = reinterpret_cast<uintptr_t>(tensor.mutable_data_ptr()), end = begin + bytes;
    const uintptr_t first = begin / PAGE * PAGE, last = (end + PAGE - 1) / PAGE * PAGE;
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  }
#endif
  return tensor;
}

}  // namespace striate
