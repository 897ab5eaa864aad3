// What a row of targets of a depthwise convolution reads, where channels lie side by side.

constexpr int64_t UNCACHED = 1 << 18;  // bytes of a tensor that caches near the cores hold no more when gradients are wanted

// Some registers of channels of a row of sources, and the columns between which there are any. Stores may alias every
// number in memory, so what a block needs is copied to variables of its own.
template <class T>
struct Pixels {
  const T* row;
  int64_t channels, columns;
  int count;  // channels of a register

  STRIATE_INLINE vec<T> at(int64_t column, int n = 0) const {
    return load_some(row + column * channels + n * lanes<T>, count);
  }
  STRIATE_INLINE bool inside(int64_t column) const { return static_cast<uint64_t>(column) < static_cast<uint64_t>(columns); }
};

// Moves on by an addition: compilers would rather keep an address for each of the columns.
template <class T>
STRIATE_INLINE void advance(const T*& at, int64_t numbers) {
  at += numbers;
#if defined(__x86_64__)
  asm("" : "+r"(at));
#endif
}

// Whether the taps of a line read neighbouring columns, and how far apart its targets do: 0 for no special case.
inline int step_of(const Line& line) {
  for (int t = 1; t < line.taps; ++t)
    if (line.offset[t] != line.offset[t - 1] + 1) return 0;
  return line.step <= 2 ? static_cast<int>(line.step) : 0;
}

// Calls body with that number in its type; what has no special kernels has those of any step.
template <class T, class Body>
STRIATE_INLINE void with_step(int step, const Body& body) {
  if constexpr (has_special<T>(SET)) {
    if (step == 1) return body(std::integral_constant<int, 1>{});
    if (step == 2) return body(std::integral_constant<int, 2>{});
  }
  body(std::integral_constant<int, 0>{});
}

// Rows of sources that a row of targets has, and which rows of the kernel lie between.
template <class T>
struct Sources {
  Workspace<const T*> rows;
  Workspace<int64_t> kernel_row;
  int64_t count = 0, channels, columns;
  int64_t fresh = 0;  // rows below these that the next row of targets needs and no cache has yet

  explicit Sources(const Windows& d, bool backward)
      : rows(d.axis[0].kernel * d.axis[1].kernel), kernel_row(d.axis[0].kernel * d.axis[1].kernel),
        channels(d.channels), columns(backward ? d.axis[2].out : d.axis[2].in) {
    const int64_t numbers = d.images * d.channels * (backward ? d.out_size() : d.in_size());
    if (numbers * static_cast<int64_t>(sizeof(T)) >= UNCACHED) fresh = backward ? 1 : d.axis[1].stride;
  }

  // Begins to load `size` columns of the fresh rows from `begin` on: what hardware foresees of them comes late. Inlined,
  // as GCC drops calls of functions that do nothing else.
  STRIATE_INLINE void foresee(int64_t begin, int64_t size) const {
    if (count == 0) return;
    const auto pixel = static_cast<uintptr_t>(channels) * sizeof(T);
    for (int64_t r = 1; r <= fresh; ++r) {
      const uintptr_t from = reinterpret_cast<uintptr_t>(rows[count - 1]) + static_cast<uintptr_t>(r * columns + begin) * pixel;
      for (uintptr_t b = 0; b < static_cast<uintptr_t>(size) * pixel; b += 64)
        __builtin_prefetch(reinterpret_cast<const void*>(from + b), 0, 2);
    }
  }

  // For row `number` of all images' rows of targets.
  void gather(const Windows& d, bool backward, const T* from, int64_t number) {
    const auto source = [&](int axis) { return backward ? d.axis[axis].out : d.axis[axis].in; };
    const auto target = [&](int axis) { return backward ? d.axis[axis].in : d.axis[axis].out; };
    const int64_t row = number % target(1), plane = number / target(1) % target(0);
    const int64_t image = number / target(1) / target(0);
    count = 0;
    for_kernel_rows(d, backward, plane, row, [&](int64_t at_plane, int64_t at_row, int64_t in_kernel) {
      rows[count] = from + ((image * source(0) + at_plane) * source(1) + at_row) * columns * channels;
      kernel_row[count++] = in_kernel;
    });
  }
};
