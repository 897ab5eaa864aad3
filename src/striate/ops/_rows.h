// Windows over rows of one channel, with a column in each lane: for pictures whose columns lie side by side.
//
// Pasted after _past_caches.h. With stride s the samples of a row are dealt to s phases: sample i·s + p is number
// i of phase p. Then neighbouring windows have neighbours under a tap, and neighbours of a phase are under
// neighbouring windows, so pooling and its gradient both read whole registers.

constexpr int64_t MOST_REGISTERS = 4;  // greatest stride that shuffles deal

// Whether one window is over all of the picture.
inline bool is_whole(const Windows& w) {
  for (const Axis& axis : w.axis)
    if (axis.out != 1 || axis.kernel != axis.in || axis.before) return false;
  return true;
}

// Window q has sample q + offset of a phase under this tap.
struct Tap {
  int64_t number, phase, offset;
};

// The taps along the columns that reach any sample.
struct Taps {
  int64_t stride, samples, phases, indices;  // indices: samples of phase 0
  int64_t count = 0, low = 0, high = 0;      // the least and the greatest offset
  Workspace<Tap> tap;

  explicit Taps(const Axis& axis)
      : stride(axis.stride), samples(axis.in), phases(axis.stride < axis.in ? axis.stride : axis.in),
        indices((axis.in + axis.stride - 1) / axis.stride), tap(axis.kernel) {
    for (int64_t k = 0; k < axis.kernel; ++k) {
      const int64_t at = k * axis.dilation - axis.before;
      const int64_t offset = at >= 0 ? at / stride : -((stride - 1 - at) / stride), phase = at - offset * stride;
      if (phase >= samples || at >= samples || at + (axis.out - 1) * stride < 0) continue;
      if (!count || offset < low) low = offset;
      if (!count || offset > high) high = offset;
      tap[count++] = {k, phase, offset};
    }
  }
  int64_t span() const { return high - low; }

  // Numbers of a scratch row, for strides that shuffles do not deal.
  int64_t room() const { return stride == phases && stride <= MOST_REGISTERS ? 0 : samples + LANES; }
};

// The taps of each phase, by rising windows, the order in which PyTorch adds: number i of the phase is under the
// window that is `at[t] + i` numbers behind the first that is needed.
struct ByPhase {
  Workspace<int64_t> first, at;
  Workspace<int> number;

  explicit ByPhase(const Taps& taps) : first(taps.phases + 1), at(taps.count), number(taps.count) {
    for (int64_t f = 0, made = 0; f <= taps.phases; ++f) {
      first[f] = made;
      for (int64_t t = taps.count; t-- > 0;) {
        if (taps.tap[t].phase != f) continue;
        at[made] = taps.high - taps.tap[t].offset;
        number[made++] = static_cast<int>(taps.tap[t].number);
      }
    }
  }
};

// How `planes` of `rows` of `width` results are cut into pieces of work: some planes, or some rows of one, and
// of very long rows a segment.
struct Sweep {
  static constexpr int64_t WIDEST = 1024, PIECE = 16384;  // results along a row; numbers in a piece
  int64_t planes, rows, width, some_rows, segment, plane_pieces, row_pieces, segments;

  Sweep(int64_t planes, int64_t rows, int64_t width) : planes(planes), rows(rows), width(width) {
    segment = piece_size(width, piece_size(width, WIDEST));
    segments = piece_size(width, segment);
    const int64_t fit = piece_size(PIECE, segment);
    some_rows = piece_size(rows, piece_size(rows, fit));
    row_pieces = piece_size(rows, some_rows);
    plane_pieces = row_pieces > 1 ? planes : piece_size(planes, piece_size(4 * fit, rows));
    if (plane_pieces > 1 && row_pieces == 1) plane_pieces = piece_size(plane_pieces, SHARES) * SHARES;  // the same for each thread
    if (plane_pieces > planes) plane_pieces = planes;
  }
  int64_t pieces() const { return plane_pieces * row_pieces * segments; }

  struct Part {
    Range planes, rows, columns;
  };
  Part part(int64_t piece) const {
    const auto range = [](int64_t number, int64_t size, int64_t end) {
      return Range{number * size, number * size + size < end ? number * size + size : end};
    };
    const int64_t number = piece / segments / row_pieces;
    return {{number * planes / plane_pieces, (number + 1) * planes / plane_pieces},
            range(piece / segments % row_pieces, some_rows, rows), range(piece % segments, segment, width)};
  }
};

// What a piece's windows want of a row: `columns` from `start` on, behind a margin.
struct Wanted {
  int64_t margin, start, columns;

  Wanted(const Taps& taps, Range windows) {
    const int64_t first = windows.begin + taps.low, end = (windows.end + taps.high) * taps.stride;
    margin = first < 0 ? -first : 0;
    start = (first + margin) * taps.stride;
    columns = (end < taps.samples ? end : taps.samples) - start;
    if (columns < 0) columns = 0;
  }
};

// What is given to a piece's samples, numbers [begin, end) of their phases: `windows` from `start` on, behind a
// margin in a row that takes `pitch`. The samples are `columns` from `column` on.
struct Given {
  int64_t margin, start, windows, pitch, column, columns;

  Given(const Taps& taps, Range samples, int64_t out) {
    const int64_t first = samples.begin - taps.high, end = samples.end * taps.stride;
    pitch = samples.size() + taps.span();
    margin = first < 0 ? -first : 0;
    start = first + margin;
    windows = (first + pitch < out ? first + pitch : out) - start;
    if (windows < 0) windows = 0;
    column = samples.begin * taps.stride;
    columns = (end < taps.samples ? end : taps.samples) - column;
  }
};

template <class A>
STRIATE_INLINE void fill(A* to, int64_t count, A value) {
  for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// A few numbers or bytes, for which the library's function is too far away.
template <class T>
STRIATE_INLINE void copy(const T* from, int64_t count, T* to) {
  constexpr int64_t SIZE = 16 / sizeof(T);
  if (count < SIZE) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
    return;
  }
  for (int64_t i = 0; i + SIZE < count; i += SIZE) std::memcpy(to + i, from + i, 16);
  std::memcpy(to + count - SIZE, from + count - SIZE, 16);
}

// The larger of each pair; NaN wins, from either side. The processor's own gives the second if one
// of them is none; `a`, which is often waited for, goes through one step.
#if defined(STRIATE_AVX512)
STRIATE_INLINE floats larger(floats a, floats b) {
  return _mm512_mask_max_ps(b, _mm512_cmp_ps_mask(b, b, _CMP_ORD_Q), b, a);
}
STRIATE_INLINE doubles larger(doubles a, doubles b) {
  return _mm512_mask_max_pd(b, _mm512_cmp_pd_mask(b, b, _CMP_ORD_Q), b, a);
}
#else
template <class V>
STRIATE_INLINE V larger(V a, V b) {
  return max_nan(a, b);
}
#endif

// What windows are reduced by: `map` of each number, then `of` two at a time.
struct Largest {
  template <class V>
  static STRIATE_INLINE V map(V value) {
    return value;
  }
  template <class V>
  static STRIATE_INLINE V of(V a, V b) {
    return larger(a, b);
  }
  static constexpr double neutral = -__builtin_inf();
};
struct Total {
  template <class V>
  static STRIATE_INLINE V map(V value) {
    return value;
  }
  template <class V>
  static STRIATE_INLINE V of(V a, V b) {
    return a + b;
  }
  static constexpr double neutral = 0;
};

template <class Op, class T>
STRIATE_INLINE vec<T> over_rows(const T* const* rows, int64_t count, int64_t at, int some) {
  vec<T> value = Op::map(load_some(rows[0] + at, some));
  for (int64_t r = 1; r < count; ++r) value = Op::of(value, Op::map(load_some(rows[r] + at, some)));
  return value;
}

// Lane i of the result is number i·S + P of S registers in a row.
template <int S, int P, int K = 1, class V, int... i>
STRIATE_INLINE V phase_of(const V* row, V found, std::integer_sequence<int, i...> order) {
  constexpr int N = sizeof...(i);
  if constexpr (K >= S)
    return found;
  else if constexpr (K == 1)
    return phase_of<S, P, 2>(row, __builtin_shufflevector(found, row[1], (i * S + P < 2 * N ? i * S + P : 0)...), order);
  else
    return phase_of<S, P, K + 1>(
        row, __builtin_shufflevector(found, row[K], ((i * S + P) / N == K ? N + (i * S + P) % N : i)...), order);
}

// The way back: register R of a row that has S phases.
template <int S, int R, int K = 1, class V, int... i>
STRIATE_INLINE V row_of(const V* phase, V found, std::integer_sequence<int, i...> order) {
  constexpr int N = sizeof...(i);
  if constexpr (K >= S)
    return found;
  else if constexpr (K == 1)
    return row_of<S, R, 2>(
        phase,
        __builtin_shufflevector(
            found, phase[1], ((R * N + i) % S > 1 ? 0 : (R * N + i) % S * N + (R * N + i) / S)...),
        order);
  else
    return row_of<S, R, K + 1>(
        phase, __builtin_shufflevector(found, phase[K], ((R * N + i) % S == K ? N + (R * N + i) / S : i)...), order);
}

// The first `count` lanes of a value, and a number in the others.
template <class V, class A, class I, I... i>
STRIATE_INLINE V first_of(V value, int count, A other, std::integer_sequence<I, i...>) {
  using numbers = typename VectorOf<I, sizeof...(i)>::type;
  return numbers{i...} < numbers{} + static_cast<I>(count) ? value : other - V{};
}

template <int S, class Op, class T, int... p>
STRIATE_INLINE void deal_by(const T* const* rows, int64_t count, int64_t columns, arithmetic<T>* to, int64_t apart,
                            std::integer_sequence<int, p...>) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  using order = std::make_integer_sequence<int, V>;
  using numbers = std::make_integer_sequence<std::conditional_t<sizeof(A) == 4, int32_t, int64_t>, V>;
  vec<A> row[S];
  const auto block = [&](int64_t x, A* phase) __attribute__((always_inline)) {
    UNROLLED(k, S) row[k] = Op::map(load(rows[0] + x + k * V));
    for (int64_t r = 1; r < count; ++r) UNROLLED(k, S) row[k] = Op::of(row[k], Op::map(load(rows[r] + x + k * V)));
    (store(phase + p * apart, phase_of<S, p>(row, row[0], order{})), ...);
  };
  int64_t x = 0;
  for (; x < columns; x += S * V) {
    const int64_t at = x + S * V <= columns ? x : columns - S * V;  // the last block: some of them again
    if (at < 0 || at % S) break;
    block(at, to + at / S);
  }
  const int rest = static_cast<int>(columns - x);
  if (rest <= 0) return;
  UNROLLED(k, S) {
    const int some = rest - k * V;
    row[k] = some > 0 ? over_rows<Op>(rows, count, x + k * V, some < V ? some : V) : vec<A>{};
  }
  (store(to + x / S + p * apart, first_of(phase_of<S, p>(row, row[0], order{}), (rest + S - 1 - p) / S,
                                          static_cast<A>(Op::neutral), numbers{})),
   ...);
}

// `count` rows, from 1, are reduced to one, whose `columns` are dealt to phases that lie `apart`. Up to a register
// of neutral numbers may be put behind each phase: a masked store would delay the loads that follow. `scratch` has room
// for the columns and a register, for greater strides.
template <class Op, class T>
void deal(const T* const* rows, int64_t count, int64_t columns, const Taps& taps, arithmetic<T>* to, int64_t apart,
          arithmetic<T>* scratch) {
  using std::make_integer_sequence;
  if (taps.stride == taps.phases) {
    if (taps.stride == 1) return deal_by<1, Op>(rows, count, columns, to, apart, make_integer_sequence<int, 1>{});
    if (taps.stride == 2) return deal_by<2, Op>(rows, count, columns, to, apart, make_integer_sequence<int, 2>{});
    if (taps.stride == 3) return deal_by<3, Op>(rows, count, columns, to, apart, make_integer_sequence<int, 3>{});
    if (taps.stride == 4) return deal_by<4, Op>(rows, count, columns, to, apart, make_integer_sequence<int, 4>{});
  }
  deal_by<1, Op>(rows, count, columns, scratch, 0, make_integer_sequence<int, 1>{});
  for (int64_t p = 0; p < taps.phases; ++p)
    for (int64_t i = 0, at = p; at < columns; ++i, at += taps.stride) to[p * apart + i] = scratch[at];
}

template <int S, class T, class At, int... p>
STRIATE_INLINE void merge_by(int64_t columns, T* to, const At& at, std::integer_sequence<int, p...>) {
  constexpr int V = lanes<T>;
  using order = std::make_integer_sequence<int, V>;
  int64_t x = 0;
  for (; x + S * V <= columns; x += S * V) {
    const vec<T> phase[S] = {at(p, x / S)...};
    (store(to + x + p * V, row_of<S, p>(phase, phase[0], order{})), ...);
  }
  const int rest = static_cast<int>(columns - x);
  if (!rest) return;
  const vec<T> phase[S] = {at(p, x / S)...};
  ((rest > p * V
        ? store_some(to + x + p * V, row_of<S, p>(phase, phase[0], order{}), rest - p * V < V ? rest - p * V : V)
        : void()),
   ...);
}

// A row of `columns` samples from its phases: at(phase, i) is what numbers i, i + 1, … of a phase are.
template <class T, class At>
STRIATE_INLINE void merge(const Taps& taps, int64_t columns, T* to, arithmetic<T>* scratch, const At& at) {
  using std::make_integer_sequence;
  constexpr int V = lanes<T>;
  if (taps.stride == taps.phases) {
    if (taps.stride == 1) return merge_by<1>(columns, to, at, make_integer_sequence<int, 1>{});
    if (taps.stride == 2) return merge_by<2>(columns, to, at, make_integer_sequence<int, 2>{});
    if (taps.stride == 3) return merge_by<3>(columns, to, at, make_integer_sequence<int, 3>{});
    if (taps.stride == 4) return merge_by<4>(columns, to, at, make_integer_sequence<int, 4>{});
  }
  for (int64_t p = 0; p < taps.phases; ++p)
    for (int64_t i = 0; i * taps.stride + p < columns; i += V) {
      const vec<T> value = at(p, i);
      for (int64_t l = 0; l < V && (i + l) * taps.stride + p < columns; ++l) scratch[(i + l) * taps.stride + p] = value[l];
    }
  for (int64_t x = 0; x < columns; x += V)
    store_some(to + x, load(scratch + x), static_cast<int>(columns - x < V ? columns - x : V));
}

// The taps that count of each column of windows, at least one; read by whole registers.
template <class A, class Counted>
Workspace<A> taps_of_columns(const Counted& counts, int64_t width) {
  Workspace<A> columns(width + lanes<A>);
  fill(columns.data() + width, lanes<A>, A{1});
  for (int64_t i = 0; i < width; ++i) columns[i] = counts.template of_column<A>(i);
  return columns;
}

// A number for each of some rows of windows that are computed together: a factor of the row times one of the column.
template <class A>
class PerWindow {
 public:
  PerWindow(int64_t rows, int64_t width) : number_(rows * width + lanes<A>), factor_(rows) {
    fill(number_.data(), rows * width + lanes<A>, A{1});
    fill(factor_.data(), rows, A{0});
  }
  void row(int64_t number, A factor, const A* columns, int64_t width) {
    if (factor_[number] == factor) return;
    factor_[number] = factor;
    for (int64_t i = 0; i < width; ++i) number_[number * width + i] = factor * columns[i];
  }
  STRIATE_INLINE vec<A> at(int64_t index) const { return load(number_.data() + index); }

 private:
  Workspace<A> number_, factor_;
};
