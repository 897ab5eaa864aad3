// Lp pooling and its gradient, on the rows of _window_rows.h; sums of magnitudes and squares on those of _rows.h. Any power but 1 and 2 is taken of numbers that the largest
// of the window has been taken out of: neither powers nor their sum overflow or vanish.
#include "_planes.h"
#include "_past_caches.h"
#include "_rows.h"
#include "_reduce_rows.h"
#include "_last.h"
#include "_powers.h"
#include "_window_rows.h"
#include "_squares.h"

// What numbers are summed by: P is 1 or 2.
template <int P>
struct Powers : Total {
  template <class V>
  static STRIATE_INLINE V map(V x) {
    if constexpr (P == 1)
      return magnitude(x);
    else
      return x * x;
  }
};

// Norms of windows from their sums.
template <class A, int P>
class Roots {
 public:
  Roots(int64_t rows, int64_t width, double full, const Counts& counts, const Workspace<A>& columns)
      : full_(static_cast<A>(full)), counts_(counts), columns_(columns), taps_(rows, width) {}
  void row(int64_t, int64_t depth, int64_t row, Range windows, int64_t number) {
    taps_.row(number, counts_.of_row<A>(depth, row), columns_.data() + windows.begin, windows.size());
  }
  STRIATE_INLINE vec<A> of(int64_t at, vec<A> sum) const { return root(sum, broadcast<vec<A>>(full_) / taps_.at(at)); }

  static STRIATE_INLINE vec<A> root(vec<A> sum, vec<A> weight) {
    sum *= weight;
    if constexpr (P == 1)
      return sum;
    else
      return square_root(sum);
  }

 private:
  A full_;
  const Counts& counts_;
  const Workspace<A>& columns_;
  PerWindow<A> taps_;
};

// Whether the first `count` sums are so far from the ends of the numbers that none of what was added is lost there.
#if defined(STRIATE_AVX512)
STRIATE_INLINE bool are_ordinary(floats sums, int count) {
  const __mmask16 above = _mm512_cmp_ps_mask(sums, _mm512_set1_ps(1e-30f), _CMP_GT_OQ);
  const __mmask16 most = _mm512_mask_cmp_ps_mask(above, sums, _mm512_set1_ps(1e36f), _CMP_LT_OQ);
  return !(~most & ((1u << count) - 1));
}
STRIATE_INLINE bool are_ordinary(doubles sums, int count) {
  const __mmask8 above = _mm512_cmp_pd_mask(sums, _mm512_set1_pd(1e-290), _CMP_GT_OQ);
  const __mmask8 most = _mm512_mask_cmp_pd_mask(above, sums, _mm512_set1_pd(1e300), _CMP_LT_OQ);
  return !(~most & ((1u << count) - 1));
}
#else
template <class V>
STRIATE_INLINE bool are_ordinary(V sums, int count) {
  constexpr bool is_float = sizeof(sums[0]) == 4;
  bool all = true;
  for (int i = 0; i < static_cast<int>(sizeof(V) / sizeof(sums[0])); ++i)
    all = all && (i >= count || (sums[i] > (is_float ? 1e-30 : 1e-290) && sums[i] < (is_float ? 1e36 : 1e300)));
  return all;
}
#endif

// P: the power, or ANY: `p` says it.
constexpr int ANY = 0;
template <class T, int P>
struct Norms {
  using A = arithmetic<T>;
  using V = vec<A>;
  static constexpr bool TAPS = std::is_same_v<T, bf16>;  // a rounded norm is computed again, not read
  static constexpr int LINES = P == 1 || P == 2 ? 1 : 2;

  double p, full;  // the taps that a sum is scaled up to; 1 for the power mean
  const T *dy, *norms;
  T* y;

  STRIATE_INLINE bool is(int power) const { return P == ANY ? p == power : P == power; }
  STRIATE_INLINE V weight(const Place<A>& place) const { return broadcast<V>(full) / place.taps; }

  template <class Taps, class Inside>
  STRIATE_INLINE V norm(const Taps& taps, int64_t at, const Inside& inside, const Place<A>& place) const {
    V sum{};
    if (is(1)) {
      taps.each([&](int64_t t) { sum += magnitude(inside.pick(t, taps.load(t, at), V{})); });
      return sum * weight(place);
    }
    if (is(2)) {
      taps.each([&](int64_t t) {
        const V x = inside.pick(t, taps.load(t, at), V{});
        sum += x * x;
      });
      return square_root(sum * weight(place));
    }
    if (is(3)) {
      taps.each([&](int64_t t) {
        const V x = magnitude(inside.pick(t, taps.load(t, at), V{}));
        sum += x * x * x;
      });
      sum *= weight(place);
      if (are_ordinary(sum, place.count)) return cube_root(sum);
      sum = V{};
    }
    V largest{};
    taps.each([&](int64_t t) { largest = larger(largest, magnitude(inside.pick(t, taps.load(t, at), V{}))); });
    if (is(3)) {
      // Powers of two take out the largest number's exponent: two of them, for its reciprocal may overflow.
      using F = Format<A>;
      using I = whole_of<V>;
      const I kept = reinterpret_cast<I>(largest) >> F::mantissa, bias = I{} + F::bias;
      const I first = kept < F::bias ? I{} + F::mantissa + 1 : I{} - F::mantissa - 1;
      const V lift = reinterpret_cast<V>((first + bias) << F::mantissa);
      const I exponent = (reinterpret_cast<I>(largest * lift) >> F::mantissa) - bias;
      const V level = reinterpret_cast<V>((bias - exponent) << F::mantissa);
      taps.each([&](int64_t t) {
        const V x = magnitude(inside.pick(t, taps.load(t, at), V{})) * lift * level;
        sum += x * x * x;
      });
      const V root = cube_root(sum * weight(place));
      const V back = reinterpret_cast<V>((bias - first) << F::mantissa);
      const V found = root * reinterpret_cast<V>((bias + exponent) << F::mantissa) * back;
      const V infinite = broadcast<V>(__builtin_inf());
      return largest == V{} ? largest : (largest < infinite ? found : largest);
    } else if constexpr (P == ANY) {
      const V infinite = broadcast<V>(__builtin_inf());
      const V unit = largest == V{} ? broadcast<V>(1) : (largest == infinite ? broadcast<V>(1) : largest);
      taps.each([&](int64_t t) {
        sum += power(magnitude(inside.pick(t, taps.load(t, at), V{})) / unit, broadcast<V>(p));
      });
      return power(sum * weight(place), broadcast<V>(1 / p)) * unit;
    }
    return sum;
  }

  template <class Taps, class Inside>
  STRIATE_INLINE void result(const Taps& taps, int64_t at, const Inside& inside, const Place<A>& place) const {
    store_some(y + place.index, norm(taps, at, inside, place), place.count);
  }

  template <class Taps, class Inside>
  STRIATE_INLINE void note(const Taps& taps, int64_t at, const Inside& inside, const Place<A>& place, A* to,
                           int64_t length, A*, int64_t) const {
    const V share = load_some(dy + place.index, place.count) * weight(place);
    if (is(1)) {
      store_some(to, share, place.count);
      return;
    }
    V found;
    if constexpr (TAPS)
      found = norm(taps, at, inside, place);
    else
      found = load_some(norms + place.index, place.count);
    if (is(2)) {
      store_some(to, found == V{} ? V{} : share / found, place.count);
    } else {
      store_some(to, share, place.count);
      store_some(to + length, found, place.count);
    }
  }

  STRIATE_INLINE void gather(V& sum, V x, const A* notes, int64_t length, int64_t, const Place<A>&) const {
    const V share = load(notes);
    if (is(1) || is(2)) {
      sum += share;
      return;
    }
    const V norm = load(notes + length), ratio = magnitude(x) / norm;
    V slope = share * ratio * ratio;
    if constexpr (P == ANY)
      if (p != 3) slope = share * power(ratio, broadcast<V>(p - 1));
    sum += norm == V{} ? V{} : (x == V{} ? V{} : slope);
  }

  STRIATE_INLINE V gradient(V sum, V x) const {
    if (is(2)) return sum * x;
    const V signed_sum = x < V{} ? -sum : sum;
    return x == V{} ? V{} : signed_sum;
  }
};

template <class T, int P>
void norms_of(const Windows& w, const Counts& counts, double full, const T* x, T* y) {
  using A = arithmetic<T>;
  const auto columns = taps_of_columns<A>(counts, w.axis[2].out);
  if (!w.input_last) return reduce_rows<Roots<A, P>, Powers<P>>(w, x, y, full, counts, columns);
  reduce_last<Powers<P>>(w, x, y, [&](int64_t depth, int64_t row, int64_t column) {
    const vec<A> weight = broadcast<vec<A>>(static_cast<A>(full) / (counts.of_row<A>(depth, row) * columns[column]));
    return [weight](int64_t, int, vec<A> sum) { return Roots<A, P>::root(sum, weight); };
  });
}

template <class T>
void lp_pool_forward(const Windows& w, const Counts& counts, double p, double full, const T* x, T* y) {
  const Norms<T, ANY> pool{p, full, nullptr, nullptr, y};
  if constexpr (has_special<T>(SET)) {
    if (p == 1) return norms_of<T, 1>(w, counts, full, x, y);
    if (p == 2) return norms_of<T, 2>(w, counts, full, x, y);
    if (are_squares<T>(w))
      return p == 3 ? pool_squares(w, x, Norms<T, 3>{p, full, nullptr, nullptr, y}) : pool_squares(w, x, pool);
  }
  pool_windows(w, counts, counts, x, pool);
}
template <class T>
void lp_pool_backward(const Windows& w, const Counts& counts, double p, double full, const T* x, const T* dy,
                      const T* norms, T* dx) {
  const Norms<T, ANY> pool{p, full, dy, norms, nullptr};
  if constexpr (has_special<T>(SET)) {
    const Norms<T, 2> squares{p, full, dy, norms, nullptr};
    if (are_squares<T>(w)) {
      const auto run = [&](const auto& one) { gradient_of_squares<T>(w, x, dx, one, 0, nullptr); };
      return p == 2 ? run(squares) : p == 3 ? run(Norms<T, 3>{p, full, dy, norms, nullptr}) : run(pool);
    }
    if (p == 2) return pool_gradient<T>(w, counts, counts, x, dx, squares, 0, nullptr);
  }
  pool_gradient<T>(w, counts, counts, x, dx, pool, 0, nullptr);
}
