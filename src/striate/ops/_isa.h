// Which instruction set the kernels use: chosen once when the library is loaded, or forced.
#pragma once

#include <cstdint>
#include <type_traits>

namespace striate {

struct bf16 {  // how bfloat16 is stored; _simd.h converts
  uint16_t bits;
};

enum class Isa : int { portable = 0, avx2 = 1, avx512 = 2 };

Isa isa();  // the one in use; defined in _native.cpp

// Whether an instruction set has special kernels for a type, of a few windows each, beside the general ones that serve
// every call. Those of doubles, and of what is only an x86 processor's last resort, would be compiled longer than run.
template <class T>
constexpr bool has_special([[maybe_unused]] Isa set) {
#if defined(__x86_64__)
  if (set == Isa::portable) return false;
#endif
  return !std::is_same_v<T, double>;
}

}  // namespace striate

// The version of kernel<T> that was compiled for an instruction set, or for the one in use: `T` is the caller's type.
// Doubles have no AVX-512 kernels of their own: eight lanes gain little over four, and they take long to compile.
#if defined(__x86_64__)
#define STRIATE_NATIVE_OF(which, ...)                                                        \
  ([](::striate::Isa chosen) {                                                               \
    if constexpr (!std::is_same_v<T, double>)                                                \
      if (chosen == ::striate::Isa::avx512) return &::striate::avx512::__VA_ARGS__;          \
    return chosen == ::striate::Isa::portable ? &::striate::portable::__VA_ARGS__            \
                                              : &::striate::avx2::__VA_ARGS__;               \
  }(which))
#else
#define STRIATE_NATIVE_OF(which, ...) ((void)(which), &::striate::portable::__VA_ARGS__)
#endif
#define STRIATE_NATIVE(...) STRIATE_NATIVE_OF(::striate::isa(), __VA_ARGS__)
