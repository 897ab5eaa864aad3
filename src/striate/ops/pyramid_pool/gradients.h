// Gradients of pyramid pooling.
//
// Pasted after cells.h.

// Each winner gets the gradients of the bins that it won, in the order of the bins.
template <class T>
void pyramid_max_backward(const Pyramid& p, const T* dy, const int32_t* winners, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t some = BESIDE * V, groups = piece_size(p.channels, some);
  const int64_t column = p.input_last ? p.channels : 1, plane = p.input_last ? 1 : p.size();
  for_pieces(p.images * groups, [&](int64_t piece) {
    const int64_t image = piece / groups, first = piece % groups * some;
    const int64_t last = first + some < p.channels ? first + some : p.channels;
    T* picture = dx + image * p.channels * p.size();
    const auto clear = [&](int64_t from, int64_t count) {
      std::memset(static_cast<void*>(picture + from), 0, static_cast<size_t>(count) * sizeof(T));
    };
    if (!p.input_last || groups == 1)
      clear(first * plane, (last - first) * p.size());
    else
      for (int64_t i = 0; i < p.size(); ++i) clear(i * p.channels + first, last - first);
    const Workspace<A> sums(std::is_same_v<A, T> ? 1 : p.size());  // in float, of numbers of 16 bits
    for (int64_t channel = first; channel < last; ++channel) {
      const auto each = [&](const auto& body) {
        const int32_t* place = winners + image * p.count() * p.channels + channel;
        for (const Level& level : p.levels) {
          const auto from = p.outputs(dy, level, image, channel, 1);
          for (int64_t b = 0; b < level.bins; ++b, place += p.channels)
            body(picture + channel * plane + *place * column, sums.data() + *place, from.data + b);
        }
      };
      if constexpr (std::is_same_v<A, T>) {
        each([](T* to, A*, const T* from) { *to += *from; });
      } else {
        each([](T*, A* sum, const T*) { *sum = 0; });
        each([](T*, A* sum, const T* from) { *sum += load_one(from); });
        each([](T* to, A* sum, const T*) { store_one(to, *sum); });
      }
    }
  });
}

// The gradients of one row of parts, for some channels: to[part][vector]. `shares` has those of the bins.
template <class A>
void gather_row(const Cover& cover, int64_t row, int64_t parts, int64_t vectors, const vec<A>* shares, vec<A>* to) {
  for (int64_t c = 0; c < parts; ++c) {
    const int64_t cell = row * parts + c;
    for (int64_t i = 0; i < vectors; ++i) {
      vec<A> sum{};
      for (int64_t k = cover.first[cell]; k < cover.first[cell + 1]; ++k) sum += shares[cover.bin[k] * vectors + i];
      to[c * vectors + i] = sum;
    }
  }
}

// Every sample gathers the shares of the bins that it is in; all samples of a cell have the same gradient.
template <class T>
void pyramid_avg_backward(const Pyramid& p, const Cover& cover, const T* dy, T* dx) {
  using A = arithmetic<T>;
  constexpr int V = lanes<T>;
  const int64_t vectors = p.input_last ? BESIDE : 1, groups = piece_size(p.channels, vectors * V);
  const int64_t parts = p.columns.parts();
  const Line line{0, 1, p.width, 1, 0, true, nullptr, nullptr};
  for_pieces(p.images * groups, [&](int64_t piece) {
    const int64_t image = piece / groups, channel = piece % groups * vectors * V;
    const int64_t left = p.channels - channel, count = left < vectors * V ? left : vectors * V;
    const Workspace<vec<A>> shares(p.count() * vectors), cells(parts * vectors);
    const Workspace<A> tile((p.width > p.count() ? p.width : p.count()) * V);
    for (int64_t i = 0; i < vectors; ++i)
      for (const Level& level : p.levels) {
        const int64_t rest = count - i * V;
        if (rest > 0)
          pack_row<T>(p.outputs(dy, level, image, channel + i * V, static_cast<int>(rest < V ? rest : V)), 0, level.bins,
                      tile.data());
        for (int64_t b = 0; b < level.bins; ++b)
          shares[(level.first + b) * vectors + i] =
              rest > 0 ? load(tile.data() + b * V) / broadcast<vec<A>>(static_cast<double>(p.bins[level.first + b].samples))
                       : vec<A>{};
      }
    T* picture = dx + image * p.channels * p.size() + channel * (p.input_last ? 1 : p.size());
    for (int64_t r = 0; r < p.rows.parts(); ++r) {
      const Range high = p.rows.of(r);
      gather_row<A>(cover, r, parts, vectors, shares.data(), cells.data());
      if (p.input_last) {
        for (int64_t row = high.begin; row < high.end; ++row)
          for (int64_t c = 0; c < parts; ++c)
            for (int64_t column = p.columns.of(c).begin; column < p.columns.of(c).end; ++column)
              for_channels<T, BESIDE>(count, [&](auto group, int64_t from, int some) {
                UNROLLED(i, decltype(group)::value)
                  store_some(picture + (row * p.width + column) * p.channels + from + i * V,
                             cells[c * vectors + from / V + i], some);
              });
        continue;
      }
      for (int64_t c = 0; c < parts; ++c)
        for (int64_t column = p.columns.of(c).begin; column < p.columns.of(c).end; ++column)
          store(tile.data() + column * V, cells[c]);
      unpack_row<T>(tile.data(), high.begin * p.width, line, Planes<T>{picture, 1, p.size(), static_cast<int>(count)});
      for (int64_t k = 0; k < count; ++k) {
        T* first = picture + k * p.size() + high.begin * p.width;
        for (int64_t row = 1; row < high.size(); ++row)
          for (int64_t i = 0; i < p.width; i += V) {
            const int some = static_cast<int>(p.width - i < V ? p.width - i : V);
            store_some(first + row * p.width + i, load_some(first + i, some), some);
          }
      }
    }
  });
}
