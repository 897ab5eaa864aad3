// A channel of a picture with zeros around it, in memory that stays in a cache, for kernels with columns in the lanes.

#include "_neighbours.h"

STRIATE_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// With a stride of two, STEP, even and odd columns lie apart, so that every tap reads whole registers.
template <class T, int STEP>
class Frame {
 public:
  using A = arithmetic<T>;

  // Of pictures with `source` samples along each dimension after `before` zeros; windows reach `reach` samples of each.
  Frame(const int64_t (&source)[3], const int64_t (&before)[3], const int64_t (&reach)[3])
      : source_{source[0], source[1], source[2]}, before_{before[0], before[1], before[2]},
        height_(larger(reach[1], source[1] + before[1])),
        half_(((larger(reach[2], source[2] + before[2]) + STEP - 1) / STEP / V + 3) * V),
        shift_(STEP == 1 ? (V - before[2] % V) % V : 0),
        data_(larger(reach[0], source[0] + before[0]) * height_ * STEP * half_) {
    std::memset(data_.data(), 0, static_cast<size_t>(larger(reach[0], source[0] + before[0]) * height_ * pitch()) * sizeof(A));
  }
  int64_t pitch() const { return STEP * half_; }  // between rows
  A* row(int64_t plane, int64_t row) const { return data_.data() + (plane * height_ + row) * pitch() + shift_; }

  struct Rows {
    const A* first;
    int64_t pitch;
    STRIATE_INLINE const A* operator[](int64_t row) const {
      const A* from = first + row * pitch;
#if defined(__x86_64__)
      asm("" : "+r"(from));  // compilers would keep the address of each load of a loop
#endif
      return from;
    }
  };
  Rows rows(int64_t plane, int64_t first) const { return {row(plane, first), pitch()}; }

  // What the taps read of a row for `count` targets from x on.
  class Columns {
   public:
    STRIATE_INLINE Columns(const Frame& frame, int64_t x, int count) : x_(x), half_(frame.half_), count_(count) {}
    template <int t>
    STRIATE_INLINE vec<T> read(const A* row) const {
      return load_some(row + x_ + (STEP == 1 ? t : t % 2 * half_ + t / 2), count_);
    }

   private:
    int64_t x_, half_;
    int count_;
  };

  void take(const T* from) {
    for (int64_t plane = 0; plane < source_[0]; ++plane)
      for (int64_t r = 0; r < source_[1]; ++r, from += source_[2]) {
        A* to = row(plane + before_[0], r + before_[1]);
        if constexpr (STEP == 1)
          copy(from, to + before_[2]);
        else
          split(from, to + before_[2] % 2 * half_ + before_[2] / 2, to + (before_[2] + 1) % 2 * half_ + (before_[2] + 1) / 2);
      }
  }

 private:
  static constexpr int V = lanes<T>;

  void copy(const T* from, A* to) const {
    const int64_t size = source_[2];
    int64_t i = 0;
    for (; i + V <= size; i += V) store(to + i, load(from + i));
    if (i < size) store(to + i, load_first(from + i, static_cast<int>(size - i)));  // zeros behind
  }
  void split(const T* from, A* even, A* odd) const {
    using all = std::make_integer_sequence<int, V>;
    const int64_t size = source_[2];
    for (int64_t i = 0; i < size; i += 2 * V) {
      const int64_t left = size - i;
      const vec<T> a = load_some(from + i, static_cast<int>(left < V ? left : V));
      const vec<T> b = left > V ? load_some(from + i + V, static_cast<int>(left < 2 * V ? left - V : V)) : vec<T>{};
      store(even + i / 2, every_second<0>(a, b, all{}));
      store(odd + i / 2, every_second<1>(a, b, all{}));
    }
  }

  int64_t source_[3], before_[3], height_, half_;
  int64_t shift_;  // puts the first samples of rows where registers begin in memory
  Workspace<A> data_;
};

// Memory that is read next: each turn of a loop begins to load a part of it, as what hardware foresees ends with a picture's
// channel, and while there is arithmetic to do memory would rest.
class Ahead {
 public:
  Ahead(const void* from, int64_t bytes, int64_t turns)
      : at_(reinterpret_cast<uintptr_t>(from)), end_(at_ + static_cast<uintptr_t>(bytes)),
        part_((static_cast<uintptr_t>(bytes) / LINE / static_cast<uintptr_t>(turns > 0 ? turns : 1) + 1) * LINE) {}
  static Ahead nothing() { return Ahead(nullptr, 0, 1); }
  STRIATE_INLINE void turn() {
    const uintptr_t stop = at_ + part_ < end_ ? at_ + part_ : end_;
    for (; at_ < stop; at_ += LINE) __builtin_prefetch(reinterpret_cast<const void*>(at_), 0, 2);
  }

 private:
  static constexpr uintptr_t LINE = 64;
  uintptr_t at_, end_, part_;
};
