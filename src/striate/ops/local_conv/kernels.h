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

// `count` numbers, `step` apart on one side, side by side on the other.
template <class T>
STRIATE_INLINE void load_line(const T* from, int64_t step, int64_t count, arithmetic<T>* to) {
  int64_t i = 0;
  for (; step == 1 && i + lanes<T> <= count; i += lanes<T>) store(to + i, load(from + i));
  for (; i < count; ++i) to[i] = load_one(from + i * step);
}
template <class T>
STRIATE_INLINE void store_line(const arithmetic<T>* from, int64_t count, T* to, int64_t step) {
  int64_t i = 0;
  for (; step == 1 && i + lanes<T> <= count; i += lanes<T>) store(to + i, load(from + i));
  for (; i < count; ++i) store_one(to + i * step, from[i]);
}

// Calls body(where in a row of lines, its column in the picture, how many; the columns are a stride apart) for
// the samples of each line that are not padding.
template <class Body>
STRIATE_INLINE void for_lines(const Axis& axis, const Lines& lines, const Body& body) {
  for (int64_t phase = 0; phase < lines.phases; ++phase) {
    const int64_t start = phase - axis.before, skipped = start < 0 ? (-start + axis.stride - 1) / axis.stride : 0;
    const int64_t column = start + skipped * axis.stride;
    int64_t count = column < axis.in ? (axis.in - 1 - column) / axis.stride + 1 : 0;
    if (count > lines.width - skipped) count = lines.width - skipped;
    if (count > 0) body(phase * lines.width + skipped, column, count);
  }
}

template <class T>
void pack(const Local& d, const Lines& lines, const Strided<const T>& from, arithmetic<T>* to) {
  const Axis& axis = d.axis[2];
  const int64_t rows = d.axis[0].in * d.axis[1].in;
  for_pieces(d.images * d.in_channels(), [&](int64_t piece) {
    const T* channel = from.data + piece / d.in_channels() * from.image + piece % d.in_channels() * from.channel;
    arithmetic<T>* line = to + piece * lines.image;
    std::memset(line, 0, static_cast<size_t>(lines.image) * sizeof(arithmetic<T>));
    for (int64_t row = 0; row < rows; ++row, channel += from.row, line += lines.row)
      for_lines(axis, lines, [&](int64_t place, int64_t column, int64_t count) {
        load_line(channel + column * from.column, axis.stride * from.column, count, line + place);
      });
  });
}

// The output's gradient (N, C, rows, columns) with lines of whole registers.
template <class T>
void pack_gradient(const Local& d, const Strided<const T>& from, arithmetic<T>* to) {
  const int64_t columns = d.axis[2].out, width = d.padded_columns(lanes<T>), rows = d.rows();
  for_pieces(d.images * d.out_channels(), [&](int64_t piece) {
    const T* line = from.data + piece / d.out_channels() * from.image + piece % d.out_channels() * from.channel;
    arithmetic<T>* packed = to + piece * rows * width;
    for (int64_t row = 0; row < rows; ++row, line += from.row, packed += width) {
      load_line(line, from.column, columns, packed);
      for (int64_t i = columns; i < width; ++i) packed[i] = 0;
    }
  });
}

template <class T>
STRIATE_INLINE vec<T> load_some(const T* from, int count) {
  return count == lanes<T> ? load(from) : load_first(from, count);
}

// Calls body(how many, an integral constant; the first of them) for blocks of B, and smaller ones at the end.
template <int B, class Body>
STRIATE_INLINE void for_blocks(int64_t begin, int64_t end, const Body& body) {
  for (; begin + B <= end; begin += B) body(std::integral_constant<int, B>{}, begin);
  if constexpr (B > 1) for_blocks<B / 2>(begin, end, body);
}

#undef UNROLLED
#define UNROLLED(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < (count); ++i)

// Registers hold the sums of a block of numbers of one kind for each of a block of another: every number that
// is loaded is used for the whole block of the other kind.
constexpr int OUTPUTS = REGISTERS == 32 ? 4 : 2, TAPS = OUTPUTS, PICTURES = 4;
constexpr int64_t BUFFER = 64 * 1024;  // numbers of a piece's results: half of the second-level cache
constexpr int64_t STREAMS = 36;        // taps of all channels that are added at once: each is read where its weights lie

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
  const int64_t together = STREAMS / taps < 1 ? 1 : STREAMS / taps, tiles = (d.out + OUTPUTS - 1) / OUTPUTS;
  const int64_t next_out = d.in * taps * positions;
  // Tiles, of which the last may be small, are next to each other, so that threads have the same to do.
  int64_t blocks = d.images * d.rows() * width * OUTPUTS / BUFFER + 1;
  const int64_t least = SHARES / (d.groups * tiles);
  if (blocks < least) blocks = least;
  if (blocks > d.rows()) blocks = d.rows();
  for_pieces(blocks * d.groups * tiles, [&](int64_t piece) {
    const int64_t block = piece / (d.groups * tiles), tile = piece % (d.groups * tiles), group = tile / tiles;
    const int64_t first = tile % tiles * OUTPUTS, outs = d.out - first < OUTPUTS ? d.out - first : OUTPUTS;
    const int64_t out = group * d.out + first;
    const int64_t begin = block * d.rows() / blocks, end = (block + 1) * d.rows() / blocks, rows = end - begin;
    const int64_t next_sum = rows * width, next_image_sum = outs * next_sum;
    const Workspace<A> sums(d.images * next_image_sum);
    for (int64_t o = 0; o < outs; ++o)
      for (int64_t row = begin; row < end; ++row)
        for (int64_t n = 0; n < d.images; ++n) {
          A* line = &sums[n * next_image_sum + o * next_sum + (row - begin) * width];
          for (int64_t i = 0; i < width; ++i)
            line[i] = bias && i < columns ? load_one(bias + (out + o) * positions + row * columns + i) : 0;
        }
    for (int64_t in = 0; in < d.in; in += together) {
      const int64_t channels = d.in - in < together ? d.in - in : together;
      const T* kernels = weight + (out * d.in + in) * taps * positions;
      const A* channel = packed.data() + (group * d.in + in) * lines.image;
      for (int64_t row = begin; row < end; ++row) {
        const Tap* tap = all.of(row);
        const int64_t count = all.count(row);
        for (int64_t i = 0; i < columns; i += V) {
          const int some = static_cast<int>(columns - i < V ? columns - i : V);
          for_blocks<PICTURES>(0, d.images, [&](auto pictures, int64_t n) {
            for_blocks<OUTPUTS>(0, outs, [&](auto outputs, int64_t o) {
              constexpr int N = decltype(pictures)::value, M = decltype(outputs)::value;
              A* line = &sums[n * next_image_sum + o * next_sum + (row - begin) * width + i];
              vec<A> sum[M][N];
              UNROLLED(m, M) UNROLLED(b, N) sum[m][b] = load(line + m * next_sum + b * next_image_sum);
              for (int64_t c = 0; c < channels; ++c) {
                const T* from = kernels + (o * d.in + c) * taps * positions + i;
                const A* samples = channel + c * lines.image + n * next_image + i;
                for (int64_t t = 0; t < count; ++t) {
                  vec<A> w[M];
                  UNROLLED(m, M) {
                    const T* here = from + m * next_out + tap[t].weight;
                    w[m] = load_some(here, some);
                    __builtin_prefetch(here + 2 * columns);  // the next rows of dozens of streams: too many for the machine
                  }
                  UNROLLED(b, N) {
                    const vec<A> sample = load(samples + b * next_image + tap[t].sample);
                    UNROLLED(m, M) sum[m][b] = fma(w[m], sample, sum[m][b]);
                  }
                }
              }
              UNROLLED(m, M) UNROLLED(b, N) store(line + m * next_sum + b * next_image_sum, sum[m][b]);
            });
          });
        }
      }
    }
    for (int64_t n = 0; n < d.images; ++n)
      for (int64_t o = 0; o < outs; ++o)
        for (int64_t row = begin; row < end; ++row) {
          const A* line = &sums[n * next_image_sum + o * next_sum + (row - begin) * width];
          store_line(line, columns, y.data + n * y.image + (out + o) * y.channel + row * y.row, y.column);
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
  const int64_t tiles = (d.out + OUTPUTS - 1) / OUTPUTS, next_out = d.in * taps * positions;
  for_pieces(d.groups * tiles * d.in, [&](int64_t piece) {
    const int64_t tile = piece % tiles, c = piece / tiles % d.in, group = piece / tiles / d.in;
    const int64_t first = tile * OUTPUTS, outs = d.out - first < OUTPUTS ? d.out - first : OUTPUTS;
    const int64_t out = group * d.out + first, in = group * d.in + c;
    const Workspace<bool> met(taps);
    T* result = dw + (out * d.in + c) * taps * positions;
    for (int64_t row = 0; row < d.rows(); ++row) {
      const Tap* tap = all.of(row);
      const int64_t count = all.count(row);
      for (int64_t t = 0; t < taps; ++t) met[t] = false;
      for (int64_t t = 0; t < count; ++t) met[tap[t].number] = true;
      for (int64_t o = 0; o < outs; ++o)
        for (int64_t t = 0; t < taps; ++t)
          for (int64_t i = 0; !met[t] && i < columns; ++i)
            store_one(result + o * next_out + t * positions + row * columns + i, A{0});
      for (int64_t i = 0; i < columns; i += V) {
        const int some = static_cast<int>(columns - i < V ? columns - i : V);
        const A* gradient = dy + (out * d.rows() + row) * width + i;
        const A* samples = x + in * lines.image + i;
        for_blocks<TAPS>(0, count, [&](auto block, int64_t t) {
          for_blocks<OUTPUTS>(0, outs, [&](auto outputs, int64_t o) {
            constexpr int N = decltype(block)::value, M = decltype(outputs)::value;
            const A* from[N];
            vec<A> sum[M][N];
            UNROLLED(b, N) from[b] = samples + tap[t + b].sample;
            UNROLLED(m, M) UNROLLED(b, N) sum[m][b] = vec<A>{};
            for (int64_t n = 0; n < d.images; ++n) {
              vec<A> g[M];
              UNROLLED(m, M) g[m] = load(gradient + n * next_dy + (o + m) * d.rows() * width);
              UNROLLED(b, N) {
                const vec<A> sample = load(from[b] + n * next_x);
                UNROLLED(m, M) sum[m][b] = fma(g[m], sample, sum[m][b]);
              }
            }
            UNROLLED(m, M) UNROLLED(b, N) {
              T* to = result + (o + m) * next_out + tap[t + b].weight + i;
              if (some == V)
                store(to, sum[m][b]);
              else
                store_first(to, sum[m][b], some);
            }
          });
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
  const int64_t next_out = d.in * taps * positions;
  int64_t share = BUFFER / lines.image;
  if (share > d.images * d.in_channels() / SHARES) share = d.images * d.in_channels() / SHARES;
  share = (share / PICTURES + (share < PICTURES)) * PICTURES;
  const int64_t shares = (d.images + share - 1) / share;
  for_pieces(d.in_channels() * shares, [&](int64_t piece) {
    const int64_t in = piece / shares, first = piece % shares * share, group = in / d.in;
    const int64_t images = d.images - first < share ? d.images - first : share;
    const Workspace<A> sums(images * lines.image);
    std::memset(sums.data(), 0, static_cast<size_t>(images * lines.image) * sizeof(A));
    const T* kernels = weight + (group * d.out * d.in + in % d.in) * taps * positions;
    for (int64_t row = 0; row < d.rows(); ++row) {
      const Tap* tap = all.of(row);
      const int64_t count = all.count(row);
      for (int64_t i = 0; i < columns; i += V) {
        const int some = static_cast<int>(columns - i < V ? columns - i : V);
        const A* gradient = dy + first * next_dy + (group * d.out * d.rows() + row) * width + i;
        for_blocks<TAPS>(0, count, [&](auto block, int64_t t) {
          for_blocks<PICTURES>(0, images, [&](auto pictures, int64_t n) {
            constexpr int N = decltype(pictures)::value, M = decltype(block)::value;
            const T* from[M];
            vec<A> sum[M][N];
            UNROLLED(m, M) from[m] = kernels + tap[t + m].weight + i;
            UNROLLED(m, M) UNROLLED(b, N) sum[m][b] = vec<A>{};
            for (int64_t out = 0; out < d.out; ++out) {
              vec<A> w[M];
              UNROLLED(m, M) {
                w[m] = load_some(from[m] + out * next_out, some);
                __builtin_prefetch(from[m] + out * next_out + 2 * columns);
              }
              UNROLLED(b, N) {
                const vec<A> g = load(gradient + (n + b) * next_dy + out * d.rows() * width);
                UNROLLED(m, M) sum[m][b] = fma(w[m], g, sum[m][b]);
              }
            }
            UNROLLED(m, M) UNROLLED(b, N) {
              A* to = sums.data() + (n + b) * lines.image + tap[t + m].sample + i;
              store(to, load(to) + sum[m][b]);
            }
          });
        });
      }
    }
    for (int64_t n = 0; n < images; ++n)
      for (int64_t row = 0; row < rows_in; ++row) {
        const A* line = sums.data() + n * lines.image + row * lines.row;
        T* result = dx.data + (first + n) * dx.image + in * dx.channel + row * dx.row;
        if (axis.stride > 1)  // a sample may be in no window
          for (int64_t column = 0; column < axis.in; ++column) store_one(result + column * dx.column, A{0});
        for_lines(axis, lines, [&](int64_t place, int64_t column, int64_t count) {
          store_line(line + place, count, result + column * dx.column, axis.stride * dx.column);
        });
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
