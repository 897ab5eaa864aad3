// Powers of numbers that are not negative: exp and log in the arithmetic type, by the same steps in every lane.
//
// Pasted by kernels after _simd.h.

template <class V>
using number_of = std::remove_reference_t<decltype(V{}[0])>;
template <class V>
using whole_of = typename VectorOf<std::conditional_t<sizeof(number_of<V>) == 4, int32_t, int64_t>,
                                   static_cast<int>(sizeof(V) / sizeof(number_of<V>))>::type;

template <class A>
struct Format;  // of a floating-point number
template <>
struct Format<float> {
  static constexpr int mantissa = 23, bias = 127, log_terms = 5, exp_terms = 7;
  static constexpr float log2_high = 0.693359375f, log2_low = -2.12194440e-4f;
  static constexpr float magic = 8388608.f;   // 2^mantissa
  static constexpr float third = 709957561.f;  // bits of the cube root of 1, less a third of those of 1
  static constexpr int newton = 2;
};
template <>
struct Format<double> {
  static constexpr int mantissa = 52, bias = 1023, log_terms = 12, exp_terms = 13;
  static constexpr double log2_high = 6.93147180369123816490e-01, log2_low = 1.90821492927058770002e-10;
  static constexpr double magic = 4503599627370496.;
  static constexpr double third = 3071306043645493248.;
  static constexpr int newton = 3;
};

// Natural logarithm of numbers above 0; −∞ of 0, ∞ of ∞, NaN of NaN.
template <class V>
STRIATE_INLINE V log_of(V x) {
  using A = number_of<V>;
  using F = Format<A>;
  using I = whole_of<V>;
  const V one = broadcast<V>(1);
  const auto is_small = x < broadcast<V>(sizeof(A) == 4 ? 1.17549435e-38 : 2.2250738585072014e-308);
  const V scaled = is_small ? x * broadcast<V>(F::magic) : x;  // out of the subnormal numbers
  const I bits = reinterpret_cast<I>(scaled);
  constexpr auto ONE = static_cast<number_of<I>>(F::bias) << F::mantissa;
  const I magic = reinterpret_cast<I>(broadcast<V>(F::magic));
  V exponent = reinterpret_cast<V>((bits >> F::mantissa) | magic) - broadcast<V>(F::magic);
  exponent -= broadcast<V>(F::bias);
  exponent -= is_small ? broadcast<V>(F::mantissa) : V{};
  V m = reinterpret_cast<V>((bits & ((number_of<I>{1} << F::mantissa) - 1)) | ONE);  // 1 to 2
  const auto is_high = m > broadcast<V>(1.4142135623730951);
  m = is_high ? m * broadcast<V>(0.5) : m;
  exponent += is_high ? one : V{};
  const V s = (m - one) / (m + one), square = s * s;
  V series = broadcast<V>(2. / (2 * F::log_terms - 1));
  UNROLLED(i, F::log_terms - 2) series = series * square + broadcast<V>(2. / (2 * (F::log_terms - 2 - i) + 1));
  const V low = series * square * s + exponent * broadcast<V>(F::log2_low);
  const V result = exponent * broadcast<V>(F::log2_high) + (s + s + low);
  const V infinite = broadcast<V>(__builtin_inf());
  return x == V{} ? -infinite : (x == infinite ? x : (x != x ? x : result));
}

template <class V>
STRIATE_INLINE V exp_of(V x) {
  using A = number_of<V>;
  using F = Format<A>;
  using I = whole_of<V>;
  const V most = broadcast<V>(sizeof(A) == 4 ? 88.8 : 709.9), least = broadcast<V>(sizeof(A) == 4 ? -104. : -746.);
  const V inside = x > most ? most : (x < least ? least : x);
  const V shift = broadcast<V>(1.5 * F::magic);
  const V moved = inside * broadcast<V>(1.4426950408889634) + shift, n = moved - shift;
  const V r = (inside - n * broadcast<V>(F::log2_high)) - n * broadcast<V>(F::log2_low);
  constexpr double factorial[] = {1., 1., 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
                                  1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800.};
  V series = broadcast<V>(factorial[F::exp_terms]);
  UNROLLED(i, F::exp_terms) series = series * r + broadcast<V>(factorial[F::exp_terms - 1 - i]);
  const I whole = reinterpret_cast<I>(moved) - reinterpret_cast<I>(shift), half = whole >> 1;  // in two steps: neither
  constexpr auto bias = static_cast<number_of<I>>(F::bias);                                   // leaves the exponents
  const V result = series * reinterpret_cast<V>((half + bias) << F::mantissa) *
                   reinterpret_cast<V>((whole - half + bias) << F::mantissa);
  return x > most ? broadcast<V>(__builtin_inf()) : (x < least ? V{} : (x != x ? x : result));
}

template <class V>
STRIATE_INLINE V power(V x, V p) {
  return exp_of(log_of(x) * p);
}

// Of 0, and of normal numbers above it.
template <class V>
STRIATE_INLINE V cube_root(V x) {
  using F = Format<number_of<V>>;
  using I = whole_of<V>;
  const V bits = __builtin_convertvector(reinterpret_cast<I>(x), V) * broadcast<V>(1. / 3) + broadcast<V>(F::third);
  V y = reinterpret_cast<V>(__builtin_convertvector(bits, I));
  UNROLLED(i, F::newton) {
    const V cube = y * y * y;
    y *= (cube + x + x) / (cube + cube + x);
  }
  return x == V{} || x == broadcast<V>(__builtin_inf()) ? x : y;
}

template <class V>
STRIATE_INLINE V square_root(V x) {
#if defined(STRIATE_AVX512)
  if constexpr (sizeof(number_of<V>) == 4)
    return _mm512_maskz_sqrt_ps(0xffff, x);
  else
    return _mm512_maskz_sqrt_pd(0xff, x);
#elif defined(STRIATE_AVX2)
  if constexpr (sizeof(number_of<V>) == 4)
    return _mm256_sqrt_ps(x);
  else
    return _mm256_sqrt_pd(x);
#else
  UNROLLED(i, static_cast<int>(sizeof(V) / sizeof(number_of<V>)))
    x[i] = sizeof(number_of<V>) == 4 ? static_cast<number_of<V>>(__builtin_sqrtf(static_cast<float>(x[i])))
                                     : static_cast<number_of<V>>(__builtin_sqrt(static_cast<double>(x[i])));
  return x;
#endif
}

template <class V>
STRIATE_INLINE V magnitude(V x) {
  using I = whole_of<V>;
  constexpr auto all = static_cast<number_of<I>>(~(number_of<I>{1} << (8 * sizeof(number_of<I>) - 1)));
  return reinterpret_cast<V>(reinterpret_cast<I>(x) & all);
}
// |x| with the sign of `of`.
template <class V>
STRIATE_INLINE V with_sign(V x, V of) {
  using I = whole_of<V>;
  constexpr auto sign = number_of<I>{1} << (8 * sizeof(number_of<I>) - 1);
  return reinterpret_cast<V>(reinterpret_cast<I>(x) | (reinterpret_cast<I>(of) & sign));
}
