// Convolution, bias, ReLU and 2×2 max-pooling of small pictures in one pass, and its gradients.
//
// A lane is a picture: a group of lanes<T> pictures is transposed, so that one vector holds one pixel
// of all of them. No lane is ever idle at a border, whatever the width and the number of channels.
// The map before the pooling lives in registers; a byte for each result says which of the four won.

#undef UNROLLED
#define UNROLLED(i, count) _Pragma("GCC unroll 32") for (int i = 0; i < (count); ++i)

constexpr uint8_t WINNER_COLUMN = 1, WINNER_ROW = 2, DEAD = 4;  // bits of that byte
constexpr int64_t PIECES = 32;                             // partial sums of a weight gradient
constexpr int OUTPUTS = REGISTERS == 32 ? 6 : 3;                // output channels of one block of registers

// Distances between neighbours in a transposed group, in vectors.
struct Steps {
  int64_t channel, row, column;
};
STRIATE_INLINE Steps steps_of(int64_t channels, int64_t height, int64_t width, bool last) {
  return last ? Steps{1, width * channels, channels} : Steps{height * width, width, 1};
}
STRIATE_INLINE Steps input_steps(const Sizes& s) {
  return steps_of(s.channels, s.padded_h(), s.padded_w(), s.input_last);
}
STRIATE_INLINE Steps output_steps(const Sizes& s) {
  return steps_of(s.outputs, s.pooled_h, s.pooled_w, s.output_last);
}

// count numbers of each of `pictures` pictures → count vectors.
template <class T>
void gather_run(const T* from, int64_t stride, int pictures, int64_t count, vec<T>* to) {
  constexpr int n = lanes<T>;
  for (int64_t start = 0; start < count; start += n) {
    const int width = count - start < n ? static_cast<int>(count - start) : n;
    vec<T> square[n];
    for (int i = 0; i < n; ++i) {
      const T* row = from + i * stride + start;
      square[i] = i >= pictures ? vec<T>{} : width == n ? load(row) : load_first(row, width);
    }
    transpose(square);
    for (int i = 0; i < width; ++i) to[start + i] = square[i];
  }
}

template <class T>
void scatter_run(const vec<T>* from, T* to, int64_t stride, int pictures, int64_t count) {
  constexpr int n = lanes<T>;
  for (int64_t start = 0; start < count; start += n) {
    const int width = count - start < n ? static_cast<int>(count - start) : n;
    vec<T> square[n];
    for (int i = 0; i < n; ++i) square[i] = i < width ? from[start + i] : vec<T>{};
    transpose(square);
    for (int i = 0; i < pictures; ++i) {
      T* row = to + i * stride + start;
      width == n ? store(row, square[i]) : store_first(row, square[i], width);
    }
  }
}

// Calls body(offset in the picture, offset in the padded group, length) for every stretch of a picture
// that is contiguous in both.
template <class Body>
STRIATE_INLINE void for_runs(const Sizes& s, const Body& body) {
  if (s.pad_h == 0 && s.pad_w == 0) {
    body(0, 0, s.pixels());
  } else if (s.input_last) {
    for (int64_t y = 0; y < s.height; ++y)
      body(y * s.width * s.channels, ((y + s.pad_h) * s.padded_w() + s.pad_w) * s.channels, s.width * s.channels);
  } else {
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t y = 0; y < s.height; ++y)
        body((c * s.height + y) * s.width, (c * s.padded_h() + y + s.pad_h) * s.padded_w() + s.pad_w, s.width);
  }
}

template <class T>
void gather_pictures(const Sizes& s, const T* input, int pictures, vec<T>* group) {
  if (s.pad_h || s.pad_w)
    for (int64_t i = 0; i < s.pixels(); ++i) group[i] = vec<T>{};
  const int64_t stride = s.channels * s.height * s.width;
  for_runs(s, [&](int64_t from, int64_t to, int64_t length) {
    gather_run(input + from, stride, pictures, length, group + to);
  });
}

// The byte of result `index` of picture `picture`.
STRIATE_INLINE int64_t winner_at(const Sizes& s, int64_t picture, int64_t index) {
  return (picture / BLOCK * s.results() + index) * BLOCK + picture % BLOCK;
}

template <class V>
STRIATE_INLINE void store_bytes(uint8_t* to, V numbers) {
  for (size_t i = 0; i < sizeof(V) / sizeof(numbers[0]); ++i) to[i] = static_cast<uint8_t>(numbers[i]);
}
#if defined(STRIATE_AVX512)
STRIATE_INLINE void store_bytes(uint8_t* to, ints numbers) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(numbers)));
}
#endif

// N output channels at every pooled position of one group.
// weight: (channel, kernel row, kernel column, N); bias: N.
template <class T, int N>
void forward_block(const Sizes& s, const vec<T>* group, const arithmetic<T>* weight, const arithmetic<T>* bias,
                   int64_t first, int64_t picture, vec<T>* pooled, uint8_t* winners) {
  using V = vec<T>;
  const Steps in = input_steps(s), out = output_steps(s);
  for (int64_t py = 0; py < s.pooled_h; ++py) {
    for (int64_t px = 0; px < s.pooled_w; ++px) {
      V sums[N][4];
      UNROLLED(o, N) sums[o][0] = sums[o][1] = sums[o][2] = sums[o][3] = V{};
      const arithmetic<T>* w = weight;
      for (int64_t c = 0; c < s.channels; ++c) {
        for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
          const V* x = group + c * in.channel + (2 * py + ky) * in.row + 2 * px * in.column;
          for (int64_t kx = 0; kx < s.kernel_w; ++kx, x += in.column, w += N) {
            const V x00 = x[0], x01 = x[in.column], x10 = x[in.row], x11 = x[in.row + in.column];
            UNROLLED(o, N) {
              const V factor = broadcast<V>(w[o]);
              sums[o][0] = fma(x00, factor, sums[o][0]);
              sums[o][1] = fma(x01, factor, sums[o][1]);
              sums[o][2] = fma(x10, factor, sums[o][2]);
              sums[o][3] = fma(x11, factor, sums[o][3]);
            }
          }
        }
      }
      UNROLLED(o, N) {
        V best = sums[o][0];
        auto winner = best != best;  // whole numbers of the lanes' size; 0 or -1
        winner = winner & 0;
        UNROLLED(i, 4) {
          const V value = sums[o][i];
          const auto wins = (value > best) | (value != value);
          best = wins ? value : best;
          winner = wins ? (winner & 0) + i : winner;
        }
        best += bias[o];
        if (s.relu) {
          const auto dead = best <= V{};
          best = dead ? V{} : best;
          winner = dead ? (winner & 0) + DEAD : winner;
        }
        pooled[(first + o) * out.channel + py * out.row + px * out.column] = best;
        store_bytes(winners + winner_at(s, picture, (first + o) * out.channel + py * out.row + px * out.column), winner);
      }
    }
  }
}

template <class T, int N = OUTPUTS>
void forward_channels(int count, const Sizes& s, const vec<T>* group, const arithmetic<T>* weight,
                      const arithmetic<T>* bias, int64_t first, int64_t picture, vec<T>* pooled, uint8_t* winners) {
  if (count == N)
    forward_block<T, N>(s, group, weight, bias, first, picture, pooled, winners);
  else if constexpr (N > 1)
    forward_channels<T, N - 1>(count, s, group, weight, bias, first, picture, pooled, winners);
}

// Output channels are cut into blocks of at most OUTPUTS, as equal as can be.
STRIATE_INLINE int64_t block_start(int64_t outputs, int64_t block) {
  const int64_t blocks = (outputs + OUTPUTS - 1) / OUTPUTS;
  return outputs * block / blocks;
}

// Calls body(channel, row, column, number) for every tap of a kernel.
template <class Body>
STRIATE_INLINE void for_taps(const Sizes& s, const Body& body) {
  int64_t tap = 0;
  for (int64_t c = 0; c < s.channels; ++c)
    for (int64_t ky = 0; ky < s.kernel_h; ++ky)
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) body(c, ky, kx, tap++);
}

template <class T>
void forward(const Sizes& s, const T* input, const T* weight, const T* bias, T* output, uint8_t* winners) {
  constexpr int n = lanes<T>;
  const int64_t blocks = (s.outputs + OUTPUTS - 1) / OUTPUTS, taps = s.channels * s.kernel_h * s.kernel_w;
  const Workspace<arithmetic<T>> packed(s.weights()), biases(s.outputs);
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = block_start(s.outputs, block), count = block_start(s.outputs, block + 1) - first;
    for (int64_t o = 0; o < count; ++o) {
      biases[first + o] = bias ? load_one(bias + first + o) : 0;
      for_taps(s, [&](int64_t c, int64_t ky, int64_t kx, int64_t tap) {
        packed[first * taps + tap * count + o] = load_one(weight + at(s.weight_strides, first + o, c, ky, kx));
      });
    }
  }
  if (s.pictures % BLOCK) std::memset(winners + s.winners() - s.results() * BLOCK, 0, s.results() * BLOCK);
  for_pieces((s.pictures + n - 1) / n, [&](int64_t piece) {
    const int64_t picture = piece * n;
    const int present = s.pictures - picture < n ? static_cast<int>(s.pictures - picture) : n;
    const Workspace<vec<T>> group(s.pixels()), pooled(s.results());
    gather_pictures(s, input + picture * s.channels * s.height * s.width, present, group.data());
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t first = block_start(s.outputs, block);
      const int count = static_cast<int>(block_start(s.outputs, block + 1) - first);
      forward_channels<T>(count, s, group.data(), packed.data() + first * taps, biases.data() + first, first, picture,
                          pooled.data(), winners);
    }
    scatter_run<T>(pooled.data(), output + picture * s.results(), s.results(), present, s.results());
  });
}

// The gradient of the pooled map of one group, 0 where ReLU was off.
template <class T>
void gather_gradient(const Sizes& s, const T* gradient, const uint8_t* winners, int64_t picture, int present,
                     vec<T>* group) {
  gather_run(gradient + picture * s.results(), s.results(), present, s.results(), group);
  for (int64_t i = 0; i < s.results(); ++i) {
    const auto winner = load_bytes<vec<T>>(winners + winner_at(s, picture, i));
    group[i] = select(any_bit(winner, DEAD), vec<T>{}, group[i]);
  }
}

// Adds to the sums of ROWS × COLUMNS taps of one kernel: gradient times the pixels under the winning position.
template <class T, int ROWS, int COLUMNS>
void weight_block(const Sizes& s, const vec<T>* input, const vec<T>* gradient, const uint8_t* winners, vec<T>* sums,
                  int64_t sums_row) {
  using V = vec<T>;
  const Steps in = input_steps(s), out = output_steps(s);
  V total[ROWS][COLUMNS];
  for (int j = 0; j < ROWS; ++j)
    for (int i = 0; i < COLUMNS; ++i) total[j][i] = sums[j * sums_row + i];
  for (int64_t py = 0; py < s.pooled_h; ++py) {
    for (int64_t px = 0; px < s.pooled_w; ++px) {
      const int64_t index = py * out.row + px * out.column;
      const V factor = gradient[index];
      const auto winner = load_bytes<V>(winners + index * BLOCK);
      const auto lower = any_bit(winner, WINNER_ROW), right = any_bit(winner, WINNER_COLUMN);
      const V* x = input + 2 * py * in.row + 2 * px * in.column;
      V row[COLUMNS + 1];
      for (int i = 0; i <= COLUMNS; ++i) row[i] = x[i * in.column];
      for (int j = 0; j < ROWS; ++j) {
        x += in.row;
        V chosen[COLUMNS + 1];
        for (int i = 0; i <= COLUMNS; ++i) {
          V below = x[i * in.column];
          if (REGISTERS == 32) keep(below);
          chosen[i] = select(lower, below, row[i]);
          row[i] = below;
        }
        for (int i = 0; i < COLUMNS; ++i) total[j][i] = fma(factor, select(right, chosen[i + 1], chosen[i]), total[j][i]);
      }
    }
  }
  for (int j = 0; j < ROWS; ++j)
    for (int i = 0; i < COLUMNS; ++i) sums[j * sums_row + i] = total[j][i];
}

// All taps of one kernel, in blocks that fit the registers.
template <class T, int COLUMNS = 5>
void weight_columns(int64_t count, const Sizes& s, const vec<T>* input, const vec<T>* gradient, const uint8_t* winners,
                    vec<T>* sums, int64_t sums_row) {
  if (count == COLUMNS)
    weight_block<T, 1, COLUMNS>(s, input, gradient, winners, sums, sums_row);
  else if constexpr (COLUMNS > 1)
    weight_columns<T, COLUMNS - 1>(count, s, input, gradient, winners, sums, sums_row);
}

template <class T>
void weight_kernel(const Sizes& s, const vec<T>* input, const vec<T>* gradient, const uint8_t* winners, vec<T>* sums) {
  if (REGISTERS == 32 && s.kernel_h == 5 && s.kernel_w == 5) {
    weight_block<T, 3, 5>(s, input, gradient, winners, sums, 5);
    return weight_block<T, 2, 5>(s, input + 3 * input_steps(s).row, gradient, winners, sums + 15, 5);
  }
  if (REGISTERS == 32 && s.kernel_h == 3 && s.kernel_w == 3)
    return weight_block<T, 3, 3>(s, input, gradient, winners, sums, 3);
  const Steps in = input_steps(s);
  const int64_t blocks = (s.kernel_w + 4) / 5;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t start = s.kernel_w * block / blocks, count = s.kernel_w * (block + 1) / blocks - start;
      weight_columns<T>(count, s, input + ky * in.row + start * in.column, gradient, winners,
                        sums + ky * s.kernel_w + start, s.kernel_w);
    }
  }
}

// Lane i is table[4 * position + winner[i]], for a position of a block and winners 0 to 3.
#if defined(STRIATE_AVX512)
STRIATE_INLINE floats look_up(const float* table, ints winner, int position) {
  const floats entries = load(table + 4 * (position & ~3));
  const ints index = winner + 4 * (position & 3);
  return _mm512_maskz_permutexvar_ps(0xffff, reinterpret_cast<__m512i>(index), entries);
}
#elif defined(STRIATE_AVX2)
STRIATE_INLINE floats look_up(const float* table, ints winner, int position) {
  const floats entries = load(table + 4 * (position & ~1));
  return _mm256_permutevar8x32_ps(entries, reinterpret_cast<__m256i>(winner + 4 * (position & 1)));
}
#else
STRIATE_INLINE floats look_up(const float* table, ints winner, int position) {
  const float* four = table + 4 * position;
  const floats upper = (winner & 1) != 0 ? broadcast<floats>(four[1]) : broadcast<floats>(four[0]);
  const floats lower = (winner & 1) != 0 ? broadcast<floats>(four[3]) : broadcast<floats>(four[2]);
  return (winner & 2) != 0 ? lower : upper;
}
#endif
STRIATE_INLINE doubles look_up(const double* table, longs winner, int position) {
  const double* four = table + 4 * position;
  const auto right = any_bit(winner, WINNER_COLUMN);
  const doubles upper = select(right, broadcast<doubles>(four[1]), broadcast<doubles>(four[0]));
  const doubles lower = select(right, broadcast<doubles>(four[3]), broadcast<doubles>(four[2]));
  return select(any_bit(winner, WINNER_ROW), lower, upper);
}

// A window sees a patch of (kernel_h + 1) × (kernel_w + 1) pixels. It is cut into blocks of PATCH_ROWS × PATCH_COLUMNS,
// whose sums stay in registers while all output channels are added.
constexpr int PATCH_ROWS = REGISTERS == 32 ? 3 : 2;
constexpr int PATCH_COLUMNS = REGISTERS == 32 ? 6 : 4;
constexpr int64_t TABLE = 4 * (PATCH_ROWS * PATCH_COLUMNS + 3) / 4 * 4;  // numbers of one block and output channel

// Adds the gradient to ROWS × COLUMNS pixels of every window's patch.
// table: (output, position, winner) → the weight that this position has when that one of the window has won.
template <class T, int ROWS, int COLUMNS>
void patch_block(const Sizes& s, const vec<T>* gradient, const uint8_t* winners, const arithmetic<T>* table,
                 vec<T>* result) {
  using V = vec<T>;
  const Steps in = input_steps(s), out = output_steps(s);
  for (int64_t py = 0; py < s.pooled_h; ++py) {
    for (int64_t px = 0; px < s.pooled_w; ++px) {
      V* to = result + 2 * py * in.row + 2 * px * in.column;
      V total[ROWS][COLUMNS];
      for (int j = 0; j < ROWS; ++j)
        for (int i = 0; i < COLUMNS; ++i) total[j][i] = to[j * in.row + i * in.column];
      const V* given = gradient + py * out.row + px * out.column;
      const uint8_t* won = winners + (py * out.row + px * out.column) * BLOCK;
      const arithmetic<T>* entries = table;
      for (int64_t o = 0; o < s.outputs; ++o) {
        const auto winner = load_bytes<V>(won) & 3;
        for (int j = 0; j < ROWS; ++j)
          for (int i = 0; i < COLUMNS; ++i)
            total[j][i] = fma(*given, look_up(entries, winner, j * COLUMNS + i), total[j][i]);
        given += out.channel, won += out.channel * BLOCK, entries += TABLE;
      }
      for (int j = 0; j < ROWS; ++j)
        for (int i = 0; i < COLUMNS; ++i) to[j * in.row + i * in.column] = total[j][i];
    }
  }
}

template <class T, int ROWS = PATCH_ROWS, int COLUMNS = PATCH_COLUMNS>
void patch_of(int64_t rows, int64_t columns, const Sizes& s, const vec<T>* gradient, const uint8_t* winners,
              const arithmetic<T>* table, vec<T>* result) {
  if (rows == ROWS && columns == COLUMNS)
    return patch_block<T, ROWS, COLUMNS>(s, gradient, winners, table, result);
  if constexpr (COLUMNS > 1)
    if (rows == ROWS) return patch_of<T, ROWS, COLUMNS - 1>(rows, columns, s, gradient, winners, table, result);
  if constexpr (ROWS > 1)
    if (rows < ROWS) return patch_of<T, ROWS - 1, COLUMNS>(rows, columns, s, gradient, winners, table, result);
}

// `size` is cut into the fewest parts of at most `most`, as equal as can be; body(start, length) for each.
template <class Body>
STRIATE_INLINE void for_parts(int64_t size, int64_t most, const Body& body) {
  const int64_t parts = (size + most - 1) / most;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t start = size * part / parts;
    body(start, size * (part + 1) / parts - start);
  }
}

// body(row, column, rows, columns) for every block of a patch.
template <class Body>
STRIATE_INLINE void for_patch_blocks(const Sizes& s, const Body& body) {
  for_parts(s.kernel_h + 1, PATCH_ROWS, [&](int64_t row, int64_t rows) {
    for_parts(s.kernel_w + 1, PATCH_COLUMNS, [&](int64_t column, int64_t columns) { body(row, column, rows, columns); });
  });
}

// (channel, block, output, position, winner) → weight, 0 outside of the kernel.
template <class T>
void fill_table(const Sizes& s, const T* weight, arithmetic<T>* table) {
  for (int64_t c = 0; c < s.channels; ++c)
    for_patch_blocks(s, [&](int64_t row, int64_t column, int64_t rows, int64_t columns) {
      for (int64_t o = 0; o < s.outputs; ++o, table += TABLE)
        for (int64_t position = 0; position < rows * columns; ++position)
          for (int winner = 0; winner < 4; ++winner) {
            const int64_t ky = row + position / columns - winner / 2, kx = column + position % columns - winner % 2;
            const bool inside = ky >= 0 && ky < s.kernel_h && kx >= 0 && kx < s.kernel_w;
            table[4 * position + winner] = inside ? load_one(weight + at(s.weight_strides, o, c, ky, kx)) : 0;
          }
    });
}

// Any of the three results may be null.
template <class T>
void backward(const Sizes& s, const T* gradient, const uint8_t* winners, const T* input, const T* weight,
              T* input_gradient, T* weight_gradient, T* bias_gradient) {
  using V = vec<T>;
  using A = arithmetic<T>;
  constexpr int n = lanes<T>;
  const int64_t groups = (s.pictures + n - 1) / n, pieces = groups < PIECES ? groups : PIECES;
  const int64_t taps = s.kernel_h * s.kernel_w, picture_size = s.channels * s.height * s.width;
  int64_t patch_blocks = 0;
  for_patch_blocks(s, [&](int64_t, int64_t, int64_t, int64_t) { ++patch_blocks; });
  const int64_t count = s.weights() + s.outputs;
  const Workspace<A> table(input_gradient ? s.channels * patch_blocks * s.outputs * TABLE : 0), partials((pieces ? pieces : 1) * count);
  if (input_gradient) fill_table(s, weight, table.data());

  for_pieces(pieces, [&](int64_t piece) {
    const Workspace<V> pixels(s.pixels()), given(s.results()), totals(count);
    const Steps in = input_steps(s), out = output_steps(s);
    for (int64_t i = 0; i < count; ++i) totals[i] = V{};
    for (int64_t g = groups * piece / pieces; g < groups * (piece + 1) / pieces; ++g) {
      const int64_t picture = g * n;
      const int present = s.pictures - picture < n ? static_cast<int>(s.pictures - picture) : n;
      const uint8_t* won = winners + winner_at(s, picture, 0);
      gather_gradient(s, gradient, winners, picture, present, given.data());
      if (bias_gradient)
        for (int64_t o = 0; o < s.outputs; ++o)
          for (int64_t py = 0; py < s.pooled_h; ++py)
            for (int64_t px = 0; px < s.pooled_w; ++px)
              totals[s.weights() + o] += given[o * out.channel + py * out.row + px * out.column];
      if (weight_gradient) {
        gather_pictures(s, input + picture * picture_size, present, pixels.data());
        for (int64_t o = 0; o < s.outputs; ++o)
          for (int64_t c = 0; c < s.channels; ++c)
            weight_kernel<T>(s, pixels.data() + c * in.channel, given.data() + o * out.channel,
                             won + o * out.channel * BLOCK, totals.data() + (o * s.channels + c) * taps);
      }
      if (input_gradient) {
        for (int64_t i = 0; i < s.pixels(); ++i) pixels[i] = V{};
        const A* entries = table.data();
        for (int64_t c = 0; c < s.channels; ++c)
          for_patch_blocks(s, [&](int64_t row, int64_t column, int64_t rows, int64_t columns) {
            patch_of<T>(rows, columns, s, given.data(), won, entries,
                        pixels.data() + c * in.channel + row * in.row + column * in.column);
            entries += s.outputs * TABLE;
          });
        for_runs(s, [&](int64_t to, int64_t from, int64_t length) {
          scatter_run<T>(pixels.data() + from, input_gradient + picture * picture_size + to, picture_size, present, length);
        });
      }
    }
    sums(totals.data(), count, partials.data() + piece * count);
  });
  for (int64_t i = 0; i < count; ++i) {
    A total = 0;
    for (int64_t piece = 0; piece < pieces; ++piece) total += partials[piece * count + i];
    partials[i] = total;
  }
  if (weight_gradient)
    for (int64_t o = 0; o < s.outputs; ++o)
      for_taps(s, [&](int64_t c, int64_t ky, int64_t kx, int64_t tap) {
        store_one(weight_gradient + at(s.gradient_strides, o, c, ky, kx), partials[o * s.channels * taps + tap]);
      });
  if (bias_gradient)
    for (int64_t o = 0; o < s.outputs; ++o) store_one(bias_gradient + o, partials[s.weights() + o]);
}
