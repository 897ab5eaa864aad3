// Max pooling in up to three dimensions and its gradient. For the gradient the forward pass keeps which tap won,
// one byte for each result and in the same order.
#include "_neighbours.h"
#include "_past_caches.h"
#include "_rows.h"
#include "_reduce_rows.h"
#include "_last.h"
#include "_small_planes.h"
#include "max_pool/winners.h"

#include "max_pool/last.h"
#include "max_pool/rows.h"
#include "max_pool/small.h"
#include "max_pool/whole.h"

struct AsItIs {
  AsItIs(int64_t, int64_t) {}
  void row(int64_t, int64_t, int64_t, Range, int64_t) {}
  template <class V>
  STRIATE_INLINE V of(int64_t, V value) const {
    return value;
  }
};

// `winners` may be null.
template <class T>
void max_pool_forward(const Windows& w, const T* x, T* y, uint8_t* winners) {
  if (w.input_last && winners) return max_pool_last(w, x, y, winners);
  if (w.input_last) {
    const auto as_it_is = [](int64_t, int, auto value) { return value; };
    return reduce_last<Largest>(w, x, y, [&](int64_t, int64_t, int64_t) { return as_it_is; });
  }
  if constexpr (has_special<T>(SET)) {
    if (is_whole(w)) return max_of_pictures(x, w.images * w.channels, w.in_size(), y, winners);
    if (has_small_planes(w)) return max_pool_small(w, x, y, winners);
  }
  if (winners) return max_pool_rows_winners(w, x, y, winners);
  reduce_rows<AsItIs, Largest>(w, x, y);
}

template <class T>
void max_pool_backward(const Windows& w, const T* dy, const uint8_t* winners, T* dx) {
  if (w.input_last) return max_pool_last_backward(w, dy, winners, dx);
  if constexpr (has_special<T>(SET)) {
    if (is_whole(w)) return max_of_pictures_backward(dy, winners, w.images * w.channels, w.in_size(), dx);
    if (has_small_planes(w)) return max_pool_small_backward(w, dy, winners, dx);
  }
  max_pool_rows_backward(w, dy, winners, dx);
}
