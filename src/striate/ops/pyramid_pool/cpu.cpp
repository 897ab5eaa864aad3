// pyramid_pool: where the bins lie, checks what would crash, makes the results, picks the instruction set.
#include <algorithm>
#include <type_traits>

#include "_window.h"

namespace striate {

// The coarsest partition of one dimension of which every bin of every level is a union.
struct Partition {
  Ints edges;  // of the parts, from 0 to the size

  Partition(int64_t size, const Ints& levels) {
    for (const int64_t bins : levels)
      for (int64_t i = 0; i < bins; ++i) {
        edges.push_back(i * size / bins);
        edges.push_back(((i + 1) * size + bins - 1) / bins);
      }
    std::sort(edges.begin(), edges.end());
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  }
  int64_t parts() const { return static_cast<int64_t>(edges.size()) - 1; }
  Range of(int64_t part) const { return {edges[part], edges[part + 1]}; }
  int64_t longest() const {
    int64_t most = 0;
    for (int64_t i = 0; i < parts(); ++i) most = std::max(most, of(i).size());
    return most;
  }
  Range bin(int64_t size, int64_t bins, int64_t i) const {  // its parts
    const auto part_at = [&](int64_t edge) { return std::lower_bound(edges.begin(), edges.end(), edge) - edges.begin(); };
    return {part_at(i * size / bins), part_at(((i + 1) * size + bins - 1) / bins)};
  }
};

enum class Kind { average, largest, winners };  // of what is made of a bin: winners are the largest and their places

struct Bin {
  Range rows, columns;  // parts
  int64_t samples;
};

struct Level {
  int64_t first, bins;
};

// The bins of all levels over pictures, and the cells that rows and columns of parts cut them into.
struct Pyramid {
  int64_t images, channels, height, width;
  bool input_last;  // channels side by side
  Partition rows, columns;
  std::vector<Level> levels;
  std::vector<Bin> bins;  // level after level, row after row

  Pyramid(const Tensor& input, const Ints& row_levels, const Ints& column_levels)
      : images(input.size(0)), channels(input.size(1)), height(input.size(2)), width(input.size(3)),
        input_last(!input.is_contiguous()), rows(height, row_levels),
        columns(width, column_levels) {
    for (size_t l = 0; l < row_levels.size(); ++l) {
      levels.push_back({count(), row_levels[l] * column_levels[l]});
      for (int64_t i = 0; i < row_levels[l]; ++i)
        for (int64_t j = 0; j < column_levels[l]; ++j) {
          const Range high = rows.bin(height, row_levels[l], i), wide = columns.bin(width, column_levels[l], j);
          const int64_t samples = (rows.edges[high.end] - rows.edges[high.begin]) *
                                  (columns.edges[wide.end] - columns.edges[wide.begin]);
          bins.push_back({high, wide, samples});
        }
    }
  }
  int64_t count() const { return static_cast<int64_t>(bins.size()); }
  int64_t size() const { return height * width; }

  // The outputs of some channels of an image in a level, a bin in each column.
  template <class T>
  Planes<T> outputs(T* data, const Level& level, int64_t image, int64_t channel, int count_) const {
    return {data + (image * count() + level.first) * channels + channel * level.bins, 1, level.bins, count_};
  }
};

// The bins that each cell is in.
struct Cover {
  Ints first, bin;  // the first of each cell's, one more at the end

  explicit Cover(const Pyramid& p) : first(static_cast<size_t>(p.rows.parts() * p.columns.parts() + 1)) {
    const auto each = [&](const auto& body) {
      for (int64_t b = 0; b < p.count(); ++b)
        for (int64_t r = p.bins[b].rows.begin; r < p.bins[b].rows.end; ++r)
          for (int64_t c = p.bins[b].columns.begin; c < p.bins[b].columns.end; ++c) body(b, r * p.columns.parts() + c);
    };
    each([&](int64_t, int64_t cell) { ++first[cell + 1]; });
    for (size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
    bin.resize(static_cast<size_t>(first.back()));
    Ints next = first;
    each([&](int64_t b, int64_t cell) { bin[next[cell]++] = b; });
  }
};

}  // namespace striate

#define STRIATE_KERNELS "pyramid_pool/kernels.h"
#include "_each_isa.h"

namespace striate {
namespace {

Pyramid checked(const Tensor& input, const Ints& rows, const Ints& columns) {
  STD_TORCH_CHECK(input.dim() == 4 && input.numel() > 0 && is_dense(input, !input.is_contiguous()) &&
                      input.size(2) * input.size(3) <= INT32_MAX,
                  "striate::pyramid: wanted pictures without gaps");
  STD_TORCH_CHECK(!rows.empty() && rows.size() == columns.size(), "striate::pyramid: wanted rows and columns of each level");
  for (const Ints* bins : {&rows, &columns})
    for (const int64_t count : *bins)
      STD_TORCH_CHECK(count > 0 && count <= INT32_MAX, "striate::pyramid: wanted bins in every level");
  return Pyramid(input, rows, columns);
}

Pyramid checked(const Tensor& gradient, const Tensor& input, const Ints& rows, const Ints& columns) {
  const Pyramid p = checked(input, rows, columns);
  STD_TORCH_CHECK(gradient.scalar_type() == input.scalar_type() && gradient.is_contiguous() && gradient.dim() == 2 &&
                      gradient.size(0) == p.images && gradient.size(1) == p.channels * p.count(),
                  "striate::pyramid: the gradient is not that of this input");
  return p;
}

template <Kind KIND>
Tensor pooled(const Tensor& input, const Pyramid& p, int32_t* winners) {
  Tensor output = make(input, {p.images, p.channels * p.count()});
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(pyramid_forward<T, KIND>)(p, data<T>(input), mutable_data<T>(output), winners);
  });
  return output;
}

Tensor pyramid_avg(const Tensor& input, const Ints& rows, const Ints& columns) {
  return pooled<Kind::average>(input, checked(input, rows, columns), nullptr);
}

Tensor pyramid_max_values(const Tensor& input, const Ints& rows, const Ints& columns) {
  return pooled<Kind::largest>(input, checked(input, rows, columns), nullptr);
}

std::tuple<Tensor, Tensor> pyramid_max(const Tensor& input, const Ints& rows, const Ints& columns) {
  const Pyramid p = checked(input, rows, columns);
  Tensor winners = make({p.images, p.count(), p.channels}, ScalarType::Int);
  Tensor output = pooled<Kind::winners>(input, p, mutable_data<int32_t>(winners));
  return {output, winners};
}

Tensor pyramid_avg_backward(const Tensor& gradient, const Tensor& input, const Ints& rows, const Ints& columns) {
  const Pyramid p = checked(gradient, input, rows, columns);
  const Cover cover(p);
  Tensor result = torch::stable::empty_like(input);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(pyramid_avg_backward<T>)(p, cover, data<T>(gradient), mutable_data<T>(result));
  });
  return result;
}

Tensor pyramid_max_backward(const Tensor& gradient, const Tensor& winners, const Tensor& input, const Ints& rows,
                            const Ints& columns) {
  const Pyramid p = checked(gradient, input, rows, columns);
  STD_TORCH_CHECK(winners.is_contiguous() && winners.scalar_type() == ScalarType::Int && winners.numel() == gradient.numel(),
                  "striate::pyramid_max_backward: the winners are not those of this gradient");
  Tensor result = torch::stable::empty_like(input);
  by_type(input, [&](auto zero) {
    using T = decltype(zero);
    STRIATE_NATIVE(pyramid_max_backward<T>)(p, data<T>(gradient), data<int32_t>(winners), mutable_data<T>(result));
  });
  return result;
}

}  // namespace
}  // namespace striate

STABLE_TORCH_LIBRARY_IMPL(striate, CPU, library) {
  library.impl("pyramid_max", TORCH_BOX(&striate::pyramid_max));
  library.impl("pyramid_max.raw", TORCH_BOX(&striate::pyramid_max));
  library.impl("pyramid_max_values", TORCH_BOX(&striate::pyramid_max_values));
  library.impl("pyramid_max_backward", TORCH_BOX(&striate::pyramid_max_backward));
  library.impl("pyramid_avg", TORCH_BOX(&striate::pyramid_avg));
  library.impl("pyramid_avg.raw", TORCH_BOX(&striate::pyramid_avg));
  library.impl("pyramid_avg_backward", TORCH_BOX(&striate::pyramid_avg_backward));
}
