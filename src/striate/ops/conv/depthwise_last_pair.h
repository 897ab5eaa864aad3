// A depthwise K × 1 convolution followed by a 1 × K one, and their gradients, row by row, where channels lie side by side:
// a row of what lies between the two, and K rows of its gradient, stay in the cache.

// The one row that is read.
template <class T>
void take_row(Sources<T>& sources, const T* row) {
  sources.rows[0] = row;
  sources.kernel_row[0] = 0;
  sources.count = 1;
}

template <class T>
void correlate_pair(const Windows& first, const Windows& second, const T* x, const T* down, const T* down_bias, const T* along,
                    const T* along_bias, T* y) {
  const Lines down_lines(first.axis[2], false), along_lines(second.axis[2], false);
  const WeightsByLine<T> down_weights(first, down_lines, down), along_weights(second, along_lines, along);
  const int64_t rows = first.images * first.axis[1].out;
  const int64_t middle = second.axis[2].in * first.channels, length = second.axis[2].out * first.channels;
  const int64_t enough = 1 << 18, work = rows * middle * 2 * first.taps();  // a piece is worth a thread's while
  const int64_t pieces = work < 2 * enough ? 1 : work / enough < rows ? work / enough : rows;
  for_pieces(pieces, [&](int64_t piece) {
    Sources<T> of_x(first, false), of_middle(second, false);
    const Workspace<T> between(middle);
    take_row<T>(of_middle, between.data());
    of_middle.fresh = 0;
    for (int64_t row = piece * rows / pieces; row < (piece + 1) * rows / pieces; ++row) {
      of_x.gather(first, false, x, row);
      correlate_row(of_x, down_lines, down_weights, down_bias, between.data());
      correlate_row(of_middle, along_lines, along_weights, along_bias, y + row * length);
    }
  });
}

// Those that are not null of dx, and of the gradients of weights and biases. A piece has whole pictures.
template <class T>
void correlate_pair_backward(const Windows& first, const Windows& second, const T* dy, const T* x, const T* down,
                             const T* down_bias, const T* along, T* dx, T* const (&found)[4]) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const Lines down_lines(first.axis[2], false), along_lines(second.axis[2], false);
  const Lines down_back(first.axis[2], true), along_back(second.axis[2], true);
  const WeightsByLine<T> down_weights(first, down_lines, down), down_transposed(first, down_back, down);
  const WeightsByLine<T> along_transposed(second, along_back, along);
  const bool of_weights = found[0] || found[1] || found[2] || found[3];
  const int64_t taps = first.taps(), above = first.axis[1].before, x_rows = first.axis[1].in, y_rows = first.axis[1].out;
  const int64_t middle = second.axis[2].in * first.channels, length = second.axis[2].out * first.channels;
  const int64_t sums_of_one = (first.channels + V - 1) / V * (taps + 1) * V;
  const int64_t pieces = first.images < 2 * SHARES ? first.images : 2 * SHARES;
  const Workspace<A> partials(of_weights ? pieces * 2 * sums_of_one : 0);
  for_pieces(pieces, [&](int64_t piece) {
    Sources<T> of_x(first, false), of_middle(second, false), of_y(second, true), of_gradient(first, true);
    const Workspace<T> between(middle), gradients(taps * middle);  // the last rows of the gradient between, in a ring
    take_row<T>(of_middle, between.data());
    of_middle.fresh = of_gradient.fresh = 0;
    A *down_sums = partials.data() + piece * 2 * sums_of_one, *along_sums = down_sums + sums_of_one;
    if (of_weights) std::memset(down_sums, 0, static_cast<size_t>(2 * sums_of_one) * sizeof(A));
    for (int64_t image = piece * first.images / pieces; image < (piece + 1) * first.images / pieces; ++image) {
      int64_t next = 0;  // row of dx
      for (int64_t row = 0; row < y_rows; ++row) {
        const T* result = dy + (image * y_rows + row) * length;
        T* gradient = gradients.data() + row % taps * middle;
        take_row(of_y, result);
        correlate_row(of_y, along_back, along_transposed, static_cast<const T*>(nullptr), gradient);
        if (of_weights) {
          of_x.gather(first, false, x, image * y_rows + row);
          correlate_row(of_x, down_lines, down_weights, down_bias, between.data());
          with_step<T>(1, [&](auto step) {
            dot_row<T, decltype(step)::value>(second, of_middle, along_lines.line[0], result, along_sums);
            dot_row<T, decltype(step)::value>(first, of_x, down_lines.line[0], gradient, down_sums);
          });
        }
        for (; dx && next < x_rows && (next + above <= row || row + 1 == y_rows); ++next) {
          of_gradient.count = 0;
          for (int64_t k = 0; k < taps; ++k) {
            const int64_t at = next + above - k;
            if (at < 0 || at >= y_rows) continue;
            of_gradient.rows[of_gradient.count] = gradients.data() + at % taps * middle;
            of_gradient.kernel_row[of_gradient.count++] = k;
          }
          correlate_row(of_gradient, down_back, down_transposed, static_cast<const T*>(nullptr),
                        dx + (image * x_rows + next) * middle);
        }
      }
    }
  });
  if (!of_weights) return;
  add_pieces<T>(first, partials.data(), pieces, 2 * sums_of_one, found[0], found[1]);
  add_pieces<T>(second, partials.data() + sums_of_one, pieces, 2 * sums_of_one, found[2], found[3]);
}
