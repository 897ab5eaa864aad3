// Pyramid pooling of pictures, largest numbers or averages: every level in one pass over the picture, and the gradients.
//
// Each cell of the partition is reduced once, with a channel in each lane; bins are reduced from cells.
#include "_planes.h"
#include "_small_planes.h"
#include "max_pool/winners.h"

#include "pyramid_pool/cells.h"
#include "pyramid_pool/gradients.h"

// The bins of N registers of channels from their cells, `count` channels from `channel` on. `values` has room for the
// bins of a level.
template <class T, Kind KIND, int N>
void pool_bins(const Pyramid& p, const Cells<arithmetic<T>>& cells, int64_t image, int64_t channel, int64_t count,
               vec<T>* values, T* y, int32_t* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  for (const Level& level : p.levels) {
    for (int64_t b = 0; b < level.bins; ++b) {
      const Bin& bin = p.bins[level.first + b];
      const vec<A> samples = broadcast<vec<A>>(static_cast<double>(bin.samples));
      Reduced<A, KIND> found[N];
      for (int64_t r = bin.rows.begin; r < bin.rows.end; ++r)
        for (int64_t c = bin.columns.begin; c < bin.columns.end; ++c)
          UNROLLED(i, N) {
            const int64_t cell = r * p.columns.parts() + c;
            found[i].add_part(cells.value(cell, i), cells.winner(cell, i));
          }
      UNROLLED(i, N) {
        values[i * level.bins + b] = KIND != Kind::average ? found[i].value : found[i].value / samples;
        if (KIND != Kind::winners || i * V >= count) continue;
        int32_t* to = winners + (image * p.count() + level.first + b) * p.channels + channel + i * V;
        if (sizeof(A) == 4 && count - i * V >= V)
          std::memcpy(to, &found[i].winner, sizeof found[i].winner);
        else
          for (int k = 0; k < V && i * V + k < count; ++k) to[k] = static_cast<int32_t>(found[i].winner[k]);
      }
    }
    const Line line{0, 1, level.bins, 1, 0, true, nullptr, nullptr};
    for (int64_t i = 0; i * V < count; ++i) {
      const int some = static_cast<int>(count - i * V < V ? count - i * V : V);
      unpack_row<T>(reinterpret_cast<const A*>(values + i * level.bins), 0, line,
                    p.outputs(y, level, image, channel + i * V, some));
    }
  }
}

// `winners` are places in the picture, (image, bin, channel).
template <class T, Kind KIND>
void pyramid_forward(const Pyramid& p, const T* x, T* y, int32_t* winners) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const bool is_small = !p.input_last && p.size() <= LARGEST_TURNED;
  const int64_t vectors = p.input_last || is_small ? BESIDE : 1, groups = piece_size(p.channels, vectors * V);
  int64_t most = 0;
  for (const Level& level : p.levels) most = level.bins > most ? level.bins : most;
  for_pieces(p.images * groups, [&](int64_t piece) {
    const int64_t image = piece / groups, channel = piece % groups * vectors * V;
    const int64_t left = p.channels - channel, count = left < vectors * V ? left : vectors * V;
    Cells<A> cells(p.rows.parts() * p.columns.parts(), vectors);
    const Workspace<vec<A>> values(most * vectors);
    const T* picture = x + image * p.channels * p.size();
    if (p.input_last) {
      cells_of_last<T, KIND>(p, picture + channel, count, p.channels, cells);
    } else if (is_small) {
      const int64_t pitch = piece_size(count, V) * V;
      const Workspace<A> turned(p.size() * pitch);
      turn(picture + channel * p.size(), count, p.size(), turned.data(), pitch);
      cells_of_last<A, KIND>(p, turned.data(), pitch, pitch, cells);
    } else {
      cells_of_planes<T, KIND>(p, picture + channel * p.size(), static_cast<int>(count), cells);
    }
    if (vectors == 1)
      pool_bins<T, KIND, 1>(p, cells, image, channel, count, values.data(), y, winners);
    else
      pool_bins<T, KIND, BESIDE>(p, cells, image, channel, count, values.data(), y, winners);
  });
}
