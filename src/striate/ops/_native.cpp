// The instruction set in use, and a small kernel that proves that the machinery works.
#include "_tensor.h"

#define STRIATE_KERNELS "_native_kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

bool supported(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return isa == Isa::portable;
}

Isa best() {
#if defined(__x86_64__)
  __builtin_cpu_init();  // this runs while the library is loaded, perhaps before the compiler's own call
#endif
  for (Isa isa : {Isa::avx512, Isa::avx2})
    if (supported(isa)) return isa;
  return Isa::portable;
}

Isa in_use = best();

// Is instruction set `isa` there?
bool native_supports(int64_t isa) { return isa >= 0 && isa <= 2 && supported(static_cast<Isa>(isa)); }

// Takes instruction set `isa` from now on, or leaves it when -1; returns the one in use.
int64_t native_use(int64_t isa) {
  if (isa >= 0) {
    STD_TORCH_CHECK(native_supports(isa), "this machine lacks instruction set ", isa);
    in_use = static_cast<Isa>(isa);
  }
  return static_cast<int64_t>(in_use);
}

Tensor native_dot(const Tensor& a, const Tensor& b) {
  STD_TORCH_CHECK(a.is_contiguous() && b.is_contiguous() && a.numel() == b.numel() && a.scalar_type() == b.scalar_type(),
                  "native_dot: wanted two contiguous tensors of one size and dtype");
  Tensor result = make(a, {});
  by_type(a, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(dot<T>)(data<T>(a), data<T>(b), a.numel(), mutable_data<T>(result));
  });
  return result;
}

}  // namespace

Isa isa() { return in_use; }

}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CompositeExplicitAutograd, library) {
  library.impl("native_supports", TORCH_BOX(&striate::native_supports));
  library.impl("native_use", TORCH_BOX(&striate::native_use));
}

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) { library.impl("native_dot", TORCH_BOX(&striate::native_dot)); }
