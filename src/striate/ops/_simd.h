// Vectors for kernels, by the compiler's own vector types: +, -, *, /, comparisons and ?: work on them.
//
// Pasted by _each_isa.h into the namespace of each instruction set, after the headers that it needs.
// `vec<float>` has LANES lanes, `vec<double>` half as many. Data may be unaligned everywhere.
// bf16 numbers are stored only: load and store convert, arithmetic is float.

#define STRIATE_INLINE inline __attribute__((always_inline))

#if defined(STRIATE_AVX512)
constexpr Isa SET = Isa::avx512;
constexpr int LANES = 16;
constexpr int REGISTERS = 32;
#elif defined(STRIATE_AVX2)
constexpr Isa SET = Isa::avx2;
constexpr int LANES = 8;
constexpr int REGISTERS = 16;
#else
constexpr Isa SET = Isa::portable;
constexpr int LANES = 4;
constexpr int REGISTERS = 16;
#endif

template <class T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
  typedef T unaligned __attribute__((vector_size(N * sizeof(T)), aligned(alignof(T)), may_alias));
};

// What is computed in for a stored type, and how many lanes of it a register has.
template <class T>
struct Arithmetic {
  using type = T;
};
template <>
struct Arithmetic<bf16> {
  using type = float;
};
template <class T>
using arithmetic = typename Arithmetic<T>::type;
template <class T>
constexpr int lanes = LANES * 4 / static_cast<int>(sizeof(arithmetic<T>));

template <class T>
using vec = typename VectorOf<arithmetic<T>, lanes<T>>::type;
using floats = VectorOf<float, LANES>::type;
using doubles = VectorOf<double, LANES / 2>::type;
using ints = VectorOf<int32_t, LANES>::type;
using words = VectorOf<uint32_t, LANES>::type;
using longs = VectorOf<int64_t, LANES / 2>::type;

// All lanes `value`. Adding it to zeros would be an addition, as -0 + 0 is 0; subtracting zeros is none.
template <class V>
STRIATE_INLINE V broadcast(double value) {
  return static_cast<std::remove_reference_t<decltype(V{}[0])>>(value) - V{};
}

// One number.
STRIATE_INLINE float load_one(const float* from) { return *from; }
STRIATE_INLINE double load_one(const double* from) { return *from; }
STRIATE_INLINE float load_one(const bf16* from) {
  const uint32_t bits = static_cast<uint32_t>(from->bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
STRIATE_INLINE void store_one(float* to, float value) { *to = value; }
STRIATE_INLINE void store_one(double* to, double value) { *to = value; }
STRIATE_INLINE void store_one(bf16* to, float value) {  // to nearest, ties to even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  to->bits = value != value ? 0x7fc0 : static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// A whole register.
STRIATE_INLINE floats load(const float* from) {
  return *reinterpret_cast<const VectorOf<float, LANES>::unaligned*>(from);
}
STRIATE_INLINE doubles load(const double* from) {
  return *reinterpret_cast<const VectorOf<double, LANES / 2>::unaligned*>(from);
}
STRIATE_INLINE void store(float* to, floats value) {
  *reinterpret_cast<VectorOf<float, LANES>::unaligned*>(to) = value;
}
STRIATE_INLINE void store(double* to, doubles value) {
  *reinterpret_cast<VectorOf<double, LANES / 2>::unaligned*>(to) = value;
}

STRIATE_INLINE words to_bf16_bits(floats value) {
  const words bits = reinterpret_cast<words>(value);
  const words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return value != value ? words{} + 0x7fc0 : rounded;
}

#if defined(STRIATE_AVX512)  // maskz: the plain intrinsics of GCC 12 warn of their own uninitialised variable

STRIATE_INLINE floats load(const bf16* from) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return reinterpret_cast<floats>(reinterpret_cast<words>(_mm512_maskz_cvtepu16_epi32(0xffff, half)) << 16);
}
STRIATE_INLINE void store(bf16* to, floats value) {
  const __m256i half = _mm512_maskz_cvtepi32_epi16(0xffff, reinterpret_cast<__m512i>(to_bf16_bits(value)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half);
}

// The first `count` lanes, 0 to all; the others are read as 0 and not written.
STRIATE_INLINE floats load_first(const float* from, int count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
}
STRIATE_INLINE doubles load_first(const double* from, int count) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), from);
}
STRIATE_INLINE floats load_first(const bf16* from, int count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  const __m256i half = _mm256_maskz_loadu_epi16(mask, from);
  return reinterpret_cast<floats>(reinterpret_cast<words>(_mm512_maskz_cvtepu16_epi32(0xffff, half)) << 16);
}
STRIATE_INLINE void store_first(float* to, floats value, int count) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), value);
}
STRIATE_INLINE void store_first(double* to, doubles value, int count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << count) - 1), value);
}
STRIATE_INLINE void store_first(bf16* to, floats value, int count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  const __m256i half = _mm512_maskz_cvtepi32_epi16(0xffff, reinterpret_cast<__m512i>(to_bf16_bits(value)));
  _mm256_mask_storeu_epi16(to, mask, half);
}

#else

#if defined(STRIATE_AVX2)
STRIATE_INLINE floats load(const bf16* from) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return reinterpret_cast<floats>(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
STRIATE_INLINE void store(bf16* to, floats value) {
  const __m256i bits = reinterpret_cast<__m256i>(to_bf16_bits(value));
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(bits, bits), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
#else
STRIATE_INLINE floats load(const bf16* from) {
  words bits{};
  for (int i = 0; i < LANES; ++i) bits[i] = static_cast<uint32_t>(from[i].bits) << 16;
  return reinterpret_cast<floats>(bits);
}
STRIATE_INLINE void store(bf16* to, floats value) {
  const words bits = to_bf16_bits(value);
  for (int i = 0; i < LANES; ++i) to[i].bits = static_cast<uint16_t>(bits[i]);
}
#endif

// Called, as they are long and in many places: inlined they would take half of the time to compile.
template <class T>
__attribute__((noinline)) vec<T> load_first(const T* from, int count) {
  vec<T> value{};
  for (int i = 0; i < lanes<T>; ++i)
    if (i < count) value[i] = load_one(from + i);
  return value;
}
template <class T>
__attribute__((noinline)) void store_first(T* to, vec<T> value, int count) {
  for (int i = 0; i < lanes<T>; ++i)
    if (i < count) store_one(to + i, value[i]);
}

#if defined(STRIATE_AVX2)  // better than the templates for the types that have an instruction
STRIATE_INLINE __m256i first_of_8(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
STRIATE_INLINE __m256i first_of_4(int count) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
}
STRIATE_INLINE floats load_first(const float* from, int count) { return _mm256_maskload_ps(from, first_of_8(count)); }
STRIATE_INLINE doubles load_first(const double* from, int count) { return _mm256_maskload_pd(from, first_of_4(count)); }
STRIATE_INLINE void store_first(float* to, floats value, int count) { _mm256_maskstore_ps(to, first_of_8(count), value); }
STRIATE_INLINE void store_first(double* to, doubles value, int count) { _mm256_maskstore_pd(to, first_of_4(count), value); }
#endif

#endif

// a * b + c in one instruction where there is one (the build allows contraction).
template <class V>
STRIATE_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}

// The larger of each pair; NaN wins, from either side.
template <class V>
STRIATE_INLINE V max_nan(V a, V b) {
  return a > b ? a : (a == a ? b : a);
}

// Masks of a vector's lanes: a bit for each with AVX-512, otherwise all bits of the lane.
#if defined(STRIATE_AVX512)
STRIATE_INLINE floats select(__mmask16 mask, floats yes, floats no) { return _mm512_mask_blend_ps(mask, no, yes); }
STRIATE_INLINE doubles select(__mmask8 mask, doubles yes, doubles no) { return _mm512_mask_blend_pd(mask, no, yes); }
#else
STRIATE_INLINE floats select(ints mask, floats yes, floats no) { return mask ? yes : no; }
STRIATE_INLINE doubles select(longs mask, doubles yes, doubles no) { return mask ? yes : no; }
#endif

// One byte for each lane of V, as whole numbers of the lanes' size.
template <class V>
STRIATE_INLINE auto load_bytes(const uint8_t* from) {
  if constexpr (sizeof(V{}[0]) == 4) {
#if defined(STRIATE_AVX512)
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return reinterpret_cast<ints>(_mm512_maskz_cvtepu8_epi32(0xffff, bytes));
#elif defined(STRIATE_AVX2)
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return reinterpret_cast<ints>(_mm256_cvtepu8_epi32(bytes));
#else
    typename VectorOf<uint8_t, LANES>::type bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, ints);
#endif
  } else {
    typename VectorOf<uint8_t, LANES / 2>::type bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, longs);
  }
}

// The lanes whose number has one of `bits` set.
template <class I>
STRIATE_INLINE auto any_bit(I value, int bits) {
#if defined(STRIATE_AVX512)
  if constexpr (sizeof(value[0]) == 4)
    return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(value), _mm512_set1_epi32(bits));
  else
    return _mm512_test_epi64_mask(reinterpret_cast<__m512i>(value), _mm512_set1_epi64(bits));
#else
  return (value & bits) != 0;
#endif
}

// Every second number of a and b, from `first` on.
template <int first, class V, int... i>
STRIATE_INLINE V every_second(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (first + 2 * i)...);
}

// a[0], b[0], a[1], b[1], … of the lower or of the upper halves.
template <int first, class V, int... i>
STRIATE_INLINE V interleave(V a, V b, std::integer_sequence<int, i...>) {
  constexpr int count = sizeof...(i);
  return __builtin_shufflevector(a, b, (first + i / 2 + (i % 2 ? count : 0))...);
}

// A square of numbers, a row in each vector, is mirrored at its diagonal.
template <class V, int N = sizeof(V) / sizeof(V{}[0])>
STRIATE_INLINE void transpose(V (&rows)[N]) {
  using lanes_of = std::make_integer_sequence<int, N>;
  _Pragma("GCC unroll 4") for (int step = 1; step < N; step *= 2) {
    V next[N];
    _Pragma("GCC unroll 16") for (int i = 0; i < N / 2; ++i) {
      next[2 * i] = interleave<0>(rows[i], rows[i + N / 2], lanes_of{});
      next[2 * i + 1] = interleave<N / 2>(rows[i], rows[i + N / 2], lanes_of{});
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < N; ++i) rows[i] = next[i];
  }
}

// Keeps a value in its register: compilers like to load again what memory still has, but loads are what runs out.
template <class V>
STRIATE_INLINE void keep(V& value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#endif
}

// Sum of all lanes, always in the same order: halves onto halves.
STRIATE_INLINE float sum(floats value) {
  for (int half = LANES / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) value[i] += value[i + half];
  return value[0];
}
STRIATE_INLINE double sum(doubles value) {
  for (int half = LANES / 4; half; half /= 2)
    for (int i = 0; i < half; ++i) value[i] += value[i + half];
  return value[0];
}

// The sums of `count` vectors, each in the order of the lanes. They are added as the rows of squares that are
// transposed, because adding within a vector is slow; every step halves the rows.
template <class V, class T>
STRIATE_INLINE void sums(const V* from, int64_t count, T* to) {
  constexpr int n = sizeof(V) / sizeof(T);
  using lanes_of = std::make_integer_sequence<int, n>;
  for (int64_t start = 0; start < count; start += n) {
    V rows[n];
    _Pragma("GCC unroll 16") for (int i = 0; i < n; ++i) rows[i] = start + i < count ? from[start + i] : V{};
    _Pragma("GCC unroll 4") for (int half = n / 2; half; half /= 2)
      _Pragma("GCC unroll 16") for (int i = 0; i < half; ++i)
        rows[i] = interleave<0>(rows[i], rows[i + half], lanes_of{}) + interleave<n / 2>(rows[i], rows[i + half], lanes_of{});
    if (count - start < n)
      store_first(to + start, rows[0], static_cast<int>(count - start));
    else
      store(to + start, rows[0]);
  }
}
