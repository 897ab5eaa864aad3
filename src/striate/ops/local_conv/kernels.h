// Local convolution and its gradients: lanes are the columns of the output, whose kernels lie side by side.
//
// Every position has its own kernel, so each weight is read once for all pictures. The pictures are packed
// into lines of the arithmetic type in which the samples that one tap meets lie side by side: with stride s,
// line f of a row holds its padded columns f, f + s, f + 2s, … Rows of nothing but padding are left out.

// Pictures, (rows of) planes and lines that the taps read; `width` has room for a whole register at its end.
struct Lines {
  int64_t phases, width, row, image;  // numbers in a row of all phases; in a picture's channel

  template <class T>
  static Lines of(const Local& d) {
    const Axis& axis = d.axis[2];
    const int64_t reach = (axis.kernel - 1) * axis.dilation;
    Lines lines;
    lines.phases = axis.stride < reach + 1 ? axis.stride : reach + 1;
    lines.width = d.padded_columns(lanes<T>) + reach / axis.stride + lanes<T>;
    lines.row = lines.phases * lines.width;
    lines.image = d.axis[0].in * d.axis[1].in * lines.row;
    return lines;
  }
};

// A tap that meets samples: where its weights and its samples are, counted from the first of a picture's channel.
struct Tap {
  int64_t weight, sample, number;
};

// Those of every row of the output, column taps outermost: neighbours do not touch the same numbers at once.
struct Taps {
  Workspace<Tap> tap;
  Workspace<int64_t> first;  // the row's first tap; one more at the end

  Taps(const Local& d, const Lines& lines) : tap(d.rows() * d.taps()), first(d.rows() + 1) {
    const Axis &deep = d.axis[0], &high = d.axis[1], &wide = d.axis[2];
    int64_t count = 0;
    for (int64_t row = 0; row < d.rows(); ++row) {
      first[row] = count;
      for (int64_t kw = 0; kw < wide.kernel; ++kw)
        for (int64_t kd = 0; kd < deep.kernel; ++kd)
          for (int64_t kh = 0; kh < high.kernel; ++kh) {
            const int64_t plane = row / high.out * deep.stride - deep.before + kd * deep.dilation;
            const int64_t line = row % high.out * high.stride - high.before + kh * high.dilation;
            if (plane < 0 || plane >= deep.in || line < 0 || line >= high.in) continue;
            const int64_t number = (kd * high.kernel + kh) * wide.kernel + kw, reach = kw * wide.dilation;
            const int64_t column = reach % wide.stride * lines.width + reach / wide.stride;
            tap[count++] = {number * d.positions() + row * wide.out, (plane * high.in + line) * lines.row + column, number};
          }
    }
    first[d.rows()] = count;
  }
  const Tap* of(int64_t row) const { return tap.data() + first[row]; }
  int64_t count(int64_t row) const { return first[row + 1] - first[row]; }
};

template <class T>
void pack(const Local& d, const Lines& lines, const Strided<const T>& from, arithmetic<T>* to) {
  const Axis& axis = d.axis[2];
  const int64_t rows = d.axis[0].in * d.axis[1].in;
  for_pieces(d.images * d.in_channels(), [&](int64_t piece) {
    const T* channel = from.data + piece / d.in_channels() * from.image + piece % d.in_channels() * from.channel;
    arithmetic<T>* line = to + piece * lines.image;
    for (int64_t row = 0; row < rows; ++row, channel += from.row)
      for (int64_t phase = 0; phase < lines.phases; ++phase, line += lines.width) {
        int64_t column = phase - axis.before;
        for (int64_t i = 0; i < lines.width; ++i, column += axis.stride)
          line[i] = column < 0 || column >= axis.in ? 0 : load_one(channel + column * from.column);
      }
  });
}

// The output's gradient (N, C, rows, columns) with lines of whole registers.
template <class T>
void pack_gradient(const Local& d, const Strided<const T>& from, arithmetic<T>* to) {
  const int64_t columns = d.axis[2].out, width = d.padded_columns(lanes<T>), rows = d.rows();
  for_pieces(d.images * d.out_channels(), [&](int64_t piece) {
    const T* line = from.data + piece / d.out_channels() * from.image + piece % d.out_channels() * from.channel;
    arithmetic<T>* packed = to + piece * rows * width;
    for (int64_t row = 0; row < rows; ++row, line += from.row, packed += width)
      for (int64_t i = 0; i < width; ++i) packed[i] = i < columns ? load_one(line + i * from.column) : 0;
  });
}

template <class T>
STRIATE_INLINE vec<T> load_some(const T* from, int count) {
  return count == lanes<T> ? load(from) : load_first(from, count);
}

// Calls body(number of pictures, an integral constant; the first of them).
template <int B, class Body>
STRIATE_INLINE void for_pictures(int64_t begin, int64_t end, const Body& body) {
  for (; begin + B <= end; begin += B) body(std::integral_constant<int, B>{}, begin);
  if constexpr (B > 1) for_pictures<B / 2>(begin, end, body);
}

#undef UNROLLED
#define UNROLLED(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < (count); ++i)

constexpr int PICTURES = 8;                // that share a register of weights
constexpr int64_t BUFFER = 64 * 1024;      // numbers of a piece's results: half of the second-level cache

template <class T>
void local_forward(const Local& d, const Strided<const T>& x, const T* weight, const T* bias, const Strided<T>& y) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines lines = Lines::of<T>(d);
  const Workspace<A> packed(d.images * d.in_channels() * lines.image);
  pack(d, lines, x, packed.data());
  const Taps all(d, lines);
  const int64_t width = d.padded_columns(V), columns = d.axis[2].out, taps = d.taps(), positions = d.positions();
  const int64_t next_image = d.in_channels() * lines.image;
  const int64_t most = BUFFER / (d.images * width), blocks = most < d.rows() ? d.rows() / (most < 1 ? 1 : most) : 1;
  for_pieces(d.out_channels() * blocks, [&](int64_t piece) {
    const int64_t out = piece / blocks, block = piece % blocks, first_in = out / d.out * d.in;
    const int64_t begin = block * d.rows() / blocks, end = (block + 1) * d.rows() / blocks, rows = end - begin;
    const Workspace<A> sums(d.images * rows * width);
    for (int64_t row = begin; row < end; ++row)
      for (int64_t n = 0; n < d.images; ++n) {
        A* line = &sums[(n * rows + row - begin) * width];
        for (int64_t i = 0; i < width; ++i)
          line[i] = bias && i < columns ? load_one(bias + out * positions + row * columns + i) : 0;
      }
    for (int64_t c = 0; c < d.in; ++c) {
      const T* kernels = weight + (out * d.in + c) * taps * positions;
      const A* channel = packed.data() + (first_in + c) * lines.image;
      for (int64_t row = begin; row < end; ++row) {
        const Tap* tap = all.of(row);
        const int64_t count = all.count(row);
        for (int64_t i = 0; i < columns; i += V) {
          const int some = static_cast<int>(columns - i < V ? columns - i : V);
          for_pictures<PICTURES>(0, d.images, [&](auto pictures, int64_t n) {
            constexpr int N = decltype(pictures)::value;
            A* line = &sums[(n * rows + row - begin) * width + i];
            const A* samples = channel + n * next_image + i;
            vec<A> sum[N];
            UNROLLED(b, N) sum[b] = load(line + b * rows * width);
            for (int64_t t = 0; t < count; ++t) {
              const vec<A> w = load_some(kernels + tap[t].weight + i, some);
              UNROLLED(b, N) sum[b] = fma(w, load(samples + b * next_image + tap[t].sample), sum[b]);
            }
            UNROLLED(b, N) store(line + b * rows * width, sum[b]);
          });
        }
      }
    }
    for (int64_t n = 0; n < d.images; ++n)
      for (int64_t row = begin; row < end; ++row) {
        const A* line = &sums[(n * rows + row - begin) * width];
        T* result = y.data + n * y.image + out * y.channel + row * y.row;
        for (int64_t i = 0; i < columns; ++i) store_one(result + i * y.column, line[i]);
      }
  });
}

// Sums over the pictures, in their order.
template <class T>
void gradient_of_weight(const Local& d, const Lines& lines, const Taps& all, const arithmetic<T>* x, const arithmetic<T>* dy, T* dw) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t width = d.padded_columns(V), columns = d.axis[2].out, taps = d.taps(), positions = d.positions();
  const int64_t next_x = d.in_channels() * lines.image, next_dy = d.out_channels() * d.rows() * width;
  for_pieces(d.out_channels() * d.in, [&](int64_t piece) {
    const int64_t out = piece / d.in, in = out / d.out * d.in + piece % d.in;
    const Workspace<bool> met(taps);
    T* result = dw + piece * taps * positions;
    for (int64_t row = 0; row < d.rows(); ++row) {
      const Tap* tap = all.of(row);
      const int64_t count = all.count(row);
      for (int64_t t = 0; t < taps; ++t) met[t] = false;
      for (int64_t t = 0; t < count; ++t) met[tap[t].number] = true;
      for (int64_t t = 0; t < taps; ++t)
        for (int64_t i = 0; !met[t] && i < columns; ++i) store_one(result + t * positions + row * columns + i, A{0});
      for (int64_t i = 0; i < columns; i += V) {
        const int some = static_cast<int>(columns - i < V ? columns - i : V);
        const A* gradient = dy + (out * d.rows() + row) * width + i;
        const A* samples = x + in * lines.image + i;
        for_pictures<PICTURES>(0, count, [&](auto block, int64_t t) {  // taps share a register of gradients
          constexpr int N = decltype(block)::value;
          const A* from[N];
          vec<A> sum[N];
          UNROLLED(b, N) from[b] = samples + tap[t + b].sample, sum[b] = vec<A>{};
          for (int64_t n = 0; n < d.images; ++n) {
            const vec<A> g = load(gradient + n * next_dy);
            UNROLLED(b, N) sum[b] = fma(g, load(from[b] + n * next_x), sum[b]);
          }
          UNROLLED(b, N) {
            T* to = result + tap[t + b].weight + i;
            if (some == V)
              store(to, sum[b]);
            else
              store_first(to, sum[b], some);
          }
        });
      }
    }
  });
}

template <class T>
void gradient_of_input(const Local& d, const Lines& lines, const Taps& all, const arithmetic<T>* dy, const T* weight,
                       const Strided<T>& dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Axis& axis = d.axis[2];
  const int64_t width = d.padded_columns(V), columns = axis.out, taps = d.taps(), positions = d.positions();
  const int64_t next_dy = d.out_channels() * d.rows() * width, rows_in = d.axis[0].in * d.axis[1].in;
  int64_t share = BUFFER / lines.image / PICTURES * PICTURES;
  if (share < PICTURES) share = PICTURES;
  const int64_t shares = (d.images + share - 1) / share;
  for_pieces(d.in_channels() * shares, [&](int64_t piece) {
    const int64_t in = piece / shares, first = piece % shares * share, group = in / d.in;
    const int64_t images = d.images - first < share ? d.images - first : share;
    const Workspace<A> sums(images * lines.image);
    std::memset(sums.data(), 0, static_cast<size_t>(images * lines.image) * sizeof(A));
    for (int64_t out = group * d.out; out < (group + 1) * d.out; ++out) {
      const T* kernels = weight + (out * d.in + in % d.in) * taps * positions;
      for (int64_t row = 0; row < d.rows(); ++row) {
        const Tap* tap = all.of(row);
        const int64_t count = all.count(row);
        const A* gradient = dy + first * next_dy + (out * d.rows() + row) * width;
        for (int64_t t = 0; t < count; ++t)
          for (int64_t i = 0; i < columns; i += V) {
            const int some = static_cast<int>(columns - i < V ? columns - i : V);
            const vec<A> w = load_some(kernels + tap[t].weight + i, some);
            for_pictures<PICTURES>(0, images, [&](auto pictures, int64_t n) {
              constexpr int N = decltype(pictures)::value;
              A* to = sums.data() + n * lines.image + tap[t].sample + i;
              UNROLLED(b, N)
                store(to + b * lines.image, fma(w, load(gradient + (n + b) * next_dy + i), load(to + b * lines.image)));
            });
          }
      }
    }
    for (int64_t n = 0; n < images; ++n)
      for (int64_t row = 0; row < rows_in; ++row) {
        const A* line = sums.data() + n * lines.image + row * lines.row;
        T* result = dx.data + (first + n) * dx.image + in * dx.channel + row * dx.row;
        for (int64_t column = 0; column < axis.in; ++column) {
          const int64_t at = column + axis.before, phase = at % axis.stride, i = at / axis.stride;
          const bool met = phase < lines.phases && i < lines.width;
          store_one(result + column * dx.column, met ? line[phase * lines.width + i] : A{0});
        }
      }
  });
}

// What is not wanted is null.
template <class T>
void local_backward(const Local& d, const Strided<const T>& dy, const Strided<const T>& x, const T* weight,
                    const Strided<T>& dx, T* dw) {
  using A = arithmetic<T>;
  const Lines lines = Lines::of<T>(d);
  const Taps all(d, lines);
  const Workspace<A> gradient(d.images * d.out_channels() * d.rows() * d.padded_columns(lanes<T>));
  pack_gradient(d, dy, gradient.data());
  if (dx.data) gradient_of_input<T>(d, lines, all, gradient.data(), weight, dx);
  if (!dw) return;
  const Workspace<A> packed(d.images * d.in_channels() * lines.image);
  pack(d, lines, x, packed.data());
  gradient_of_weight<T>(d, lines, all, packed.data(), gradient.data(), dw);
}
