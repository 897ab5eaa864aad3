// Windows whose numbers are reduced two at a time, by sums or by the largest, where columns lie side by side.
//
// Pasted after _rows.h. Windows of neighbouring columns stay in registers from their samples to the result; the others go
// through dealt rows.

// B vectors of windows from their taps: numbers of dealt rows, at[t] away.
template <class A, class Op, int B>
struct Across {
  vec<A> value[B];

  STRIATE_INLINE Across(const A* from, const int64_t* at, int64_t count) {
    UNROLLED(b, B) value[b] = broadcast<vec<A>>(Op::neutral);
    for (int64_t t = 0; t < count; ++t) UNROLLED(b, B) value[b] = Op::of(value[b], load(from + at[t] + b * lanes<A>));
  }
};

// Stores what Finish makes of them, the last vector of `some` numbers.
template <int B, class T, class Finish, class... Values>
STRIATE_INLINE void finish_some(const Finish& finish, int64_t index, T* to, int some, const Values&... values) {
  constexpr int V = lanes<T>;
  UNROLLED(b, B) store_some(to + b * V, finish.of(index + b * V, values.value[b]...), b + 1 < B ? V : some);
}

// `count` windows in a row, whose dealt rows are `room` apart for each Op.
template <class... Ops, class T, class A, class Finish, int... k>
STRIATE_INLINE void finish_row(const Finish& finish, int64_t index, const A* from, int64_t room, const Workspace<int64_t>& at,
                               int64_t taps, int64_t count, T* to, std::integer_sequence<int, k...>) {
  constexpr int V = lanes<T>;
  for (int64_t i = 0; i < count; i += 2 * V) {
    const int rest = static_cast<int>(count - i < 2 * V ? count - i : 2 * V);
    if (rest > V)
      finish_some<2>(finish, index + i, to + i, rest - V, Across<A, Ops, 2>(from + i + k * room, at.data(), taps)...);
    else
      finish_some<1>(finish, index + i, to + i, rest, Across<A, Ops, 1>(from + i + k * room, at.data(), taps)...);
  }
}

// Windows of neighbours, whose rows stay in registers: S columns from a multiple of their stride S on, perhaps with the one
// before them and the one behind.
struct Near {
  bool is, before, after;

  explicit Near(const Taps& taps) {
    const auto at = [&](int64_t t) { return taps.tap[t].offset * taps.stride + taps.tap[t].phase; };
    const int64_t first = taps.count ? at(0) : 0, last = taps.count ? at(taps.count - 1) : 0;
    before = first == -1, after = last == taps.stride;
    is = taps.stride == taps.phases && taps.stride <= 2 && (before || !first) && (after || last == taps.stride - 1) &&
         taps.count == last - first + 1;
  }
};

// Some columns of the reduced rows by phases, and those beside them.
template <int S, class A, class Op>
struct NearColumns {
  using V = vec<A>;
  using order = std::make_integer_sequence<int, lanes<A>>;
  V before, here[S], after[S];

  STRIATE_INLINE NearColumns() {
    none();
    UNROLLED(k, S) here[k] = after[k];
    before = after[0];
  }
  STRIATE_INLINE void none() { UNROLLED(k, S) after[k] = broadcast<V>(Op::neutral); }
  STRIATE_INLINE void begin(int k, V value) { after[k] = Op::map(value); }
  STRIATE_INLINE void add(int k, V value) { after[k] = Op::of(after[k], Op::map(value)); }
  // After rows were taken, of `columns` that are there.
  template <bool WHOLE>
  STRIATE_INLINE void deal(int64_t columns) {
    if constexpr (S == 2) {
      const V even = phase_of<2, 0>(after, after[0], order{}), odd = phase_of<2, 1>(after, after[0], order{});
      after[0] = even, after[1] = odd;
    }
    if constexpr (!WHOLE && Op::neutral != 0) {
      using numbers = std::make_integer_sequence<std::conditional_t<sizeof(A) == 4, int32_t, int64_t>, lanes<A>>;
      UNROLLED(k, S)
        after[k] = first_of(after[k], static_cast<int>((columns + S - 1 - k) / S), static_cast<A>(Op::neutral), numbers{});
    }
  }
  STRIATE_INLINE void step() {
    before = here[S - 1];
    UNROLLED(k, S) here[k] = after[k];
  }
  // Lanes from number FIRST on of two registers in a row.
  template <int FIRST, int... i>
  static STRIATE_INLINE V from_lane(V a, V b, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(a, b, (i + FIRST)...);
  }
  STRIATE_INLINE V value(const Near& near) const {
    V found = here[0];
    if (near.before) found = Op::of(from_lane<lanes<A> - 1>(before, here[S - 1], order{}), found);
    if constexpr (S == 2) found = Op::of(found, here[1]);
    if (near.after) found = Op::of(found, from_lane<1>(here[0], after[0], order{}));
    return found;
  }
};

// A row of such windows from `count` rows of `size` columns.
template <class T, class Finish, int S, class A, class... Ops>
STRIATE_INLINE void finish_near(const Near& near, const Finish& finish, const T* const* rows, int64_t count, int64_t size,
                                int64_t windows, T* to, NearColumns<S, A, Ops>... columns) {
  constexpr int V = lanes<T>;
  const auto take = [&](const auto& of_row) __attribute__((always_inline)) {
    UNROLLED(k, S) {
      vec<T> value = of_row(0, k);
      (columns.begin(k, value), ...);
      for (int64_t r = 1; r < count; ++r) value = of_row(r, k), (columns.add(k, value), ...);
    }
  };
  const auto bring = [&](int64_t x) __attribute__((always_inline)) {
    const int64_t left = size - x;
    if (left <= 0 || !count) return (columns.none(), ...);
    if (left >= S * V) {
      take([&](int64_t r, int k) __attribute__((always_inline)) { return load(rows[r] + x + k * V); });
      return (columns.template deal<true>(left), ...);
    }
    take([&](int64_t r, int k) __attribute__((always_inline)) {
      const int some = static_cast<int>(left) - k * V;
      return some > 0 ? load_some(rows[r] + x + k * V, some < V ? some : V) : vec<T>{};
    });
    (columns.template deal<false>(left), ...);
  };
  if (S == 2 && !near.before && !near.after && count && size >= S * windows) {  // the commonest: nobody has columns beside
    for (int64_t i = 0; i < windows; i += V) {
      const int64_t at = i + V <= windows ? i : windows - V;  // the last ones may be computed twice
      take([&](int64_t r, int k) __attribute__((always_inline)) { return load(rows[r] + S * at + k * V); });
      (columns.template deal<true>(size), ...);
      (columns.step(), ...);
      store(to + at, finish.of(at, columns.value(near)...));
    }
    return;
  }
  for (int64_t i = -V; i < windows; i += V) {
    bring(S * (i + V));
    if (i >= 0) {
      const auto value = finish.of(i, columns.value(near)...);
      store_some(to + i, value, static_cast<int>(windows - i < V ? windows - i : V));
    }
    (columns.step(), ...);
  }
}

// The results of each row of windows: what is under them, reduced by each Op, first along planes and rows, then along
// columns. There is a Finish for each piece: row(plane, depth, row, windows, number) announces the rows that are computed
// together, of(at, values…) gives what is stored.
template <class Finish, class... Ops, class T, class... More>
void reduce_rows(const Windows& w, const T* x, T* y, const More&... more) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>, TOGETHER = 512;  // numbers of rows that are dealt before their windows are finished
  const Axis &deep = w.axis[0], &high = w.axis[1], &wide = w.axis[2];
  const Taps taps(wide);
  const Neighbours planes(deep, false), rows(high, false);
  const Sweep sweep(w.images * w.channels * deep.out, high.out, wide.out);
  // Some rows are dealt, then finished: loads wait for stores that overlap them. Short rows are laid one behind the other
  // where no margins are between them, that the registers are full.
  const bool is_flush = !taps.span();
  const int64_t pitch = is_flush ? sweep.segment : sweep.segment + taps.span() + 2 * V;
  const int64_t group = pitch > TOGETHER ? 1 : TOGETHER / pitch;
  const int64_t apart = group * pitch + taps.span() + 2 * V, room = taps.phases * apart;
  const bool past = sweep.segments == 1 && goes_past<T>(w.images * w.channels * w.out_size());
  const Near near(taps);
  const Workspace<int64_t> at(taps.count);
  for (int64_t t = 0; t < taps.count; ++t) at[t] = taps.tap[t].phase * apart + taps.tap[t].offset - taps.low;
  for_pieces(sweep.pieces(), [&](int64_t piece) {
    const auto part = sweep.part(piece);
    const int64_t width = part.columns.size();
    const Workspace<A> memory(sizeof...(Ops) * room), scratch(taps.room());
    const Workspace<const T*> sources(planes.most() * rows.most());
    Finish finish(group, sweep.segment, more...);
    Written<T> written(y + (part.planes.begin * high.out + part.rows.begin) * wide.out, group * wide.out, past);
    A* each = memory.data();
    ((fill(each, room, static_cast<A>(Ops::neutral)), each += room), ...);
    const Wanted wanted(taps, part.columns);
    const bool in_registers = has_special<T>(SET) && near.is && width >= V && sweep.segments == 1 &&
                              (sizeof...(Ops) == 1 || taps.stride == 2);
    const auto list = [&](const T* picture, int64_t depth, int64_t row) {
      int64_t count = 0;
      for (auto p = planes.begin(depth); p < planes.end(depth); ++p)
        for (auto r = rows.begin(row); r < rows.end(row); ++r)
          sources[count++] = picture + (p->source * high.in + r->source) * wide.in;
      return count;
    };
    for (int64_t plane = part.planes.begin; plane < part.planes.end; ++plane) {
      const int64_t depth = plane % deep.out;
      const T* picture = x + plane / deep.out * w.in_size() + wanted.start;
      if constexpr (has_special<T>(SET))
        for (int64_t row = part.rows.begin; in_registers && row < part.rows.end; ++row) {
          const int64_t count = list(picture, depth, row);
          finish.row(plane, depth, row, part.columns, 0);
          T* to = written.room(y + (plane * high.out + row) * wide.out);
          const auto each_window = [&](auto... columns) __attribute__((always_inline)) {
            finish_near(near, finish, sources.data(), count, wanted.columns, width, to, columns...);
          };
          if constexpr (sizeof...(Ops) == 1)  // of two, those side by side are common, those that overlap are not
            if (taps.stride == 1) each_window(NearColumns<1, A, Ops>()...);
          if (taps.stride == 2) each_window(NearColumns<2, A, Ops>()...);
          written.took(width);
        }
      for (int64_t row = part.rows.begin; !in_registers && row < part.rows.end; row += group) {
        const int64_t together = part.rows.end - row < group ? part.rows.end - row : group;
        for (int64_t g = 0; g < together; ++g) {
          const int64_t count = list(picture, depth, row + g);
          A* to = memory.data() + g * (is_flush ? width : pitch) + wanted.margin;
          if (count)
            ((deal<Ops>(sources.data(), count, wanted.columns, taps, to, apart, scratch.data()), to += room), ...);
          else
            for (int64_t f = 0; f < taps.phases; ++f, to += apart) {
              A* each = to;
              ((fill(each, width + taps.span() - wanted.margin, static_cast<A>(Ops::neutral)), each += room), ...);
            }
          finish.row(plane, depth, row + g, part.columns, g);
        }
        T* result = written.room(y + (plane * high.out + row) * wide.out + part.columns.begin);
        constexpr std::make_integer_sequence<int, sizeof...(Ops)> each_op{};
        const int64_t lines = is_flush ? 1 : together, length = is_flush ? together * width : width;
        for (int64_t g = 0; g < lines; ++g)
          finish_row<Ops...>(finish, g * width, memory.data() + g * pitch, room, at, taps.count, length,
                             result + g * wide.out, each_op);
        written.took(together * width);
      }
    }
  });
}
