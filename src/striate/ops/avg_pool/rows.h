// Average pooling and its gradient where columns lie side by side, on the rows of _rows.h.
//
// Pasted after _rows.h.

// Divides sums of windows.
template <class A>
class Means {
 public:
  Means(int64_t rows, int64_t width, const Divisors& divisors, const Workspace<A>& columns)
      : divisors_(divisors), columns_(columns), divisor_(rows, width) {}
  void row(int64_t, int64_t depth, int64_t row, Range windows, int64_t number) {
    divisor_.row(number, divisors_.of_row<A>(depth, row), columns_.data() + windows.begin, windows.size());
  }
  STRIATE_INLINE vec<A> of(int64_t at, vec<A> sum) const { return sum / divisor_.at(at); }

 private:
  const Divisors& divisors_;
  const Workspace<A>& columns_;
  PerWindow<A> divisor_;
};

// The sum of rows of gradients, each divided by what its windows were divided by.
template <class T>
void share(const T* const* rows, const arithmetic<T>* factors, int64_t count, const arithmetic<T>* divisors,
           int64_t windows, arithmetic<T>* to) {
  constexpr int V = lanes<T>;
  using A = arithmetic<T>;
  bool alike = true;
  for (int64_t r = 1; r < count; ++r) alike = alike && factors[r] == factors[0];
  for (int64_t i = 0; i < windows; i += V) {
    const int some = static_cast<int>(windows - i < V ? windows - i : V);
    const vec<A> divisor = load(divisors + i);
    vec<A> sum{};
    if (alike) {
      sum = over_rows<Total>(rows, count, i, some) / (divisor * factors[0]);
    } else {
      for (int64_t r = 0; r < count; ++r) sum += load_some(rows[r] + i, some) / (divisor * factors[r]);
    }
    store_some(to + i, sum, some);
  }
}

// Each sample gathers its share of the gradients of the windows that it is in.
template <class T>
void avg_pool_rows_backward(const Windows& w, const Divisors& divisors, const T* dy, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Axis &deep = w.axis[0], &high = w.axis[1], &wide = w.axis[2];
  const Taps taps(wide);
  const Neighbours planes(deep, true), rows(high, true);
  const Sweep sweep(w.images * w.channels * deep.in, high.in, taps.indices);
  const Workspace<A> columns = taps_of_columns<A>(divisors, wide.out);
  const ByPhase by_phase(taps);
  const bool past = sweep.segments == 1 && goes_past<T>(w.images * w.channels * w.in_size());
  for_pieces(sweep.pieces(), [&](int64_t piece) {
    const auto part = sweep.part(piece);
    const Given given(taps, part.columns, wide.out);
    const Workspace<A> shares(given.pitch + V), scratch(taps.room());
    const Workspace<A> factors(planes.most() * rows.most());
    const Workspace<const T*> sources(planes.most() * rows.most());
    fill(shares.data(), given.pitch + V, A{});
    T* first = dx + (part.planes.begin * high.in + part.rows.begin) * wide.in + given.column;
    Written<T> written(first, given.columns, past);
    for (int64_t plane = part.planes.begin; plane < part.planes.end; ++plane) {
      const int64_t depth = plane % deep.in;
      const T* picture = dy + plane / deep.in * w.out_size() + given.start;
      for (int64_t row = part.rows.begin; row < part.rows.end; ++row) {
        int64_t count = 0;
        for (auto p = planes.begin(depth); p < planes.end(depth); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r) {
            factors[count] = divisors.of_row<A>(p->source, r->source);
            sources[count++] = picture + (p->source * high.out + r->source) * wide.out;
          }
        if (count)
          share<T>(sources.data(), factors.data(), count, columns.data() + given.start, given.windows,
                   shares.data() + given.margin);
        else
          fill(shares.data() + given.margin, given.windows, A{});
        T* to = written.room(dx + (plane * high.in + row) * wide.in + given.column);
        merge(taps, given.columns, to, scratch.data(),
              [&](int64_t f, int64_t i) {
                vec<A> sum{};
                for (int64_t t = by_phase.first[f]; t < by_phase.first[f + 1]; ++t)
                  sum += load(shares.data() + by_phase.at[t] + i);
                return sum;
              });
        written.took(given.columns);
      }
    }
  });
}
