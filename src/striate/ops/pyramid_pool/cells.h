// The cells of a partition of pictures, reduced.
//
// Pasted after _planes.h and winners.h.

constexpr int BESIDE = 4;  // registers taken together: channels, or columns of a plane

template <class A>
using places = decltype(winners_of<vec<A>>());

// Takes `other` at `place` if it is larger than the best so far, or as large and before it: the last that is no
// number wins.
#if defined(STRIATE_AVX512)
STRIATE_INLINE void take_first(floats other, ints place, floats& best, ints& winner) {
  const __m512i at = reinterpret_cast<__m512i>(place), before = reinterpret_cast<__m512i>(winner);
  const __mmask16 no_numbers = _mm512_cmp_ps_mask(other, other, _CMP_UNORD_Q);
  const __mmask16 as_good = _mm512_cmp_ps_mask(other, best, _CMP_NLT_UQ);  // or one of them is no number
  const __mmask16 better = _mm512_cmp_ps_mask(other, best, _CMP_NLE_UQ);
  const __mmask16 first = _mm512_mask_cmplt_epi32_mask(as_good, at, before);
  __mmask16 wins = better | first;
  if (const __mmask16 odd = no_numbers | _mm512_cmp_ps_mask(best, best, _CMP_UNORD_Q)) {
    const __mmask16 later = _mm512_cmpgt_epi32_mask(at, before) | _mm512_cmp_ps_mask(best, best, _CMP_ORD_Q);
    wins = (wins & ~odd) | (no_numbers & later);
  }
  best = _mm512_mask_mov_ps(best, wins, other);
  winner = reinterpret_cast<ints>(_mm512_mask_mov_epi32(before, wins, at));
}
#else
template <class V, class I>
STRIATE_INLINE void take_first(V other, I place, V& best, I& winner) {
  const auto wins = (other > best) | ((other == best) & (place < winner)) |
                    ((other != other) & ((best == best) | (place > winner)));
  best = wins ? other : best;
  winner = wins ? place : winner;
}
#endif

// The largest number so far, perhaps with its place, or a sum.
template <class A, Kind KIND>
struct Reduced {
  vec<A> value;
  places<A> winner;

  // `first` is the place of the first number, which wins where all are −∞; parts bring their own.
  STRIATE_INLINE explicit Reduced(int64_t first = INT32_MAX)
      : value(broadcast<vec<A>>(KIND != Kind::average ? -__builtin_inf() : 0)),
        winner(places<A>{} + static_cast<int>(first)) {}

  // Takes a number that comes after all others in its picture.
  STRIATE_INLINE void add(vec<A> other, int64_t place) {
    if constexpr (KIND == Kind::winners)
      take_larger(other, static_cast<int>(place), value, winner);
    else
      take(other);
  }
  // Takes what other numbers were reduced to: the first of equal ones wins, and the last that is no number.
  STRIATE_INLINE void add_part(vec<A> other, places<A> place) {
    if constexpr (KIND == Kind::winners)
      take_first(other, place, value, winner);
    else
      take(other);
  }

 private:
  STRIATE_INLINE void take(vec<A> other) {
    if constexpr (KIND == Kind::largest)
      value = max_nan(value, other);
    else
      value += other;
  }
};

// What the cells of some registers of channels were reduced to.
template <class A>
class Cells {
 public:
  Cells(int64_t cells, int64_t vectors) : vectors_(vectors), value_(cells * vectors), winner_(cells * vectors) {}
  template <Kind KIND>
  void set(int64_t cell, int64_t vector, const Reduced<A, KIND>& found) {
    value_[cell * vectors_ + vector] = found.value;
    if constexpr (KIND == Kind::winners) winner_[cell * vectors_ + vector] = found.winner;
  }
  template <Kind KIND>
  Reduced<A, KIND> get(int64_t cell, int64_t vector) const {
    Reduced<A, KIND> found;
    found.value = value_[cell * vectors_ + vector];
    if constexpr (KIND == Kind::winners) found.winner = winner_[cell * vectors_ + vector];
    return found;
  }
  vec<A> value(int64_t cell, int64_t vector) const { return value_[cell * vectors_ + vector]; }
  places<A> winner(int64_t cell, int64_t vector) const { return winner_[cell * vectors_ + vector]; }

 private:
  int64_t vectors_;
  Workspace<vec<A>> value_;
  Workspace<places<A>> winner_;
};

// Adds a cell, or a part of one, of N registers of channels that lie side by side; `from` is its first number, `row` and `column` the
// numbers between neighbours, `place` that of its first number in a picture of `width`.
template <class S, Kind KIND, int N>
STRIATE_INLINE void reduce(const S* from, int64_t row, int64_t column, int64_t rows, int64_t columns, int64_t place,
                           int64_t width, int count, Reduced<arithmetic<S>, KIND> (&found)[N]) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      UNROLLED(i, N)
        found[i].add(load_some(from + r * row + c * column + i * lanes<S>, count), place + r * width + c);
}

// Channels side by side: `x` is the first of `count` channels, `column` apart from those of the next column.
template <class T, Kind KIND>
void cells_of_last(const Pyramid& p, const T* x, int64_t count, int64_t column, Cells<arithmetic<T>>& cells) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  constexpr int64_t WIDE = 4;  // columns of a cell from which rows are read one after the other: as memory gives them
  const int64_t row = p.width * column, parts = p.columns.parts();
  for (int64_t r = 0; r < p.rows.parts(); ++r) {
    const Range high = p.rows.of(r);
    const int64_t rows = p.width < WIDE * parts ? high.size() : 1;
    for (int64_t first = high.begin; first < high.end; first += rows)
      for (int64_t c = 0; c < parts; ++c) {
        const Range wide = p.columns.of(c);
        const int64_t place = first * p.width + wide.begin, cell = r * parts + c;
        for_channels<T, BESIDE>(count, [&](auto group, int64_t channel, int some) {
          constexpr int N = decltype(group)::value;
          Reduced<A, KIND> found[N];
          UNROLLED(i, N)
            found[i] = first == high.begin ? Reduced<A, KIND>(place) : cells.template get<KIND>(cell, channel / V + i);
          reduce(x + place * column + channel, row, column, rows, wide.size(), place, p.width, some, found);
          UNROLLED(i, N) cells.set(cell, channel / V + i, found[i]);
        });
      }
  }
}

// Reduces rows of a plane that lie one behind the other, column by column.
template <class T, Kind KIND>
void reduce_columns(const T* x, int64_t rows, int64_t width, vec<arithmetic<T>>* values, places<arithmetic<T>>* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const auto some = [&](auto is_whole, int64_t first) {
    Reduced<A, KIND> found[BESIDE];
    int count[BESIDE];
    UNROLLED(i, BESIDE) {
      found[i] = Reduced<A, KIND>(0);
      const int64_t left = width - first - i * V;
      count[i] = static_cast<int>(left < 0 ? 0 : left < V ? left : V);
    }
    for (int64_t r = 0; r < rows; ++r)
      UNROLLED(i, BESIDE) {
        const T* from = x + r * width + first + i * V;
        if constexpr (decltype(is_whole)::value)
          found[i].add(load(from), r);
        else
          found[i].add(load_first(from, count[i]), r);
      }
    UNROLLED(i, BESIDE) {
      if (!count[i]) continue;
      values[first / V + i] = found[i].value;
      if constexpr (KIND == Kind::winners) winners[first / V + i] = found[i].winner;
    }
  };
  int64_t first = 0;
  for (; first + BESIDE * V <= width; first += BESIDE * V) some(std::true_type{}, first);
  for (; first < width; first += BESIDE * V) some(std::false_type{}, first);
}

// Columns side by side: `x` is the first of `count` planes, one for each lane.
template <class T, Kind KIND>
void cells_of_planes(const Pyramid& p, const T* x, int count, Cells<arithmetic<T>>& cells) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  constexpr int64_t MANY_ROWS = 4;  // rows of a part from which they are reduced before they are transposed
  const int64_t pitch = piece_size(p.width, V), parts = p.columns.parts();
  const Planes<const T> planes{x, 1, p.size(), count};
  const int64_t longest = p.rows.longest();
  const Workspace<A> tile((longest < MANY_ROWS ? longest : MANY_ROWS - 1) * p.width * V);
  const int64_t size = p.rows.parts() * V * pitch;
  const Workspace<vec<A>> values(size);
  const Workspace<places<A>> winners(KIND == Kind::winners ? size : 1);
  for (int64_t i = 0; i < size; ++i) values[i] = vec<A>{};  // lanes without a channel are read too
  for (int64_t i = 0; KIND == Kind::winners && i < size; ++i) winners[i] = places<A>{};
  for (int c = 0; c < count; ++c)  // plane after plane, as memory gives them
    for (int64_t r = 0; r < p.rows.parts(); ++r) {
      const Range high = p.rows.of(r);
      const int64_t to = (r * V + c) * pitch;
      if (high.size() >= MANY_ROWS)
        reduce_columns<T, KIND>(x + c * p.size() + high.begin * p.width, high.size(), p.width, values.data() + to,
                                winners.data() + (KIND == Kind::winners ? to : 0));
    }
  for (int64_t r = 0; r < p.rows.parts(); ++r) {
    const Range high = p.rows.of(r);
    const int64_t from = r * V * pitch;
    if (high.size() < MANY_ROWS) {
      pack_row<T>(planes, high.begin * p.width, high.size() * p.width, tile.data());
      for (int64_t c = 0; c < parts; ++c) {
        const Range wide = p.columns.of(c);
        Reduced<A, KIND> found[1] = {Reduced<A, KIND>(high.begin * p.width + wide.begin)};
        reduce(tile.data() + wide.begin * V, p.width * V, V, high.size(), wide.size(), high.begin * p.width + wide.begin,
               p.width, V, found);
        cells.set(r * parts + c, 0, found[0]);
      }
      continue;
    }
    vec<A> square[V], rows[V];
    int64_t packed = 0;  // columns
    for (int64_t c = 0; c < parts; ++c) {
      Reduced<A, KIND> found;
      for (int64_t i = p.columns.of(c).begin; i < p.columns.of(c).end; ++i) {
        if (i == packed) {
          UNROLLED(k, V) square[k] = values[from + k * pitch + i / V];
          transpose(square);
          if constexpr (KIND == Kind::winners) {
            UNROLLED(k, V) rows[k] = reinterpret_cast<vec<A>>(winners[from + k * pitch + i / V]);
            transpose(rows);
          }
          packed += V;
        }
        places<A> place{};
        if constexpr (KIND == Kind::winners) place = (reinterpret_cast<places<A>>(rows[i % V]) + static_cast<int>(high.begin)) * static_cast<int>(p.width) + static_cast<int>(i);
        found.add_part(square[i % V], place);
      }
      cells.set(r * parts + c, 0, found);
    }
  }
}
