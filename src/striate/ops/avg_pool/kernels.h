// Average pooling in up to three dimensions and its gradient.
#include "_neighbours.h"
#include "_rows.h"

#include "avg_pool/last.h"
#include "avg_pool/rows.h"

template <class T>
void avg_pool_forward(const Windows& w, const Divisors& divisors, const T* x, T* y) {
  if (w.input_last) return avg_pool_last<T, false>(w, divisors, x, y);
  const auto columns = divisors_of_columns<arithmetic<T>>(divisors, w.axis[2].out);
  reduce_rows<Total, Means<arithmetic<T>>>(w, x, y, divisors, columns);
}

template <class T>
void avg_pool_backward(const Windows& w, const Divisors& divisors, const T* dy, T* dx) {
  if (w.input_last) return avg_pool_last<T, true>(w, divisors, dy, dx);
  avg_pool_rows_backward(w, divisors, dy, dx);
}
