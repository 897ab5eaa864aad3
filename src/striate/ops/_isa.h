// Which instruction set the kernels use: chosen once when the library is loaded, or forced.
#pragma once

#include <cstdint>

namespace striate {

struct bf16 {  // how bfloat16 is stored; _simd.h converts
  uint16_t bits;
};

enum class Isa : int { portable = 0, avx2 = 1, avx512 = 2 };

Isa isa();  // the one in use; defined in _native.cpp

}  // namespace striate

// The version of a kernel that was compiled for an instruction set, or for the one in use.
#if defined(__x86_64__)
#define STRIATE_NATIVE_OF(which, ...)                                \
  ((which) == ::striate::Isa::avx512 ? &::striate::avx512::__VA_ARGS__ \
   : (which) == ::striate::Isa::avx2 ? &::striate::avx2::__VA_ARGS__   \
                                     : &::striate::portable::__VA_ARGS__)
#else
#define STRIATE_NATIVE_OF(which, ...) ((void)(which), &::striate::portable::__VA_ARGS__)
#endif
#define STRIATE_NATIVE(...) STRIATE_NATIVE_OF(::striate::isa(), __VA_ARGS__)
