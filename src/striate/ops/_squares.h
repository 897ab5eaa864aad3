// Windows of 2 × 2 numbers, side by side: what they and their gradients are made of stays in registers.
//
// Pasted after _window_rows.h and _past_caches.h; the pools are those of pool_windows and pool_gradient.

constexpr int SQUARE = 4;  // taps

template <class T>
bool are_squares(const Windows& w) {
  const Axis& deep = w.axis[0];
  if (deep.kernel != 1 || deep.stride != 1 || deep.before || deep.in != deep.out) return false;
  for (int i = 1; i < 3; ++i) {
    const Axis& axis = w.axis[i];
    if (axis.kernel != 2 || axis.stride != 2 || axis.dilation != 1 || axis.before || axis.in < 2 * axis.out) return false;
  }
  return w.input_last || w.axis[2].out >= lanes<T>;
}

// The taps of a vector of windows.
template <class A>
struct Square {
  vec<A> x[SQUARE];
  static constexpr int number[] = {0, 1, 2, 3};
  static constexpr int64_t count = SQUARE;

  STRIATE_INLINE vec<A> load(int64_t tap, int64_t) const { return x[tap]; }
  template <class Body>
  STRIATE_INLINE void each(const Body& body) const {
    UNROLLED(t, SQUARE) body(t);
  }
};

// Calls body(taps, place, at) for the vectors of a row of windows, whose taps are from column `at` on (numbers of a row
// of channels). The last vector of a row may begin in the one before.
template <class T, class Body>
STRIATE_INLINE void for_squares(const Windows& w, const T* x, int64_t picture, int64_t line, const Body& body) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t height = w.axis[1].out, width = w.axis[2].out, channels = w.input_last ? w.channels : 1;
  const int64_t plane = picture * w.axis[0].in + line / height, step = w.axis[2].in * channels;
  const int64_t index = (picture * w.axis[0].out * height + line) * width * channels;
  const T* rows = x + (plane * w.axis[1].in + line % height * 2) * step;
  const vec<A> all = broadcast<vec<A>>(SQUARE);
  Square<A> taps;
  if (!w.input_last) {
    using order = lanes_of<vec<A>>;
    for (int64_t i = 0; i < width; i += V) {
      const int64_t first = i + V <= width ? i : width - V;
      UNROLLED(r, 2) {
        const vec<A> a = load(rows + r * step + 2 * first), b = load(rows + r * step + 2 * first + V);
        taps.x[2 * r] = every_second(a, b, false, order{});
        taps.x[2 * r + 1] = every_second(a, b, true, order{});
      }
      body(taps, Place<A>{index + first, picture % w.channels, V, false, all, all, static_cast<int>(i - first)}, 2 * first);
    }
  } else {
    for (int64_t o = 0; o < width; ++o)
      for (int64_t c = 0; c < channels; c += V) {
        const int some = static_cast<int>(channels - c < V ? channels - c : V);
        const int64_t at = 2 * o * channels + c;
        UNROLLED(t, SQUARE) taps.x[t] = load_some(rows + t / 2 * step + t % 2 * channels + at, some);
        body(taps, Place<A>{index + o * channels + c, c, some, true, all, all, 0}, at);
      }
  }
}

inline Pieces pieces_of_squares(const Windows& w, bool whole) {
  return {w.input_last ? w.images : w.images * w.channels, w.in_size() * (w.input_last ? w.channels : 1),
          w.axis[0].out * w.axis[1].out, whole};
}

template <class T, class Pool>
void pool_squares(const Windows& w, const T* x, const Pool& pool) {
  const Pieces pieces = pieces_of_squares(w, false);
  for_pieces(pieces.count(), [&](int64_t piece) {
    const Range pictures = pieces.planes_of(piece), lines = pieces.rows_of(piece);
    for (int64_t p = pictures.begin; p < pictures.end; ++p)
      for (int64_t line = lines.begin; line < lines.end; ++line)
        for_squares(w, x, p, line, [&](const auto& taps, const auto& place, int64_t) {
          pool.result(taps, 0, Everywhere{}, place);
        });
  });
}

// `partials` are those of pool_gradient.
template <class T, class Pool>
void gradient_of_squares(const Windows& w, const T* x, T* dx, const Pool& pool, int64_t weights,
                         arithmetic<T>* partials) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Pieces pieces = pieces_of_squares(w, partials != nullptr);
  const int64_t channels = w.input_last ? w.channels : 1, step = w.axis[2].in * channels, height = w.axis[1].out;
  const int64_t used = 2 * w.axis[2].out * channels, below = w.axis[1].in - 2 * height;
  const int64_t room = w.input_last ? rounded_up(w.channels, V) : V, size = w.in_size() * channels;
  const int64_t numbers = w.images * w.channels * w.in_size();
  const bool past = w.input_last ? lines_go_past(dx, numbers, w.channels) : goes_past<T>(numbers);
  for_pieces(pieces.count(), [&](int64_t piece) {
    const Range pictures = pieces.planes_of(piece), lines = pieces.rows_of(piece);
    const Workspace<A> sums(weights * room);
    const int64_t depth = lines.begin / height, row = depth * w.axis[1].in + lines.begin % height * 2;
    T* next = dx + pictures.begin * size + row * step;
    Written<T> written(next, (2 + below) * step, past && !w.input_last);
    for (int64_t p = pictures.begin; p < pictures.end; ++p) {
      std::memset(sums.data(), 0, static_cast<size_t>(weights * room) * sizeof(A));
      for (int64_t line = lines.begin; line < lines.end; ++line) {
        T* to = written.room(next);
        for_squares(w, x, p, line, [&](const auto& taps, const auto& place, int64_t at) {
          A noted[Pool::LINES * V];
          pool.note(taps, 0, Everywhere{}, place, noted, V,
                    partials ? sums.data() + (place.last ? place.channel : 0) : nullptr, room);
          vec<A> found[SQUARE];
          UNROLLED(t, SQUARE) {
            vec<A> sum{};
            pool.gather(sum, taps.x[t], noted, V, t, place);
            found[t] = pool.gradient(sum, taps.x[t]);
          }
          using order = lanes_of<vec<A>>;
          if (place.last) {
            UNROLLED(t, SQUARE) put_some(to + t / 2 * step + t % 2 * channels + at, found[t], place.count, past);
          } else {
            UNROLLED(r, 2) {
              store(to + r * step + at, interleave<0>(found[2 * r], found[2 * r + 1], order{}));
              store(to + r * step + at + V, interleave<V / 2>(found[2 * r], found[2 * r + 1], order{}));
            }
          }
        });
        const int64_t rows = 2 + ((line + 1) % height ? 0 : below);
        for (int64_t r = 0; r < rows; ++r)  // no window reaches the samples behind the last
          fill(to + r * step + (r < 2 ? used : 0), step - (r < 2 ? used : 0), T{});
        written.took(rows * step);
        next += rows * step;
      }
      if (!partials) continue;
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t k = 0; k < weights; ++k)
          partials[(p * channels + c) * weights + k] = w.input_last ? sums[k * room + c] : sum(load(sums.data() + k * V));
    }
    if (past) all_is_put();
  });
}
