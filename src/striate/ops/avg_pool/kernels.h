// Average pooling in up to three dimensions and its gradient.
#include "_neighbours.h"
#include "_past_caches.h"
#include "_rows.h"
#include "_reduce_rows.h"
#include "_last.h"
#include "_small_planes.h"

#include "avg_pool/last.h"
#include "avg_pool/rows.h"
#include "avg_pool/whole.h"

// Small planes, as where channels lie side by side.
template <class T, bool BACKWARD>
void avg_pool_small(const Windows& w, const Divisors& divisors, const T* from, T* to) {
  using A = arithmetic<T>;
  const int64_t source = BACKWARD ? w.out_size() : w.in_size(), target = BACKWARD ? w.in_size() : w.out_size();
  for_small_planes<T>(w, [&](const Windows& turned, int64_t first, int64_t count) {
    const int64_t pitch = turned.channels;
    const Workspace<A> sources(source * pitch), targets(target * pitch);
    turn(from + first * source, count, source, sources.data(), pitch);
    (BACKWARD ? avg_pool_last_backward<A> : avg_pool_last<A>)(turned, divisors, sources.data(), targets.data());
    turn_back(targets.data(), count, target, to + first * target, pitch);
  });
}

template <class T>
void avg_pool_forward(const Windows& w, const Divisors& divisors, const T* x, T* y) {
  using A = arithmetic<T>;
  if (w.input_last) return avg_pool_last(w, divisors, x, y);
  if constexpr (has_special<T>(SET)) {
    if (is_whole(w)) return avg_of_pictures(x, w.images * w.channels, w.in_size(), divisors.of<A>(0, 0, 0), y);
    if (has_small_planes(w)) return avg_pool_small<T, false>(w, divisors, x, y);
  }
  const auto columns = taps_of_columns<A>(divisors, w.axis[2].out);
  reduce_rows<Means<A>, Total>(w, x, y, divisors, columns);
}

template <class T>
void avg_pool_backward(const Windows& w, const Divisors& divisors, const T* dy, T* dx) {
  using A = arithmetic<T>;
  if (w.input_last) return avg_pool_last_backward(w, divisors, dy, dx);
  if constexpr (has_special<T>(SET)) {
    if (is_whole(w)) return avg_of_pictures_backward(dy, w.images * w.channels, w.in_size(), divisors.of<A>(0, 0, 0), dx);
    if (has_small_planes(w)) return avg_pool_small<T, true>(w, divisors, dy, dx);
  }
  avg_pool_rows_backward(w, divisors, dy, dx);
}
