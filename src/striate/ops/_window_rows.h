// Windows over the rows of pictures where they lie: lanes are columns, or with channels last channels.
//
// Pasted by kernels after _planes.h and _past_caches.h. A kernel gives a pool, which computes a vector of windows at a time from their
// taps, and a vector of the input's gradient from what it noted of the windows: it never sees the layout.
// Rows whose lanes are columns are first split: columns that are a stride apart lie side by side, so that a tap of
// neighbouring windows is a vector. They stay in a few kilobytes until no window reaches them any more.

// Where a vector of windows is.
template <class A>
struct Place {
  int64_t index;    // of the first one in the result
  int64_t channel;  // of the first lane
  int count;        // lanes in use
  bool last;        // lanes are channels
  vec<A> taps;      // that count in each window, at least one
  vec<A> inside;    // taps in the picture
  int known = 0;    // the first lanes that another vector of windows had

  // A number for each channel.
  STRIATE_INLINE vec<A> of_channels(const A* table) const {
    return last ? load_some(table + channel, count) : broadcast<vec<A>>(table[channel]);
  }
};

// Taps of neighbouring windows: from[t][at …], and the number of each in the window.
template <class S>
struct TapLines {
  const S* const* from;
  const int* number;
  int64_t count;
  int lanes;  // that may be read

  STRIATE_INLINE auto load(int64_t tap, int64_t at) const { return load_some(from[tap] + at, lanes); }
  template <class Body>
  STRIATE_INLINE void each(const Body& body) const {
    for (int64_t t = 0; t < count; ++t) body(t);
  }
};

// For windows that all have the tap, and for those that do not: lanes from low[t] to high[t] do.
struct Everywhere {
  template <class V>
  STRIATE_INLINE V pick(int64_t, V value, V) const {
    return value;
  }
};
template <class A>
struct Between {
  const A *low, *high;
  vec<A> lane;

  STRIATE_INLINE vec<A> pick(int64_t tap, vec<A> value, vec<A> other) const {
    return lane >= broadcast<vec<A>>(low[tap]) ? lane < broadcast<vec<A>>(high[tap]) ? value : other : other;
  }
};

template <class V, int... i>
STRIATE_INLINE V every_second(V a, V b, bool odd, std::integer_sequence<int, i...>) {
  return odd ? __builtin_shufflevector(a, b, (2 * i + 1)...) : __builtin_shufflevector(a, b, (2 * i)...);
}
template <class V>
using lanes_of = std::make_integer_sequence<int, static_cast<int>(sizeof(V) / sizeof(V{}[0]))>;

template <class A>
STRIATE_INLINE vec<A> numbered(int64_t first) {
  vec<A> value{};
  UNROLLED(i, lanes<A>) value[i] = static_cast<A>(i);
  return value + broadcast<vec<A>>(static_cast<A>(first));
}

constexpr int64_t rounded_up(int64_t size, int64_t step) { return (size + step - 1) / step * step; }
constexpr int64_t quotient(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }  // rounded down

// The columns of split rows, and where the taps of windows are in them.
template <class A>
struct Columns {
  int64_t stride, before, length;  // of the columns that lie side by side
  int64_t count = 0;               // taps that some window has in the picture
  Workspace<int64_t> tap, offset;
  Workspace<A> low, high;    // the windows that have it
  int64_t begin, end;        // windows that have all of them

  explicit Columns(const Axis& axis)
      : stride(axis.stride), before(axis.before), tap(axis.kernel), offset(axis.kernel), low(axis.kernel),
        high(axis.kernel), begin(0), end(axis.out) {
    constexpr int V = lanes<A>;
    const int64_t reach = (axis.kernel - 1) * axis.dilation;
    length = rounded_up(axis.out, V) + reach / stride + 1;
    if ((before + axis.in) / stride + 2 * V + 1 > length) length = (before + axis.in) / stride + 2 * V + 1;
    length = rounded_up(length, V);  // aligned, as far as padding lets it
    for (int64_t k = 0; k < axis.kernel; ++k) {
      const int64_t first = before - k * axis.dilation;  // windows from first / stride on, rounded up
      int64_t lo = -quotient(-first, stride), hi = quotient(axis.in - 1 + first, stride) + 1;
      if (lo < 0) lo = 0;
      if (hi > axis.out) hi = axis.out;
      if (lo >= hi) continue;
      tap[count] = k;
      offset[count] = k * axis.dilation % stride * length + k * axis.dilation / stride;
      low[count] = static_cast<A>(lo);
      high[count++] = static_cast<A>(hi);
      if (lo > begin) begin = lo;
      if (hi < end) end = hi;
    }
  }
};

// Rows of a plane in their split form, as long as windows need them.
template <class T>
class SplitRows {
 public:
  using A = arithmetic<T>;

  SplitRows(const Windows& w, const Columns<A>& columns)
      : w_(w), columns_(columns), planes_(kept(w.axis[0])), rows_(kept(w.axis[1])),
        size_(columns.stride * columns.length), data_(planes_ * rows_ * size_), held_(planes_ * rows_) {
    std::memset(data_.data(), 0, static_cast<size_t>(planes_ * rows_ * size_) * sizeof(A));
    picture(nullptr);
  }
  void picture(const T* from) {
    from_ = from;
    for (int64_t i = 0; i < planes_ * rows_; ++i) held_[i] = -1;
  }
  const A* line(int64_t plane, int64_t row) {
    const int64_t slot = plane % planes_ * rows_ + row % rows_, wanted = plane * w_.axis[1].in + row;
    A* line = data_.data() + slot * size_;
    if (held_[slot] != wanted) {
      held_[slot] = wanted;
      split(from_ + wanted * w_.axis[2].in, line);
    }
    return line;
  }

 private:
  static int64_t kept(const Axis& axis) {
    const int64_t reach = (axis.kernel - 1) * axis.dilation + 1;
    return reach < axis.in ? reach : axis.in;
  }
  void split(const T* from, A* to) const {
    constexpr int V = lanes<A>;
    const int64_t in = w_.axis[2].in, before = columns_.before, stride = columns_.stride, length = columns_.length;
    if (stride == 1) {
      int64_t i = 0;
      for (; i + V <= in; i += V) store(to + before + i, load(from + i));
      if (i < in) store(to + before + i, load_first(from + i, static_cast<int>(in - i)));
    } else if (stride == 2) {
      A* even = to + before % 2 * length + before / 2;
      A* odd = to + (before + 1) % 2 * length + (before + 1) / 2;
      int64_t i = 0;
      for (; i < in; i += 2 * V) {
        const int64_t left = in - i;
        const vec<A> a = left >= V ? load(from + i) : load_first(from + i, static_cast<int>(left));
        const vec<A> b = left >= 2 * V ? load(from + i + V)
                         : left > V    ? load_first(from + i + V, static_cast<int>(left - V))
                                       : vec<A>{};
        store(even + i / 2, every_second(a, b, false, lanes_of<vec<A>>{}));
        store(odd + i / 2, every_second(a, b, true, lanes_of<vec<A>>{}));
      }
    } else {
      for (int64_t r = 0; r < stride && r < in; ++r) {
        A* line = to + (before + r) % stride * length + (before + r) / stride;
        for (int64_t i = r; i < in; i += stride) *line++ = load_one(from + i);
      }
    }
  }

  const Windows& w_;
  const Columns<A>& columns_;
  int64_t planes_, rows_, size_;
  Workspace<A> data_;
  Workspace<int64_t> held_;
  const T* from_;
};

// How planes of one channel are cut into pieces, each of some planes and some rows of the targets.
struct Pieces {
  int64_t planes, together, strips, rows;

  Pieces(int64_t planes_, int64_t size, int64_t rows_, bool whole) : planes(planes_), strips(1), rows(rows_) {
    together = size < 16384 ? 16384 / size : 1;
    if (together > planes / SHARES) together = planes / SHARES ? planes / SHARES : 1;
    if (!whole && planes < SHARES) strips = SHARES / planes < rows ? SHARES / planes : rows;
  }
  int64_t count() const { return (planes + together - 1) / together * strips; }
  Range planes_of(int64_t piece) const {
    const int64_t first = piece / strips * together, end = first + together;
    return {first, end < planes ? end : planes};
  }
  Range rows_of(int64_t piece) const {
    const int64_t strip = piece % strips;
    return {strip * rows / strips, (strip + 1) * rows / strips};
  }
};

// The taps of one row of windows after the other, and the pool's answer for each vector of them.
template <class T>
class WindowRows {
 public:
  using A = arithmetic<T>;

  explicit WindowRows(const Windows& w, const Counts& counts, const Counts& inside)
      : w_(w), planes(w.axis[0], false), rows(w.axis[1], false), columns_of(w.axis[2], false), columns(w.axis[2]),
        counts_(counts), inside_(inside), across(2 * rounded_up(w.axis[2].out, lanes<A>)) {
    const int64_t width = w.axis[2].out, room = rounded_up(width, lanes<A>);
    for (int64_t o = 0; o < room; ++o) {  // how many taps count along the row, and how many are in the picture
      across[o] = static_cast<A>(o < width ? counts.taps[2][static_cast<size_t>(o)] : 1);
      across[room + o] = static_cast<A>(o < width ? inside.taps[2][static_cast<size_t>(o)] : 1);
    }
  }

  // What a thread needs besides.
  struct Memory {
    SplitRows<T> lines;
    Workspace<const A*> from;
    Workspace<const T*> from_last;
    Workspace<int> number;
    Workspace<A> low, high;

    explicit Memory(const WindowRows& r)
        : lines(r.w_, r.columns), from(r.w_.taps()), from_last(r.w_.taps()), number(r.w_.taps()), low(r.w_.taps()),
          high(r.w_.taps()) {}
  };

  // One row of windows of one channel, whose picture `memory.lines` has. body(taps, at, inside, place, column)
  template <bool TAPS, class Body>
  STRIATE_INLINE void of_channel(Memory& memory, int64_t channel, int64_t plane, int64_t row, int64_t index,
                                 const Body& body) const {
    constexpr int V = lanes<A>;
    const int64_t width = w_.axis[2].out, room = rounded_up(width, V);
    int64_t count = 0;
    for (auto p = planes.begin(plane); TAPS && p < planes.end(plane); ++p)
      for (auto r = rows.begin(row); r < rows.end(row); ++r) {
        const A* line = memory.lines.line(p->source, r->source);
        const int64_t first = (p->tap * w_.axis[1].kernel + r->tap) * w_.axis[2].kernel;
        for (int64_t t = 0; t < columns.count; ++t) {
          memory.from[count] = line + columns.offset[t];
          memory.low[count] = columns.low[t];
          memory.high[count] = columns.high[t];
          memory.number[count++] = static_cast<int>(first + columns.tap[t]);
        }
      }
    const TapLines<A> taps{memory.from.data(), memory.number.data(), count, V};
    const vec<A> whole = broadcast<vec<A>>(static_cast<A>(counts_.of(plane, row)));
    const vec<A> seen = broadcast<vec<A>>(static_cast<A>(inside_.of(plane, row)));
    const vec<A> one = broadcast<vec<A>>(1);
    for (int64_t o = 0; o < width; o += V) {
      const int64_t end = o + V < width ? o + V : width;
      const vec<A> counted = whole * load(across.data() + o);
      const Place<A> place{index + o, channel, static_cast<int>(end - o), false, counted < one ? one : counted,
                           seen * load(across.data() + room + o)};
      if (o >= columns.begin && end <= columns.end)
        body(taps, o, Everywhere{}, place, o);
      else
        body(taps, o, Between<A>{memory.low.data(), memory.high.data(), numbered<A>(o)}, place, o);
    }
  }

  // One row of windows of a picture with channels last.
  template <bool TAPS, class Body>
  STRIATE_INLINE void of_channels(Memory& memory, const T* picture, int64_t plane, int64_t row, int64_t index,
                                  const Body& body) const {
    constexpr int V = lanes<A>;
    for (int64_t o = 0; o < w_.axis[2].out; ++o) {
      int64_t count = 0;
      for (auto p = planes.begin(plane); TAPS && p < planes.end(plane); ++p)
        for (auto r = rows.begin(row); r < rows.end(row); ++r)
          for (auto q = columns_of.begin(o); q < columns_of.end(o); ++q) {
            const int64_t at = (p->source * w_.axis[1].in + r->source) * w_.axis[2].in + q->source;
            memory.from_last[count] = picture + at * w_.channels;
            memory.number[count++] = static_cast<int>((p->tap * w_.axis[1].kernel + r->tap) * w_.axis[2].kernel + q->tap);
          }
      const int64_t counted = counts_.of(plane, row) * counts_.taps[2][static_cast<size_t>(o)];
      const vec<A> all = broadcast<vec<A>>(static_cast<A>(counted ? counted : 1));
      const vec<A> seen = broadcast<vec<A>>(static_cast<A>(inside_.of(plane, row) * inside_.taps[2][static_cast<size_t>(o)]));
      for (int64_t c = 0; c < w_.channels; c += V) {
        const int some = static_cast<int>(w_.channels - c < V ? w_.channels - c : V);
        const TapLines<T> taps{memory.from_last.data(), memory.number.data(), count, some};
        body(taps, c, Everywhere{}, Place<A>{index + o * w_.channels + c, c, some, true, all, seen}, o);
      }
    }
  }

  const Windows& w_;
  const Neighbours planes, rows, columns_of;
  const Columns<A> columns;

 private:
  const Counts &counts_, &inside_;
  Workspace<A> across;
};

// The results of all windows: pool.result(taps, at, inside, place).
template <class T, class Pool>
void pool_windows(const Windows& w, const Counts& counts, const Counts& inside_counts, const T* x, const Pool& pool) {
  const WindowRows<T> windows(w, counts, inside_counts);
  const int64_t height = w.axis[1].out, width = w.axis[2].out, lines = w.axis[0].out * height;
  const Pieces pieces(w.input_last ? w.images : w.images * w.channels, w.in_size() * (w.input_last ? w.channels : 1),
                      lines, false);
  for_pieces(pieces.count(), [&](int64_t piece) {
    typename WindowRows<T>::Memory memory(windows);
    const Range planes = pieces.planes_of(piece), rows = pieces.rows_of(piece);
    const auto body = [&](const auto& taps, int64_t at, const auto& inside, const auto& place, int64_t) {
      pool.result(taps, at, inside, place);
    };
    for (int64_t p = planes.begin; p < planes.end; ++p) {
      if (!w.input_last) memory.lines.picture(x + p * w.in_size());
      for (int64_t line = rows.begin; line < rows.end; ++line) {
        const int64_t index = (p * lines + line) * width;
        if (w.input_last)
          windows.template of_channels<true>(memory, x + p * w.in_size() * w.channels, line / height, line % height,
                              index * w.channels, body);
        else
          windows.template of_channel<true>(memory, p % w.channels, line / height, line % height, index, body);
      }
    }
  });
}

// Gradients ------------------------------------------------------------------------------------------------

// What a pool notes of the rows of windows that reach a row of the input: some numbers for each window, a line of each.
template <class T>
class Notes {
 public:
  using A = arithmetic<T>;

  // `length` of a line, of which `left` are before its first window.
  Notes(const Windows& w, int lines, int64_t length, int64_t left)
      : planes_(kept(w.axis[0])), rows_(w.axis[0].in > 1 ? w.axis[1].out : kept(w.axis[1])),  // noted once in any case
        height_(w.axis[1].out), lines_(lines), length_(length),
        left_(left), data_(planes_ * rows_ * lines * length), held_(planes_ * rows_) {
    std::memset(data_.data(), 0, static_cast<size_t>(planes_ * rows_ * lines * length) * sizeof(A));
    forget();
  }
  void forget() {
    for (int64_t i = 0; i < planes_ * rows_; ++i) held_[i] = -1;
  }
  int64_t length() const { return length_; }
  // Those of a row, by take(to) if they are not there.
  template <class Take>
  STRIATE_INLINE const A* of(int64_t plane, int64_t row, const Take& take) {
    const int64_t slot = plane % planes_ * rows_ + row % rows_, wanted = plane * height_ + row;
    A* to = data_.data() + slot * lines_ * length_ + left_;
    if (held_[slot] != wanted) {
      held_[slot] = wanted;
      take(to);
    }
    return to;
  }

 private:
  static int64_t kept(const Axis& axis) {
    const int64_t reach = (axis.kernel - 1) * axis.dilation / axis.stride + 1;
    return reach < axis.out ? reach : axis.out;
  }
  int64_t planes_, rows_, height_, lines_, length_, left_;
  Workspace<A> data_;
  Workspace<int64_t> held_;
};

// Which windows columns c, c + stride, … are in: the j-th of them in window j + shift, as its tap.
struct Phase {
  int64_t count;
  const int64_t *tap, *shift;
};
struct Phases {
  Workspace<int64_t> numbers;
  Workspace<Phase> phase;
  int64_t left = 0, right = 0;  // how far shifts go

  explicit Phases(const Axis& axis) : numbers(2 * axis.kernel * axis.stride), phase(axis.stride) {
    for (int64_t c = 0; c < axis.stride; ++c) {
      int64_t *tap = numbers.data() + 2 * axis.kernel * c, *shift = tap + axis.kernel, count = 0;
      for (int64_t k = axis.kernel; k-- > 0;) {
        const int64_t at = c + axis.before - k * axis.dilation, q = quotient(at, axis.stride);
        if (at - q * axis.stride || q >= axis.out || q + (axis.in - 1) / axis.stride < 0) continue;
        tap[count] = k;
        shift[count++] = q;
        if (-q > left) left = -q;
        if (q > right) right = q;
      }
      phase[c] = {count, tap, shift};
    }
    left = rounded_up(left, LANES);
  }
};

// A row of windows that reaches a row of the input, and the number of the first tap that does.
template <class A>
struct Reaching {
  const A* notes;
  int64_t first;
};

// One vector of columns, j to j + lanes, of a phase.
template <class T, class Pool, class A = arithmetic<T>>
STRIATE_INLINE vec<A> gathered(const Pool& pool, const Reaching<A>* rows, int64_t row_count, const Phase& phase,
                               int64_t j, vec<A> x, int64_t length, const Place<A>& place) {
  vec<A> sum{};
  for (int64_t r = 0; r < row_count; ++r)
    for (int64_t t = 0; t < phase.count; ++t)
      pool.gather(sum, x, rows[r].notes + j + phase.shift[t], length, rows[r].first + phase.tap[t], place);
  return pool.gradient(sum, x);
}

template <class T, class Pool, class A = arithmetic<T>>
STRIATE_INLINE void gradient_of_row(const Pool& pool, const Phases& phases, int64_t stride, const Reaching<A>* rows,
                                    int64_t row_count, int64_t length, const Place<A>& place, const T* x, T* dx,
                                    int64_t in) {
  constexpr int V = lanes<A>;
  if (stride == 1) {
    for (int64_t i = 0; i < in; i += V) {
      const int count = static_cast<int>(in - i < V ? in - i : V);
      const vec<A> value = load_some(x + i, count);
      store_some(dx + i, gathered<T>(pool, rows, row_count, phases.phase[0], i, value, length, place), count);
    }
  } else if (stride == 2) {
    using all = lanes_of<vec<A>>;
    for (int64_t i = 0; i < in; i += 2 * V) {
      const int64_t left = in - i;
      const int first = static_cast<int>(left < V ? left : V), second = static_cast<int>(left - V < V ? left - V : V);
      const vec<A> a = load_some(x + i, first), b = second > 0 ? load_some(x + i + V, second) : vec<A>{};
      const vec<A> even = gathered<T>(pool, rows, row_count, phases.phase[0], i / 2, every_second(a, b, false, all{}),
                                      length, place);
      const vec<A> odd = gathered<T>(pool, rows, row_count, phases.phase[1], i / 2, every_second(a, b, true, all{}),
                                     length, place);
      store_some(dx + i, interleave<0>(even, odd, all{}), first);
      if (second > 0) store_some(dx + i + V, interleave<V / 2>(even, odd, all{}), second);
    }
  } else {
    for (int64_t c = 0; c < stride && c < in; ++c)
      for (int64_t i = c, j = 0; i < in; i += V * stride, j += V) {
        vec<A> value{};
        for (int64_t b = 0; b < V && i + b * stride < in; ++b) value[b] = load_one(x + i + b * stride);
        value = gathered<T>(pool, rows, row_count, phases.phase[c], j, value, length, place);
        for (int64_t b = 0; b < V && i + b * stride < in; ++b) store_one(dx + i + b * stride, value[b]);
      }
  }
}

// Each sample gathers from the windows that it is in: pool.note(taps, at, inside, place, to, length, sums, step) writes
// Pool::LINES vectors, `length` apart; pool.gather(sum, x, notes, length, tap, place) adds up, pool.gradient(sum, x) ends.
// With `partials` the pool also adds to sums[weight * step], for the gradient of `weights` numbers of each channel;
// partials[image][channel][weight] gets them.
template <class T, class Pool>
void pool_gradient(const Windows& w, const Counts& counts, const Counts& inside_counts, const T* x, T* dx,
                   const Pool& pool, int64_t weights, arithmetic<T>* partials) {
  using A = arithmetic<T>;
  constexpr int V = lanes<A>;
  const WindowRows<T> windows(w, counts, inside_counts);
  const Neighbours planes_in(w.axis[0], true), rows_in(w.axis[1], true), columns_in(w.axis[2], true);
  const Phases phases(w.axis[2]);
  const int64_t height = w.axis[1].in, width = w.axis[2].in, lines = w.axis[0].in * height;
  const int64_t results = w.out_size(), across = w.axis[2].out, room = rounded_up(w.channels, V);
  const Pieces pieces(w.input_last ? w.images : w.images * w.channels, w.in_size() * (w.input_last ? w.channels : 1),
                      lines, partials != nullptr);
  const int64_t reach = (width - 1) / w.axis[2].stride + 1 + V + phases.right;
  const int64_t needed = reach > rounded_up(across, V) ? reach : rounded_up(across, V);
  const int64_t length = w.input_last ? across * room : rounded_up(phases.left + needed, V), step = w.input_last ? room : V;
  const int64_t numbers = w.images * w.channels * w.in_size();
  const bool past = w.input_last ? lines_go_past(dx, numbers, w.channels) : goes_past<T>(numbers);
  for_pieces(pieces.count(), [&](int64_t piece) {
    typename WindowRows<T>::Memory memory(windows);
    Notes<T> notes(w, Pool::LINES, length, w.input_last ? 0 : phases.left);
    const Workspace<Reaching<A>> reaching(w.axis[0].kernel * w.axis[1].kernel);
    const Workspace<A> sums(weights * step);
    const Range planes = pieces.planes_of(piece), strip = pieces.rows_of(piece);
    for (int64_t p = planes.begin; p < planes.end; ++p) {
      const T* picture = x + p * w.in_size() * (w.input_last ? w.channels : 1);
      T* result = dx + p * w.in_size() * (w.input_last ? w.channels : 1);
      Written<T> written(result + strip.begin * width, width, past && !w.input_last);
      if (!w.input_last) memory.lines.picture(picture);
      notes.forget();
      std::memset(sums.data(), 0, static_cast<size_t>(weights * step) * sizeof(A));
      for (int64_t line = strip.begin; line < strip.end; ++line) {
        const int64_t plane = line / height, row = line % height;
        int64_t count = 0;
        for (auto d = planes_in.begin(plane); d < planes_in.end(plane); ++d)
          for (auto r = rows_in.begin(row); r < rows_in.end(row); ++r) {
            const int64_t index = (d->source * w.axis[1].out + r->source) * across;
            const A* noted = notes.of(d->source, r->source, [&](A* to) {
              const auto body = [&](const auto& taps, int64_t at, const auto& inside, const auto& place, int64_t column) {
                pool.note(taps, at, inside, place, to + (w.input_last ? column * room + place.channel : column), length,
                          partials ? sums.data() + (w.input_last ? place.channel : 0) : nullptr, step);
              };
              if (w.input_last)
                windows.template of_channels<Pool::TAPS>(memory, picture, d->source, r->source,
                                                         (p * results + index) * w.channels, body);
              else
                windows.template of_channel<Pool::TAPS>(memory, p % w.channels, d->source, r->source,
                                                        p * results + index, body);
            });
            reaching[count++] = {noted, (d->tap * w.axis[1].kernel + r->tap) * w.axis[2].kernel};
          }
        if (!w.input_last) {
          const Place<A> place{0, p % w.channels, V, false, vec<A>{}, vec<A>{}};
          gradient_of_row<T>(pool, phases, w.axis[2].stride, reaching.data(), count, length, place,
                             picture + line * width, written.room(result + line * width), width);
          written.took(width);
          continue;
        }
        for (int64_t column = 0; column < width; ++column)
          for (int64_t c = 0; c < w.channels; c += V) {
            const int some = static_cast<int>(w.channels - c < V ? w.channels - c : V);
            const Place<A> place{0, c, some, true, vec<A>{}, vec<A>{}};
            const int64_t at = (line * width + column) * w.channels + c;
            const vec<A> value = load_some(picture + at, some);
            vec<A> sum{};
            for (int64_t r = 0; r < count; ++r)
              for (auto q = columns_in.begin(column); q < columns_in.end(column); ++q)
                pool.gather(sum, value, reaching[r].notes + q->source * room + c, length, reaching[r].first + q->tap, place);
            put_some(result + at, pool.gradient(sum, value), some, past);
          }
      }
      if (past) all_is_put();
      if (!partials) continue;
      for (int64_t c = 0; c < (w.input_last ? w.channels : 1); ++c)
        for (int64_t k = 0; k < weights; ++k)
          partials[((w.input_last ? p * w.channels : p) + c) * weights + k] =
              w.input_last ? sums[k * step + c] : sum(load(sums.data() + k * V));
    }
  });
}
