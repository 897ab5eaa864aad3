// A depthwise K × 1 convolution, a 1 × K one and their gradients in one pass: what lies between the two never leaves the
// cache. Frames keep it with the zeros that the second one, or the transpose of the first, reads around it.

#include "conv/depthwise_rows.h"

template <class T, int K>
struct KernelPair {
  using A = arithmetic<T>;
  using Inputs = typename SmallKernel<T, K, 1, 1>::Inputs;
  using Middle = Frame<T, 1>;
  static constexpr int V = lanes<T>;

  const Windows &first, &second;
  const SmallKernel<T, K, 1, 1> down;
  const SmallKernel<T, 1, K, 1> along;
  const int64_t channels, in, out;

  KernelPair(const Windows& rows, const Windows& columns)
      : first(rows), second(columns), down(rows), along(columns), channels(rows.channels), in(rows.in_size()),
        out(columns.out_size()) {}

  // The samples between the two, in the frame that the second reads.
  void reach_middle(const Inputs& of_x, const Middle& of_middle, const A* weights, A start, const Ahead& ahead) const {
    correlate_picture<T, K, 1, 1>(of_x, weights, 1, start, down.out, of_middle.row(0, 0) + second.axis[2].before,
                                  of_middle.pitch(), ahead);
  }

  void correlate(const T* x, const T* down_weight, const T* down_bias, const T* along_weight, const T* along_bias,
                 T* y) const {
    const int64_t planes = first.images * channels, pieces = down.worth(planes);
    for_pieces(pieces, [&](int64_t piece) {
      auto of_x = down.inputs();
      const auto of_middle = along.template inputs<Middle>();
      const Workspace<A> weights(2 * K);
      const int64_t end = (piece + 1) * planes / pieces;
      for (int64_t plane = piece * planes / pieces; plane < end; ++plane) {
        const int64_t channel = plane % channels;
        down.read_weights(down_weight + channel * K, false, weights.data());
        along.read_weights(along_weight + channel * K, false, weights.data() + K);
        of_x.take(x + plane * in);
        reach_middle(of_x, of_middle, weights.data(), down_bias ? load_one(down_bias + channel) : 0,
                     down.next(x + (plane + 1) * in, plane + 1 == end, in, down.out, BAND, 1));
        correlate_picture<T, 1, K, 1>(of_middle, weights.data() + K, 1, along_bias ? load_one(along_bias + channel) : 0,
                                      along.out, y + plane * out, along.out[2], Ahead::nothing());
      }
    });
  }

  // Those that are not null of dx, and of the gradients of weights and biases. A piece has all images of its channels.
  void backward(const T* dy, const T* x, const T* down_weight, const T* down_bias, const T* along_weight, T* dx,
                T* const (&found)[4]) const {
    const bool of_weights = found[0] || found[1] || found[2] || found[3];
    const int64_t pieces = down.worth(channels), lines = 2 * (K + 1);
    for_pieces(pieces, [&](int64_t piece) {
      auto of_x = down.inputs();
      auto of_y = along.gradients();
      const auto of_middle = along.template inputs<Middle>(), of_its_gradient = down.template gradients<Middle>();
      A* const gradient = of_its_gradient.row(0, K - 1 - first.axis[1].before);
      const Workspace<A> weights(3 * K), sums(lines * V);
      for (int64_t channel = piece * channels / pieces; channel < (piece + 1) * channels / pieces; ++channel) {
        down.read_weights(down_weight + channel * K, false, weights.data());
        down.read_weights(down_weight + channel * K, true, weights.data() + K);
        along.read_weights(along_weight + channel * K, true, weights.data() + 2 * K);
        std::memset(sums.data(), 0, static_cast<size_t>(lines * V) * sizeof(A));
        for (int64_t image = 0; image < first.images; ++image) {
          const int64_t plane = image * channels + channel, following = plane + channels;
          const bool is_last = image + 1 == first.images;
          const T* of_result = dy + plane * out;
          of_y.take(of_result);
          correlate_picture<T, 1, K, 1>(of_y, weights.data() + 2 * K, 1, 0, along.in, gradient,
                                        of_its_gradient.pitch(),
                                        along.next(dy + following * out, is_last, out, along.in, BAND, 1));
          if (of_weights) {
            of_x.take(x + plane * in);
            reach_middle(of_x, of_middle, weights.data(), down_bias ? load_one(down_bias + channel) : 0,
                         down.next(x + following * in, is_last, in, down.out, BAND, 1));
            dot_picture<T, K, 1, 1>(of_x, gradient, of_its_gradient.pitch(), 1, down.out, sums.data(), nullptr,
                                    Ahead::nothing());
            dot_picture<T, 1, K, 1>(of_middle, of_result, along.out[2], 1, along.out, sums.data() + (K + 1) * V, nullptr,
                                    Ahead::nothing());
          }
          if (dx)
            correlate_picture<T, K, 1, 1>(of_its_gradient, weights.data() + K, 1, 0, down.in, dx + plane * in,
                                          down.in[2], Ahead::nothing());
        }
        for (int64_t i = 0; of_weights && i < 4; ++i) {  // weight and bias of the first, weight and bias of the second
          const int64_t begin = i / 2 * (K + 1) + i % 2 * K, count = i % 2 ? 1 : K;
          for (int64_t k = 0; found[i] && k < count; ++k)
            store_one(found[i] + channel * count + k, sum(load(sums.data() + (begin + k) * V)));
        }
      }
    });
  }
};

template <class T, class Body>
void with_pair(const Windows& rows, const Windows& columns, const Body& body) {
  if (rows.axis[1].kernel == 3)
    body(KernelPair<T, 3>(rows, columns));
  else if (rows.axis[1].kernel == 5)
    body(KernelPair<T, 5>(rows, columns));
  else
    body(KernelPair<T, 7>(rows, columns));
}

template <class T>
void pair_correlate(const Windows& rows, const Windows& columns, const T* x, const T* down_weight, const T* down_bias,
                    const T* along_weight, const T* along_bias, T* y) {
  with_pair<T>(rows, columns, [&](const auto& pair) {
    pair.correlate(x, down_weight, down_bias, along_weight, along_bias, y);
  });
}

template <class T>
void pair_backward(const Windows& rows, const Windows& columns, const T* dy, const T* x, const T* down_weight,
                   const T* down_bias, const T* along_weight, T* dx, T* const (&found)[4]) {
  with_pair<T>(rows, columns, [&](const auto& pair) {
    pair.backward(dy, x, down_weight, down_bias, along_weight, dx, found);
  });
}
