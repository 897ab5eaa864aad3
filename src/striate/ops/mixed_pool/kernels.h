// Mixed pooling and its gradients, on the rows of _window_rows.h: the largest number and the mean of each window together,
// and again in the backward pass, which needs the taps anyhow and so has nothing to keep.
#include "_planes.h"
#include "_past_caches.h"
#include "_rows.h"
#include "_reduce_rows.h"
#include "_last.h"
#include "_powers.h"
#include "_window_rows.h"
#include "_squares.h"

// Gated: the share of the largest is σ of the window's product with a gate; otherwise it is a number of the channel.
enum class Kind { shared, gated, any };  // of any kind: `gated` says which

template <class T, Kind KIND>
struct Mix {
  using A = arithmetic<T>;
  using V = vec<A>;
  static constexpr bool TAPS = true;
  static constexpr int LINES = KIND == Kind::shared ? 3 : 4;  // for the largest, for each tap, which tap is the largest; for the gate

  const A* table;  // [tap][channel], or [channel]
  int64_t channels;
  const T* dy;
  T* y;
  bool gated = KIND == Kind::gated;

  STRIATE_INLINE bool is_gated() const { return KIND == Kind::any ? gated : KIND == Kind::gated; }

  struct Window {
    V largest, mean, share;
  };

  template <class Taps, class Inside>
  STRIATE_INLINE Window look(const Taps& taps, int64_t at, const Inside& inside, const Place<A>& place) const {
    const V least = broadcast<V>(-__builtin_inf()), one = broadcast<V>(1);
    V largest = least, sum{}, score{};
    taps.each([&](int64_t t) {
      const V x = taps.load(t, at), counted = inside.pick(t, x, V{});
      largest = larger(largest, inside.pick(t, x, least));
      sum += counted;
      if (is_gated()) score += counted * place.of_channels(table + taps.number[t] * channels);
    });
    Window window{place.inside < one ? V{} : largest, sum / place.taps, V{}};
    if (is_gated())
      window.share = one / (one + exp_of(-score));
    else
      window.share = place.of_channels(table);
    return window;
  }

  template <class Taps, class Inside>
  STRIATE_INLINE void result(const Taps& taps, int64_t at, const Inside& inside, const Place<A>& place) const {
    const Window seen = look(taps, at, inside, place);
    store_some(y + place.index, seen.largest * seen.share + seen.mean * (broadcast<V>(1) - seen.share), place.count);
  }

  template <class Taps, class Inside>
  STRIATE_INLINE void note(const Taps& taps, int64_t at, const Inside& inside, const Place<A>& place, A* to,
                           int64_t length, A* sums, int64_t step) const {
    const Window seen = look(taps, at, inside, place);
    const V one = broadcast<V>(1), gradient = load_some(dy + place.index, place.count);
    const V nobody = broadcast<V>(-1);
    V winner = nobody;
    taps.each([&](int64_t t) {  // the first of equals
      const V number = broadcast<V>(static_cast<A>(taps.number[t])), first = winner == nobody ? number : winner;
      winner = inside.pick(t, taps.load(t, at) < seen.largest ? winner : first, winner);
    });
    store_some(to, gradient * seen.share, place.count);
    store_some(to + length, gradient * (one - seen.share) / place.taps, place.count);
    store_some(to + 2 * length, winner, place.count);
    V slope = gradient * (seen.largest - seen.mean);
    if (is_gated()) {
      slope *= seen.share * (one - seen.share);
      store_some(to + 3 * length, slope, place.count);
    }
    if (!sums) return;
    const V begin = broadcast<V>(place.known), end = broadcast<V>(place.count), lane = numbered<A>(0);
    const auto add = [&](A* sum, V value) { store(sum, load(sum) + (lane >= begin ? lane < end ? value : V{} : V{})); };
    if (is_gated())
      taps.each([&](int64_t t) { add(sums + taps.number[t] * step, slope * inside.pick(t, taps.load(t, at), V{})); });
    else
      add(sums, slope);
  }

  STRIATE_INLINE void gather(V& sum, V, const A* notes, int64_t length, int64_t tap, const Place<A>& place) const {
    const V number = broadcast<V>(static_cast<A>(tap));
    sum += load(notes + length) + (load(notes + 2 * length) == number ? load(notes) : V{});
    if (is_gated()) sum += load(notes + 3 * length) * place.of_channels(table + tap * channels);
  }

  STRIATE_INLINE V gradient(V sum, V) const { return sum; }
};

// A share of the largest number and the rest of the mean. No number at all leaves −∞, and 0 for a sum: the result is 0.
template <class V>
STRIATE_INLINE V mixture(V largest, V sum, V taps, V share) {
  const V least = broadcast<V>(-__builtin_inf()), zero{};
  largest = largest == least ? (sum == zero ? zero : largest) : largest;
  return largest * share + sum / taps * (broadcast<V>(1) - share);
}

template <class A>
class Mixtures {
 public:
  Mixtures(int64_t rows, int64_t width, const Windows& w, const Counts& counts, const Workspace<A>& columns,
           const A* table)
      : w_(w), counts_(counts), columns_(columns), taps_(rows, width), table_(table) {}
  void row(int64_t plane, int64_t depth, int64_t row, Range windows, int64_t number) {
    share_ = broadcast<vec<A>>(table_[plane / w_.axis[0].out % w_.channels]);
    taps_.row(number, counts_.of_row<A>(depth, row), columns_.data() + windows.begin, windows.size());
  }
  STRIATE_INLINE vec<A> of(int64_t at, vec<A> largest, vec<A> sum) const {
    return mixture(largest, sum, taps_.at(at), share_);
  }

 private:
  const Windows& w_;
  const Counts& counts_;
  const Workspace<A>& columns_;
  PerWindow<A> taps_;
  const A* table_;
  vec<A> share_{};
};

template <class T>
void mix_by_channel(const Windows& w, const Counts& counts, const arithmetic<T>* table, const T* x, T* y) {
  using A = arithmetic<T>;
  const auto columns = taps_of_columns<A>(counts, w.axis[2].out);
  if (!w.input_last) return reduce_rows<Mixtures<A>, Largest, Total>(w, x, y, w, counts, columns, table);
  reduce_last<Largest, Total>(w, x, y, [&](int64_t depth, int64_t row, int64_t column) {
    const vec<A> taps = broadcast<vec<A>>(counts.of_row<A>(depth, row) * columns[column]);
    return [taps, table](int64_t channel, int count, vec<A> largest, vec<A> sum) {
      return mixture(largest, sum, taps, load_some(table + channel, count));
    };
  });
}

template <class T>
void mixed_pool_forward(const Windows& w, const Counts& counts, const Counts& inside, bool gated,
                        const arithmetic<T>* table, const T* x, T* y) {
  if constexpr (has_special<T>(SET)) {
    if (!gated) return mix_by_channel(w, counts, table, x, y);
    if (are_squares<T>(w)) return pool_squares(w, x, Mix<T, Kind::gated>{table, w.channels, nullptr, y});
  }
  pool_windows(w, counts, inside, x, Mix<T, Kind::any>{table, w.channels, nullptr, y, gated});
}

// `partials`: sums of each picture for the gradient of the table, [image][channel][tap] or [image][channel]; may be null.
template <class T>
void mixed_pool_backward(const Windows& w, const Counts& counts, const Counts& inside, bool gated,
                         const arithmetic<T>* table, const T* x, const T* dy, T* dx, arithmetic<T>* partials) {
  const int64_t weights = !partials ? 0 : gated ? w.taps() : 1;
  if constexpr (has_special<T>(SET))
    if (are_squares<T>(w)) {
      const auto run = [&](const auto& pool) { gradient_of_squares<T>(w, x, dx, pool, weights, partials); };
      return gated ? run(Mix<T, Kind::gated>{table, w.channels, dy, nullptr})
                   : run(Mix<T, Kind::shared>{table, w.channels, dy, nullptr});
    }
  const Mix<T, Kind::any> pool{table, w.channels, dy, nullptr, gated};
  pool_gradient<T>(w, counts, inside, x, dx, pool, weights, partials);
}
