// Max pooling and its gradient where columns lie side by side, on the rows of _rows.h.
//
// Pasted after winners.h.

// What may win a window, or which window a sample may have won: where, counted from a row's column 0, under which tap.
struct Chance {
  int64_t at;
  int tap;
};

// The chances of each row of results in a strip, the same for all planes at one depth. Rows of sources lie in a
// buffer of `lines` lines of `line` numbers for each neighbouring plane.
class Chances {
 public:
  Chances(const Neighbours& planes, const Neighbours& rows, Range part, int64_t groups, int64_t taps)
      : planes_(planes), rows_(rows), part_(part), groups_(groups), chance_(planes.most() * rows.most() * taps * part.size()), begin_(part.size() * (groups + 1)) {}

  // add(group, plane's number, row's source, first tap of a row, to) appends a row's chances and gives the new end.
  template <class Add>
  void set(int64_t depth, int64_t line, const Windows& w, const Add& add) {
    if (depth == depth_ && line == line_) return;
    depth_ = depth, line_ = line;
    Chance* to = chance_.data();
    for (int64_t row = part_.begin; row < part_.end; ++row)
      for (int64_t group = 0; group <= groups_; ++group) {
        begin_[(row - part_.begin) * (groups_ + 1) + group] = to - chance_.data();
        if (group == groups_) break;
        int64_t number = 0;
        for (auto p = planes_.begin(depth); p < planes_.end(depth); ++p, ++number)
          for (auto r = rows_.begin(row); r < rows_.end(row); ++r)
            to = add(group, number, r->source, static_cast<int>((p->tap * w.axis[1].kernel + r->tap) * w.axis[2].kernel),
                     to);
      }
  }
  const Chance* begin(int64_t row, int64_t group) const {
    return chance_.data() + begin_[(row - part_.begin) * (groups_ + 1) + group];
  }

 private:
  const Neighbours &planes_, &rows_;
  Range part_;
  int64_t groups_, depth_ = -1, line_ = 0;
  Workspace<Chance> chance_;
  Workspace<int64_t> begin_;
};

// B results from column p on, the last of `some` numbers; true when a window has nothing but −∞ and no winner.
template <class T, int B>
STRIATE_INLINE bool best_of(const arithmetic<T>* from, const Chance* chance, const Chance* end, int some, T* y,
                            uint8_t* winners) {
  constexpr int V = lanes<T>;
  vec<T> best[B];
  decltype(winners_of<vec<T>>()) winner[B];
  UNROLLED(b, B) best[b] = broadcast<vec<T>>(-__builtin_inf());
  UNROLLED(b, B) winner[b] = winners_of<vec<T>>() + NOBODY;
  for (; chance < end; ++chance)
    UNROLLED(b, B) take_larger(load(from + chance->at + b * V), chance->tap, best[b], winner[b]);
  UNROLLED(b, B) store_some(y + b * V, best[b], b + 1 < B ? V : some);
  UNROLLED(b, B) store_some_bytes(winners + b * V, winner[b], b + 1 < B ? V : some);
  bool lacks = false;
  UNROLLED(b, B) lacks |= lacks_winner(winner[b], b + 1 < B ? V : some);
  return lacks;
}

// Where a window has nothing but −∞ its first tap in the input wins.
inline void nothing_but_infinity(const Windows& w, int tap, Range windows, uint8_t* winners) {
  const Axis& wide = w.axis[2];
  for (int64_t i = windows.begin; i < windows.end; ++i) {
    if (winners[i - windows.begin] != NOBODY) continue;
    const int64_t outside = wide.before - i * wide.stride;
    const int64_t first = outside > 0 ? (outside + wide.dilation - 1) / wide.dilation : 0;
    winners[i - windows.begin] = static_cast<uint8_t>(tap / wide.kernel * wide.kernel + first);
  }
}

// Each row of samples is dealt to its phases once for all windows of the piece that want it.
template <class T>
void max_pool_rows_winners(const Windows& w, const T* x, T* y, uint8_t* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Axis &deep = w.axis[0], &high = w.axis[1], &wide = w.axis[2];
  const Taps taps(wide);
  const Neighbours planes(deep, false), rows(high, false);
  const Sweep sweep(w.images * w.channels * deep.out, high.out, wide.out);
  const int64_t apart = sweep.segment + taps.span() + 2 * V, line = apart * taps.phases;
  for_pieces(sweep.pieces(), [&](int64_t piece) {
    const auto part = sweep.part(piece);
    const int64_t width = part.columns.size();
    const Range lines = rows.reached(part.rows);
    const Workspace<A> memory(planes.most() * lines.size() * line), scratch(taps.room());
    Chances chances(planes, rows, part.rows, 1, taps.count);
    const Wanted wanted(taps, part.columns);
    constexpr int64_t LINE = 64;
    const int64_t per_row = w.in_size() * static_cast<int64_t>(sizeof(T)) / high.out;
    fill(memory.data(), planes.most() * lines.size() * line, static_cast<A>(Largest::neutral));
    for (int64_t plane = part.planes.begin; plane < part.planes.end; ++plane) {
      const int64_t depth = plane % deep.out;
      A* to = memory.data() + wanted.margin;
      for (auto p = planes.begin(depth); p < planes.end(depth); ++p) {
        const T* source = x + plane / deep.out * w.in_size() + wanted.start + (p->source * high.in + lines.begin) * wide.in;
        for (int64_t r = 0; r < lines.size(); ++r, source += wide.in, to += line)
          deal<Largest>(&source, 1, wanted.columns, taps, to, apart, scratch.data());
      }
      // Memory has its next picture to bring while this one is computed.
      const char* next = reinterpret_cast<const char*>(x + (plane + 1) / deep.out * w.in_size());
      chances.set(depth, line, w, [&](int64_t, int64_t number, int64_t row, int first, Chance* next) {
        for (int64_t t = 0; t < taps.count; ++t) {
          const Tap& tap = taps.tap[t];
          const int64_t start = (number * lines.size() + row - lines.begin) * line;
          *next++ = {start + tap.phase * apart + tap.offset - taps.low, first + static_cast<int>(tap.number)};
        }
        return next;
      });
      for (int64_t row = part.rows.begin; row < part.rows.end; ++row) {
        for (int64_t i = row * per_row; i < (row + 1) * per_row && plane + 1 < part.planes.end; i += LINE)
          __builtin_prefetch(next + i);
        const Chance *begin = chances.begin(row, 0), *end = chances.begin(row, 1);
        const int64_t result = (plane * high.out + row) * wide.out + part.columns.begin;
        bool lacks = false;
        for (int64_t p = 0; p < width; p += 2 * V) {
          const int rest = static_cast<int>(width - p < 2 * V ? width - p : 2 * V);
          T* to_values = y + result + p;
          uint8_t* to_winners = winners + result + p;
          lacks |= rest > V ? best_of<T, 2>(memory.data() + p, begin, end, rest - V, to_values, to_winners)
                            : best_of<T, 1>(memory.data() + p, begin, end, rest, to_values, to_winners);
        }
        if (lacks)
          nothing_but_infinity(w, begin->tap, part.columns, winners + result);
      }
    }
  });
}

// Each sample gathers the gradients of the windows that it won.
template <class T>
void max_pool_rows_backward(const Windows& w, const T* dy, const uint8_t* winners, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Axis &deep = w.axis[0], &high = w.axis[1], &wide = w.axis[2];
  const Taps taps(wide);
  const ByPhase by_phase(taps);
  const Neighbours planes(deep, true), rows(high, true);
  const Sweep sweep(w.images * w.channels * deep.in, high.in, taps.indices);
  const int64_t windows = w.images * w.channels * w.out_size();
  const bool past = sweep.segments == 1 && goes_past<T>(w.images * w.channels * w.in_size());
  for_pieces(sweep.pieces(), [&](int64_t piece) {
    const auto part = sweep.part(piece);
    const Given given(taps, part.columns, wide.out);
    const Range lines = rows.reached(part.rows);
    const int64_t line = given.pitch + V, size = planes.most() * lines.size() * line;
    // Without margins windows are read where they are; copies are for those before the end of memory.
    const bool in_place = deep.out == 1 && given.pitch == given.windows && sweep.segments == 1;
    const Workspace<T> copies(size);
    const Workspace<uint8_t> copied(size);
    const Workspace<A> scratch(taps.room());
    Chances chances(planes, rows, part.rows, taps.phases, taps.count);
    std::memset(copies.data(), 0, static_cast<size_t>(size) * sizeof(T));
    std::memset(copied.data(), NOBODY, static_cast<size_t>(size));
    Written<T> written(dx + (part.planes.begin * high.in + part.rows.begin) * wide.in, given.columns, past);
    for (int64_t plane = part.planes.begin; plane < part.planes.end; ++plane) {
      const int64_t depth = plane % deep.in;
      const int64_t picture = plane / deep.in * w.out_size() + lines.begin * wide.out + given.start;
      const bool stay = in_place && picture + lines.size() * wide.out + V <= windows;
      const T* gradients = stay ? dy + picture : copies.data();
      const uint8_t* won = stay ? winners + picture : copied.data();
      if (!stay) {
        int64_t to = given.margin;
        for (auto p = planes.begin(depth); p < planes.end(depth); ++p) {
          int64_t from = picture + p->source * high.out * wide.out;
          for (int64_t r = 0; r < lines.size(); ++r, from += wide.out, to += line) {
            copy(dy + from, given.windows, copies.data() + to);
            copy(winners + from, given.windows, copied.data() + to);
          }
        }
      }
      const int64_t pitch = stay ? wide.out : line;
      chances.set(depth, pitch, w, [&](int64_t phase, int64_t number, int64_t row, int first, Chance* next) {
        for (int64_t t = by_phase.first[phase]; t < by_phase.first[phase + 1]; ++t)
          *next++ = {(number * lines.size() + row - lines.begin) * pitch + by_phase.at[t], first + by_phase.number[t]};
        return next;
      });
      for (int64_t row = part.rows.begin; row < part.rows.end; ++row) {
        T* to = written.room(dx + (plane * high.in + row) * wide.in + given.column);
        merge(taps, given.columns, to, scratch.data(),
              [&](int64_t phase, int64_t i) {
                vec<A> sum{};
                const Chance* end = chances.begin(row, phase + 1);
                for (const Chance* chance = chances.begin(row, phase); chance < end; ++chance) {
                  const auto winner = load_bytes<vec<A>>(won + chance->at + i);
                  const vec<A> gradient = load(gradients + chance->at + i);
                  sum += select(equal(winner, chance->tap), gradient, vec<A>{});
                }
                return sum;
              });
        written.took(given.columns);
      }
    }
  });
}
