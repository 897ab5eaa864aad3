// A channel of a picture where it lies, to be read like a Frame: what taps have beside the picture is masked, and the rows
// above and below it are a row of zeros. Where loads can be masked.

#if defined(STRIATE_AVX512)

STRIATE_INLINE floats load_masked(const float* from, uint32_t mask) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
}
STRIATE_INLINE floats load_masked(const bf16* from, uint32_t mask) {
  const __m256i half = _mm256_maskz_loadu_epi16(static_cast<__mmask16>(mask), from);
  return reinterpret_cast<floats>(reinterpret_cast<words>(_mm512_maskz_cvtepu16_epi32(0xffff, half)) << 16);
}

// The even and the odd numbers of two registers, or of one with bf16 numbers.
STRIATE_INLINE void load_apart(const float* from, const uint32_t* masks, floats& even, floats& odd) {
  using all = std::make_integer_sequence<int, LANES>;
  const floats a = load_masked(from, masks[0]), b = load_masked(from + LANES, masks[1]);
  even = every_second<0>(a, b, all{}), odd = every_second<1>(a, b, all{});
}
STRIATE_INLINE void load_apart(const bf16* from, const uint32_t* masks, floats& even, floats& odd) {
  const auto both = reinterpret_cast<words>(_mm512_maskz_loadu_epi16(masks[0] | masks[1] << LANES, from));
  even = reinterpret_cast<floats>(both << 16), odd = reinterpret_cast<floats>(both & 0xffff0000);
}

template <class T, int W, int STEP>
class InPlace {
  static_assert(W <= (STEP == 1 ? LANES : 4));

 public:
  InPlace(const int64_t (&source)[3], const int64_t (&before)[3], const int64_t (&reach)[3])
      : size_{source[0], source[1], source[2]}, before_{before[0], before[1], before[2]},
        planes_(larger(reach[0], source[0] + before[0])), height_(larger(reach[1], source[1] + before[1])),
        zeros_(source[2]), rows_(planes_ * height_), masks_((reach[2] / STEP / V + 1) * LOADS) {
    std::memset(static_cast<void*>(zeros_.data()), 0, static_cast<size_t>(source[2]) * sizeof(T));
    for (int64_t r = 0; r < planes_ * height_; ++r) rows_[r] = zeros_.data();
    for (int64_t x = 0; x * STEP + W <= reach[2]; x += V)
      for (int load = 0; load < LOADS; ++load) {
        const int64_t at = x * STEP - before[2] + load * V;
        uint32_t mask = 0;
        for (int i = 0; i < V; ++i) mask |= static_cast<uint32_t>(at + i >= 0 && at + i < source[2]) << i;
        masks_[x / V * LOADS + load] = mask;
      }
  }
  STRIATE_INLINE const T* const* rows(int64_t plane, int64_t first) const { return rows_.data() + plane * height_ + first; }

  // What the taps read of a row for `count` targets from x on, tap after tap.
  class Columns {
   public:
    STRIATE_INLINE Columns(const InPlace& picture, int64_t x, int count)
        : at_(x * STEP - picture.before_[2]), masks_(picture.masks_.data() + x / V * LOADS), count_(count) {}
    template <int t>
    STRIATE_INLINE floats read(const T* row) {
      const floats value = tap<t>(row + at_);
      return count_ == V ? value : _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << count_) - 1), value);
    }

   private:
    // What lies across lines of the cache costs two loads, so registers in a row are shifted.
    template <int t>
    STRIATE_INLINE floats tap(const T* from) {
      if constexpr (STEP == 1) {
        if constexpr (t == 0) here_ = load_masked(from, masks_[0]);
        if constexpr (t == 0 && W > 1) behind_ = load_masked(from + V, masks_[1]);
        return t ? shifted<t>(here_, behind_) : here_;
      } else {
        if constexpr (t == 0) load_apart(from, masks_, even_, odd_);
        if constexpr (t < 2) return t ? odd_ : even_;
        return shifted<1>(t % 2 ? odd_ : even_, load_masked(from + 2 * V + t % 2, (masks_[2] >> t % 2) & 1));
      }
    }
    template <int by>
    static STRIATE_INLINE floats shifted(floats a, floats b) {
      return reinterpret_cast<floats>(
          _mm512_maskz_alignr_epi32(0xffff, reinterpret_cast<__m512i>(b), reinterpret_cast<__m512i>(a), by));
    }

    int64_t at_;
    const uint32_t* masks_;
    int count_;
    floats here_, behind_, even_, odd_;
  };

  void take(const T* from) {
    for (int64_t plane = 0; plane < size_[0]; ++plane) {
      const T** row = rows_.data() + (plane + before_[0]) * height_ + before_[1];
      for (int64_t r = 0; r < size_[1]; ++r, from += size_[2]) row[r] = from;
    }
  }

 private:
  static constexpr int V = lanes<T>, LOADS = W == 1 ? 1 : STEP + 1;

  int64_t size_[3], before_[3], planes_, height_;
  Workspace<T> zeros_;
  Workspace<const T*> rows_;
  Workspace<uint32_t> masks_;  // of the loads for each register of targets
};

#endif
