// Compiles the file named by STRIATE_KERNELS once for each instruction set.
//
//   #define STRIATE_KERNELS "conv_pool/kernels.h"   // as seen from src/striate/ops
//   #include "../_each_isa.h"
//   ... STRIATE_NATIVE(forward)(arguments) ...
//
// The file is pasted into namespace striate::avx512, ::avx2 and ::portable with _simd.h before it;
// there it must include nothing. Everything in it has internal linkage, so two operators may use
// one name, and no function compiled with AVX-512 can be picked by the linker for another machine.
// What needs headers is included here, outside of the regions.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "_isa.h"
#include "_parallel.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,prefer-vector-width=512")
#endif
#define STRIATE_AVX512 1
namespace striate::avx512 {
namespace {
#include "_simd.h"
#include STRIATE_KERNELS
}  // namespace
}  // namespace striate::avx512
#undef STRIATE_AVX512
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define STRIATE_AVX2 1
namespace striate::avx2 {
namespace {
#include "_simd.h"
#include STRIATE_KERNELS
}  // namespace
}  // namespace striate::avx2
#undef STRIATE_AVX2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__

// Elsewhere the portable kernels are the only ones; here they are the last resort, so they are compiled quickly.
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif
namespace striate::portable {
namespace {
#include "_simd.h"
#include STRIATE_KERNELS
}  // namespace
}  // namespace striate::portable
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC pop_options
#endif
