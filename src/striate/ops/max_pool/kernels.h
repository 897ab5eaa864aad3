// Max pooling in up to three dimensions and its gradient, on the rows of _planes.h: lanes are channels.
//
// For the gradient the forward pass keeps which tap won, one byte for each result, in the order in which the
// backward pass reads them: [picture][block of channels][position][lane], or with channels last
// [picture][position][channel]. Channels that lie side by side are read where they are.
#include "_planes.h"

constexpr int RESULTS = 4;  // kept in registers together

#if defined(STRIATE_AVX512)
// Takes `value`, from tap `tap`, where it is larger than the best so far or not a number.
STRIATE_INLINE void take_larger(floats value, int tap, floats& best, ints& winner) {
  const __mmask16 wins = _mm512_cmp_ps_mask(value, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  best = _mm512_mask_mov_ps(best, wins, value);
  winner = reinterpret_cast<ints>(_mm512_mask_mov_epi32(reinterpret_cast<__m512i>(winner), wins, _mm512_set1_epi32(tap)));
}
STRIATE_INLINE void take_larger(doubles value, int tap, doubles& best, longs& winner) {
  const __mmask8 wins = _mm512_cmp_pd_mask(value, best, _CMP_GT_OQ) | _mm512_cmp_pd_mask(value, value, _CMP_UNORD_Q);
  best = _mm512_mask_mov_pd(best, wins, value);
  winner = reinterpret_cast<longs>(_mm512_mask_mov_epi64(reinterpret_cast<__m512i>(winner), wins, _mm512_set1_epi64(tap)));
}
#else
template <class V, class I>
STRIATE_INLINE void take_larger(V value, int tap, V& best, I& winner) {
  const auto wins = (value > best) | (value != value);
  best = wins ? value : best;
  winner = wins ? I{} + tap : winner;
}
#endif

template <class I>
STRIATE_INLINE auto equal(I winner, int tap) {
#if defined(STRIATE_AVX512)
  if constexpr (sizeof(winner[0]) == 4)
    return _mm512_cmpeq_epi32_mask(reinterpret_cast<__m512i>(winner), _mm512_set1_epi32(tap));
  else
    return _mm512_cmpeq_epi64_mask(reinterpret_cast<__m512i>(winner), _mm512_set1_epi64(tap));
#else
  return winner == tap;
#endif
}

template <class V>
STRIATE_INLINE auto winners_of() {
  if constexpr (sizeof(V{}[0]) == 4)
    return ints{};
  else
    return longs{};
}

template <class I>
STRIATE_INLINE void store_bytes(uint8_t* to, I value) {
#if defined(STRIATE_AVX512)
  if constexpr (sizeof(value[0]) == 4)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(value)));
  else
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi64_epi8(0xff, reinterpret_cast<__m512i>(value)));
#else
  for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); ++i) to[i] = static_cast<uint8_t>(value[i]);
#endif
}

// B results from column `at` of the results on. `tap` is the number of each row's first tap.
template <class A, int B, bool WINNERS>
STRIATE_INLINE void max_of_taps(const A* const* rows, const int* tap, int64_t row_count, const Line& line, int64_t at,
                                const int* first, A* out, uint8_t* winners) {
  constexpr int V = lanes<A>;
  vec<A> best[B];
  decltype(winners_of<vec<A>>()) winner[B];
  UNROLLED(b, B) {
    best[b] = broadcast<vec<A>>(-__builtin_inf());
    winner[b] = winners_of<vec<A>>() + (tap[0] + first[at + b]);
  }
  const int64_t step = line.step * V;
  for (int64_t r = 0; r < row_count; ++r)
    for (int t = 0; t < line.taps; ++t) {
      const A* x = rows[r] + line.offset[t] * V + at * step;
      const int number = tap[r] + static_cast<int>(line.tap[t]);
      UNROLLED(b, B) {
        if constexpr (WINNERS)
          take_larger(load(x + b * step), number, best[b], winner[b]);
        else
          best[b] = max_nan(best[b], load(x + b * step));
      }
    }
  UNROLLED(b, B) {
    store(out + b * V, best[b]);
    if constexpr (WINNERS) store_bytes(winners + (at + b) * V, winner[b]);
  }
}

template <class A, bool WINNERS>
void max_of_row(const A* const* rows, const int* tap, int64_t row_count, const Line& line, const int* first, A* out,
                uint8_t* winners) {
  constexpr int V = lanes<A>;
  int64_t i = 0;
  for (; i + RESULTS <= line.count; i += RESULTS)
    max_of_taps<A, RESULTS, WINNERS>(rows, tap, row_count, line, i, first, out + i * V, winners);
  for (; i < line.count; ++i)
    max_of_taps<A, 1, WINNERS>(rows, tap, row_count, line, i, first, out + i * V, winners);
}

constexpr int GROUP = REGISTERS == 32 ? 4 : 2;  // registers of channels that lie side by side, taken together

template <class T>
void max_pool_forward_last(const Windows& w, const T* x, T* y, uint8_t* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Neighbours planes(w.axis[0], false), rows(w.axis[1], false), columns(w.axis[2], false);
  const int64_t height = w.axis[1].out, width = w.axis[2].out, channels = w.channels;
  for_pieces(w.images * w.axis[0].out * height, [&](int64_t piece) {
    const int64_t row = piece % height, plane = piece / height % w.axis[0].out, image = piece / height / w.axis[0].out;
    const T* picture = x + image * w.in_size() * channels;
    for (int64_t column = 0; column < width; ++column) {
      const int64_t position = piece * width + column;
      for_channels<T, GROUP>(channels, [&](auto group, int64_t c, int count) {
        constexpr int N = decltype(group)::value;
        vec<A> best[N];
        decltype(winners_of<vec<A>>()) winner[N];
        const auto number = [&](int64_t kd, int64_t kh, int64_t kw) {
          return static_cast<int>((kd * w.axis[1].kernel + kh) * w.axis[2].kernel + kw);
        };
        const int first = number(planes.begin(plane)->tap, rows.begin(row)->tap, columns.begin(column)->tap);
        UNROLLED(i, N) best[i] = broadcast<vec<A>>(-__builtin_inf());
        UNROLLED(i, N) winner[i] = winners_of<vec<A>>() + first;
        for (auto p = planes.begin(plane); p < planes.end(plane); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r) {
            const T* line = picture + (p->source * w.axis[1].in + r->source) * w.axis[2].in * channels + c;
            for (auto q = columns.begin(column); q < columns.end(column); ++q) {
              const int tap = number(p->tap, r->tap, q->tap);
              UNROLLED(i, N)
                take_larger(load_some(line + q->source * channels + i * V, count), tap, best[i], winner[i]);
            }
          }
        UNROLLED(i, N) {
          store_some(y + position * channels + c + i * V, best[i], count);
          if (!winners) continue;
          uint8_t bytes[V];
          store_bytes(bytes, winner[i]);
          std::memcpy(winners + position * channels + c + i * V, bytes, static_cast<size_t>(count));
        }
      });
    }
  });
}

template <class T>
void max_pool_backward_last(const Windows& w, const T* dy, const uint8_t* winners, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Neighbours planes(w.axis[0], true), rows(w.axis[1], true), columns(w.axis[2], true);
  const int64_t height = w.axis[1].in, width = w.axis[2].in, channels = w.channels;
  for_pieces(w.images * w.axis[0].in * height, [&](int64_t piece) {
    const int64_t row = piece % height, plane = piece / height % w.axis[0].in, image = piece / height / w.axis[0].in;
    for (int64_t column = 0; column < width; ++column)
      for_channels<T, GROUP>(channels, [&](auto group, int64_t c, int count) {
        constexpr int N = decltype(group)::value;
        vec<A> sum[N];
        UNROLLED(i, N) sum[i] = vec<A>{};
        for (auto p = planes.begin(plane); p < planes.end(plane); ++p)
          for (auto r = rows.begin(row); r < rows.end(row); ++r)
            for (auto q = columns.begin(column); q < columns.end(column); ++q) {
              const int tap = static_cast<int>((p->tap * w.axis[1].kernel + r->tap) * w.axis[2].kernel + q->tap);
              const int64_t window = (p->source * w.axis[1].out + r->source) * w.axis[2].out + q->source;
              const int64_t at = (image * w.out_size() + window) * channels + c;
              UNROLLED(i, N) {
                uint8_t bytes[V];
                if (count < V) std::memcpy(bytes, winners + at + i * V, static_cast<size_t>(count));
                const auto winner = load_bytes<vec<A>>(count < V ? bytes : winners + at + i * V);
                sum[i] += select(equal(winner, tap), load_some(dy + at + i * V, count), vec<A>{});
              }
            }
        UNROLLED(i, N) store_some(dx + (piece * width + column) * channels + c + i * V, sum[i], count);
      });
  });
}

// `winners` may be null; of its `room` what narrow lanes leave unused is zero.
template <class T>
void max_pool_forward(const Windows& w, const T* x, T* y, uint8_t* winners, int64_t room) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines lines(w.axis[2], false);
  const Line& line = lines.line[0];
  const int64_t blocks = (w.channels + V - 1) / V, height = w.axis[1].out, width = w.axis[2].out;
  const Strips strips = cut<A>(w, false, lines, w.images * blocks);
  const Slots slots(w, false, strips);
  const int64_t used = w.images * w.out_size() * (w.input_last ? w.channels : blocks * V);
  if (winners) std::memset(winners + used, 0, static_cast<size_t>(room - used));
  if (w.input_last) return max_pool_forward_last(w, x, y, winners);
  const Workspace<int> first(width);  // the first tap of each column's windows that is inside
  for (int64_t i = 0; i < width; ++i) {
    const int64_t outside = w.axis[2].before - i * w.axis[2].stride;
    first[i] = outside > 0 ? static_cast<int>((outside + w.axis[2].dilation - 1) / w.axis[2].dilation) : 0;
  }
  for_pieces(w.images * blocks * strips.count, [&](int64_t piece) {
    const int64_t strip = piece % strips.count, block = piece / strips.count % blocks;
    const int64_t image = piece / strips.count / blocks;
    const Range planes = whole_or(strips, 0, strip, w.axis[0].out), rows = whole_or(strips, 1, strip, height);
    const Workspace<A> memory(slots.rows * slots.planes * lines.width * V), out(width * V);
    const Workspace<const A*> source(w.taps());
    const Workspace<int> tap(w.taps());
    Tile<T> tile(memory.data(), planes_of(w, x, w.input_last, image, block, w.in_size()), lines, w.axis[1].in,
                 w.axis[2].in, needed(w.axis[0], false, planes), needed(w.axis[1], false, rows), slots.rows,
                 static_cast<A>(-__builtin_inf()));
    const auto to = planes_of(w, y, w.input_last, image, block, w.out_size());
    for (int64_t plane = planes.begin; plane < planes.end; ++plane)
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        tile.reach(needed(w.axis[1], false, {row, row + 1}).end);
        int64_t count = 0;
        for (int64_t kd = 0; kd < w.axis[0].kernel; ++kd)
          for (int64_t kh = 0; kh < w.axis[1].kernel; ++kh) {
            const int64_t p = source_of(w.axis[0], false, plane, kd), r = source_of(w.axis[1], false, row, kh);
            if (p < 0 || r < 0) continue;
            source[count] = tile.line(p, r);
            tap[count++] = static_cast<int>((kd * w.axis[1].kernel + kh) * w.axis[2].kernel);
          }
        const int64_t offset = (plane * height + row) * width;
        if (winners)
          max_of_row<A, true>(source.data(), tap.data(), count, line, first.data(), out.data(),
                              winners + ((image * blocks + block) * w.out_size() + offset) * V);
        else
          max_of_row<A, false>(source.data(), tap.data(), count, line, first.data(), out.data(), nullptr);
        unpack_row<T>(out.data(), offset, line, to);
      }
  });
}

// Each sample gathers the gradients of the windows that it won.
template <class T>
void max_pool_backward(const Windows& w, const T* dy, const uint8_t* winners, T* dx) {
  if (w.input_last) return max_pool_backward_last(w, dy, winners, dx);
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines forward(w.axis[2], false), whole(Axis{w.axis[2].out, w.axis[2].out, 1, 1, 0, 1}, false);
  const Line& line = forward.line[0];
  const int64_t blocks = (w.channels + V - 1) / V, height = w.axis[1].in, width = w.axis[2].in;
  const Strips strips = cut<A>(w, true, whole, w.images * blocks);
  const Slots slots(w, true, strips);
  const Line row_of_dx{0, 1, width, 1, 0, true, nullptr, nullptr};
  for_pieces(w.images * blocks * strips.count, [&](int64_t piece) {
    const int64_t strip = piece % strips.count, block = piece / strips.count % blocks;
    const int64_t image = piece / strips.count / blocks;
    const Range planes = whole_or(strips, 0, strip, w.axis[0].in), rows = whole_or(strips, 1, strip, height);
    const Workspace<A> memory(slots.rows * slots.planes * whole.width * V), sums(forward.width * V);
    Tile<T> tile(memory.data(), planes_of(w, dy, w.gradient_last, image, block, w.out_size()), whole, w.axis[1].out,
                 w.axis[2].out, needed(w.axis[0], true, planes), needed(w.axis[1], true, rows), slots.rows);
    const auto to = planes_of(w, dx, w.input_last, image, block, w.in_size());
    const uint8_t* won = winners + (image * blocks + block) * w.out_size() * V;
    A* sum = sums.data() + forward.before * V;
    for (int64_t plane = planes.begin; plane < planes.end; ++plane)
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        tile.reach(needed(w.axis[1], true, {row, row + 1}).end);
        std::memset(sums.data(), 0, static_cast<size_t>(forward.width * V) * sizeof(A));
        for (int64_t kd = w.axis[0].kernel; kd-- > 0;)  // by rising windows, the order in which PyTorch adds
          for (int64_t kh = w.axis[1].kernel; kh-- > 0;) {
            const int64_t p = source_of(w.axis[0], true, plane, kd), r = source_of(w.axis[1], true, row, kh);
            if (p < 0 || r < 0) continue;
            const A* gradient = tile.line(p, r);
            const uint8_t* here = won + (p * w.axis[1].out + r) * w.axis[2].out * V;
            const int tap = static_cast<int>((kd * w.axis[1].kernel + kh) * w.axis[2].kernel);
            for (int64_t i = 0; i < line.count; ++i) {
              const vec<A> g = load(gradient + i * V);
              const auto winner = load_bytes<vec<A>>(here + i * V);
              for (int t = 0; t < line.taps; ++t) {
                A* at = sum + (i * line.step + line.offset[t]) * V;
                store(at, load(at) + select(equal(winner, tap + static_cast<int>(line.tap[t])), g, vec<A>{}));
              }
            }
          }
        unpack_row<T>(sum, (plane * height + row) * width, row_of_dx, to);
      }
  });
}
