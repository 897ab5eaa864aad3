// Who is the largest: the first of equal numbers, but the last NaN.

constexpr uint8_t NOBODY = 255;  // a winner that is no tap

#if defined(STRIATE_AVX512)
// Takes `value`, from tap `tap`, where it is larger than the best so far or not a number.
STRIATE_INLINE void take_larger(floats value, int tap, floats& best, ints& winner) {
  const __mmask16 wins = _mm512_cmp_ps_mask(value, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  best = _mm512_mask_mov_ps(best, wins, value);
  winner = reinterpret_cast<ints>(_mm512_mask_mov_epi32(reinterpret_cast<__m512i>(winner), wins, _mm512_set1_epi32(tap)));
}
STRIATE_INLINE void take_larger(doubles value, int tap, doubles& best, longs& winner) {
  const __mmask8 wins = _mm512_cmp_pd_mask(value, best, _CMP_GT_OQ) | _mm512_cmp_pd_mask(value, value, _CMP_UNORD_Q);
  best = _mm512_mask_mov_pd(best, wins, value);
  winner = reinterpret_cast<longs>(_mm512_mask_mov_epi64(reinterpret_cast<__m512i>(winner), wins, _mm512_set1_epi64(tap)));
}
#else
template <class V, class I>
STRIATE_INLINE void take_larger(V value, int tap, V& best, I& winner) {
  const auto wins = (value > best) | (value != value);
  best = wins ? value : best;
  winner = wins ? I{} + tap : winner;
}
#endif

template <class I>
STRIATE_INLINE auto equal(I winner, int tap) {
#if defined(STRIATE_AVX512)
  if constexpr (sizeof(winner[0]) == 4)
    return _mm512_cmpeq_epi32_mask(reinterpret_cast<__m512i>(winner), _mm512_set1_epi32(tap));
  else
    return _mm512_cmpeq_epi64_mask(reinterpret_cast<__m512i>(winner), _mm512_set1_epi64(tap));
#else
  return winner == tap;
#endif
}

template <class V>
STRIATE_INLINE auto winners_of() {
  if constexpr (sizeof(V{}[0]) == 4)
    return ints{};
  else
    return longs{};
}

template <class I>
STRIATE_INLINE void store_bytes(uint8_t* to, I value) {
#if defined(STRIATE_AVX512)
  if constexpr (sizeof(value[0]) == 4)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(value)));
  else
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi64_epi8(0xff, reinterpret_cast<__m512i>(value)));
#else
  for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); ++i) to[i] = static_cast<uint8_t>(value[i]);
#endif
}

template <class I>
STRIATE_INLINE void store_some_bytes(uint8_t* to, I value, int count) {
  constexpr int V = sizeof(I) / sizeof(I{}[0]);
  if (count == V) return store_bytes(to, value);
#if defined(STRIATE_AVX512)
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  if constexpr (V == 16)
    _mm_mask_storeu_epi8(to, mask, _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(value)));
  else
    _mm_mask_storeu_epi8(to, mask, _mm512_maskz_cvtepi64_epi8(0xff, reinterpret_cast<__m512i>(value)));
#else
  for (int i = 0; i < V; ++i)
    if (i < count) to[i] = static_cast<uint8_t>(value[i]);
#endif
}

// A bit for each lane of a mask.
template <class M>
STRIATE_INLINE uint32_t bits_of(M mask) {
#if defined(STRIATE_AVX512)
  return mask;
#elif defined(STRIATE_AVX2)
  if constexpr (sizeof(mask[0]) == 4)
    return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
  else
    return static_cast<uint32_t>(_mm256_movemask_pd(reinterpret_cast<__m256d>(mask)));
#else
  uint32_t bits = 0;
  for (size_t i = 0; i < sizeof(mask) / sizeof(mask[0]); ++i) bits |= (mask[i] != 0 ? 1u : 0u) << i;
  return bits;
#endif
}

// Whether one of the first `count` windows has no winner.
template <class I>
STRIATE_INLINE bool lacks_winner(I winner, int count) {
  return bits_of(equal(winner, NOBODY)) & ((1u << count) - 1);
}
