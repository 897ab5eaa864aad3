// What the taps of sliding windows reach along an axis, for kernels in any order of the numbers.
//
// Pasted after _simd.h.

#undef UNROLLED
#define UNROLLED(i, count) _Pragma("GCC unroll 32") for (int i = 0; i < (count); ++i)

// The source position of tap k for a target, or -1.
STRIATE_INLINE int64_t source_of(const Axis& axis, bool backward, int64_t target, int64_t k) {
  int64_t at = k * axis.dilation - axis.before;
  if (!backward) {
    at += target * axis.stride;
    return at >= 0 && at < axis.in ? at : -1;
  }
  at = target - at;
  return at >= 0 && at % axis.stride == 0 && at / axis.stride < axis.out ? at / axis.stride : -1;
}

// Calls body(source plane, source row, row of the kernel) for all rows of sources that a row of targets has.
template <class Body>
STRIATE_INLINE void for_kernel_rows(const Windows& d, bool backward, int64_t plane, int64_t row, const Body& body) {
  for (int64_t kd = 0; kd < d.axis[0].kernel; ++kd) {
    const int64_t at_plane = source_of(d.axis[0], backward, plane, kd);
    if (at_plane < 0) continue;
    for (int64_t kh = 0; kh < d.axis[1].kernel; ++kh) {
      const int64_t at_row = source_of(d.axis[1], backward, row, kh);
      if (at_row >= 0) body(at_plane, at_row, kd * d.axis[1].kernel + kh);
    }
  }
}

template <class T>
STRIATE_INLINE vec<T> load_some(const T* from, int count) {
  return count == lanes<T> ? load(from) : load_first(from, count);
}
template <class T>
STRIATE_INLINE void store_some(T* to, vec<T> value, int count) {
  if (count == lanes<T>)
    store(to, value);
  else
    store_first(to, value, count);
}

// For each target along an axis its sources and the taps between them, by rising sources.
struct Neighbours {
  struct One {
    int64_t source, tap;
  };
  Workspace<int64_t> first;  // number of the target's first neighbour; one more at the end
  Workspace<One> one;

  Neighbours(const Axis& axis, bool backward)
      : first((backward ? axis.in : axis.out) + 1), one((backward ? axis.in : axis.out) * axis.kernel) {
    int64_t made = 0;
    const int64_t targets = backward ? axis.in : axis.out;
    for (int64_t target = 0; target < targets; ++target) {
      first[target] = made;
      for (int64_t i = 0; i < axis.kernel; ++i) {
        const int64_t k = backward ? axis.kernel - 1 - i : i;
        const int64_t source = source_of(axis, backward, target, k);
        if (source >= 0) one[made++] = {source, k};
      }
      if (made - first[target] > most_) most_ = made - first[target];
    }
    first[targets] = made;
  }
  int64_t most() const { return most_; }  // neighbours of one target

  // The sources of some targets, between the first and the last.
  Range reached(Range targets) const {
    Range range{INT64_MAX, 0};
    for (int64_t target = targets.begin; target < targets.end; ++target)
      for (auto at = begin(target); at < end(target); ++at) {
        if (at->source < range.begin) range.begin = at->source;
        if (at->source + 1 > range.end) range.end = at->source + 1;
      }
    return range.begin < range.end ? range : Range{0, 0};
  }
  const One* begin(int64_t target) const { return one.data() + first[target]; }
  const One* end(int64_t target) const { return one.data() + first[target + 1]; }

 private:
  int64_t most_ = 0;
};

// Calls body(vectors, channel, count) for groups of channels that lie side by side: GROUP whole registers
// at a time (an integral constant), then single ones, the last of `count` lanes.
template <class T, int GROUP, class Body>
STRIATE_INLINE void for_channels(int64_t channels, const Body& body) {
  constexpr int V = lanes<T>;
  int64_t c = 0;
  for (; c + GROUP * V <= channels; c += GROUP * V) body(std::integral_constant<int, GROUP>{}, c, V);
  for (; c < channels; c += V)
    body(std::integral_constant<int, 1>{}, c, static_cast<int>(channels - c < V ? channels - c : V));
}
