// Pyramid pooling of pictures, largest numbers or averages: every level in one pass over the picture, and the gradients.
//
// Each cell of the partition is reduced once, with a channel in each lane; bins are reduced from cells.
#include "_planes.h"
#include "max_pool/winners.h"

#include "pyramid_pool/cells.h"
#include "pyramid_pool/gradients.h"

// The bins of one block of channels, from its cells.
template <class T, bool LARGEST>
void pool_bins(const Pyramid& p, const Cells<T>& cells, int64_t image, int64_t channel, int count, int64_t vector,
               arithmetic<T>* values, T* y, int32_t* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  for (const Level& level : p.levels) {
    for (int64_t b = 0; b < level.bins; ++b) {
      const Bin& bin = p.bins[level.first + b];
      Reduced<A, LARGEST> found;
      for (int64_t r = bin.rows.begin; r < bin.rows.end; ++r)
        for (int64_t c = bin.columns.begin; c < bin.columns.end; ++c)
          found.add_part(cells.value(r * p.columns.parts() + c, vector), cells.winner(r * p.columns.parts() + c, vector));
      store(values + b * V, LARGEST ? found.value : found.value / broadcast<vec<A>>(static_cast<double>(bin.samples)));
      if (!winners) continue;
      int32_t* to = winners + (image * p.count() + level.first + b) * p.channels + channel;
      if (sizeof(A) == 4 && count == V)
        std::memcpy(to, &found.winner, sizeof found.winner);
      else
        for (int i = 0; i < count; ++i) to[i] = static_cast<int32_t>(found.winner[i]);
    }
    const Line line{0, 1, level.bins, 1, 0, true, nullptr, nullptr};
    unpack_row<T>(values, 0, line, p.outputs(y, level, image, channel, count));
  }
}

// `winners` may be null; they are places in the picture, (image, bin, channel).
template <class T, bool LARGEST>
void pyramid_forward(const Pyramid& p, const T* x, T* y, int32_t* winners) {
  constexpr int V = lanes<T>;
  const int64_t vectors = p.input_last ? BESIDE : 1, groups = piece_size(p.channels, vectors * V);
  int64_t most = 0;
  for (const Level& level : p.levels) most = level.bins > most ? level.bins : most;
  for_pieces(p.images * groups, [&](int64_t piece) {
    const int64_t image = piece / groups, channel = piece % groups * vectors * V;
    const int64_t left = p.channels - channel, count = left < vectors * V ? left : vectors * V;
    Cells<T> cells(p.rows.parts() * p.columns.parts(), vectors);
    const Workspace<arithmetic<T>> values(most * V);
    if (p.input_last)
      cells_of_last<T, LARGEST>(p, x + image * p.size() * p.channels + channel, count, cells);
    else
      cells_of_planes<T, LARGEST>(p, x + (image * p.channels + channel) * p.size(), static_cast<int>(count), cells);
    for (int64_t i = 0; i * V < count; ++i)
      pool_bins<T, LARGEST>(p, cells, image, channel + i * V, static_cast<int>(count - i * V < V ? count - i * V : V), i,
                            values.data(), y, winners);
  });
}
