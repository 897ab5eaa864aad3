// Large results, written past the caches.
//
// Pasted after _neighbours.h.
//
// An ordinary store reads the line that it is in first. A result as large as the caches is thrown out of them before
// anybody reads it, and throws out the rest; whole lines of it can go to memory without being read.

constexpr int64_t PAST_CACHES = 16 << 20;  // bytes of a result

#if defined(STRIATE_AVX512) || defined(STRIATE_AVX2)
constexpr bool CAN_GO_PAST = true;
#else
constexpr bool CAN_GO_PAST = false;
#endif

template <class T>
bool goes_past(int64_t numbers) {
  return CAN_GO_PAST && numbers * static_cast<int64_t>(sizeof(T)) >= PAST_CACHES;
}

// A line, at an address that is a multiple of its size.
STRIATE_INLINE void put_line(void* to, const void* from) {
#if defined(STRIATE_AVX512)
  _mm512_stream_si512(static_cast<__m512i*>(to), _mm512_loadu_si512(from));
#elif defined(STRIATE_AVX2)
  const __m256i* half = static_cast<const __m256i*>(from);
  _mm256_stream_si256(static_cast<__m256i*>(to), _mm256_loadu_si256(half));
  _mm256_stream_si256(static_cast<__m256i*>(to) + 1, _mm256_loadu_si256(half + 1));
#else
  std::memcpy(to, from, 64);
#endif
}

// What other threads read after this piece of work is written.
STRIATE_INLINE void all_is_put() {
#if defined(STRIATE_AVX512) || defined(STRIATE_AVX2)
  _mm_sfence();
#endif
}

// Numbers one behind the other are written where they belong, or to a few kilobytes whose whole lines go past the caches.
template <class T>
class Written {
  static constexpr int64_t LINE = 64 / sizeof(T), HELD = 32 * LINE;

 public:
  // They belong to `to` and behind it, at most `most` at a time.
  Written(T* to, int64_t most, bool past) : to_(to), past_(past), lines_(past ? HELD + most + LINE : 0) {
    if (!past) return;
    skipped_ = held_ = static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) % 64 / sizeof(T));
    to_ -= held_;
  }
  ~Written() {
    if (!past_) return;
    put();
    std::memcpy(static_cast<void*>(to_ + skipped_), lines_.data() + skipped_,
                static_cast<size_t>(held_ - skipped_) * sizeof(T));
    all_is_put();
  }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  // Where the next ones are written, which belong to `to`.
  STRIATE_INLINE T* room(T* to) const { return past_ ? lines_.data() + held_ : to; }
  STRIATE_INLINE void took(int64_t numbers) {
    if (!past_) return;
    held_ += numbers;
    if (held_ >= HELD) put();
  }

 private:
  void put() {
    if (held_ < LINE) return;
    T* from = lines_.data();
    int64_t i = 0;
    if (skipped_) {  // others write the beginning of this line
      std::memcpy(static_cast<void*>(to_ + skipped_), from + skipped_, static_cast<size_t>(LINE - skipped_) * sizeof(T));
      skipped_ = 0;
      i = LINE;
    }
    for (; i + LINE <= held_; i += LINE) put_line(to_ + i, from + i);
    std::memcpy(static_cast<void*>(from), from + i, static_cast<size_t>(held_ - i) * sizeof(T));
    to_ += i;
    held_ -= i;
  }

  T* to_;
  bool past_;
  int64_t skipped_ = 0, held_ = 0;
  Workspace<T> lines_;
};

// Channels that lie side by side are whole lines where registers are, and the result begins with one.
template <class T>
bool lines_go_past(const T* to, int64_t numbers, int64_t channels) {
  return sizeof(vec<T>) == 64 && sizeof(T) * lanes<T> == 64 && !(channels % lanes<T>) && goes_past<T>(numbers) &&
         !(reinterpret_cast<uintptr_t>(to) % 64);
}

// `past`: see lines_go_past.
template <class T>
STRIATE_INLINE void put_some(T* to, vec<T> value, int count, bool past) {
#if defined(STRIATE_AVX512)
  if constexpr (sizeof(T) * lanes<T> == 64) {
    if (past) return _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(value));
  }
#endif
  static_cast<void>(past);
  store_some(to, value, count);
}
