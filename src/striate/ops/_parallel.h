// Work in fixed pieces: the same pieces, and sums in the same order, at any number of threads.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace striate {

// Calls body(piece) for every piece from 0 to pieces - 1, each in one thread. A body must write
// only what belongs to its piece; then the result does not depend on the number of threads.
template <class Body>
inline void for_pieces(int64_t pieces, const Body& body) {
  if (pieces == 1) {  // the pool of threads costs microseconds
    body(int64_t{0});
    return;
  }
  torch::stable::parallel_for(0, pieces, 1, [&body](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) body(piece);
  });
}

// Memory for a kernel's own use: not initialised, aligned to a cache line.
template <class T>
class Workspace {
 public:
  explicit Workspace(int64_t count)
      : data_(static_cast<T*>(::operator new(static_cast<size_t>(count) * sizeof(T), std::align_val_t{64}))) {}
  T* data() const { return data_.get(); }
  T& operator[](int64_t index) const { return data_.get()[index]; }

 private:
  struct Delete {
    void operator()(T* data) const { ::operator delete(data, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Delete> data_;
};

// How many images (rows, …) go into each piece when `count` of them each make a partial sum of a
// gradient: at most `pieces` partial sums, whatever the number of threads.
inline int64_t piece_size(int64_t count, int64_t pieces) { return (count + pieces - 1) / pieces; }

// result[i] = partials[0][i] + partials[1][i] + …, in that order.
template <class T, class Result>
inline void add_partials(const T* partials, int64_t pieces, int64_t length, Result* result) {
  for (int64_t i = 0; i < length; ++i) {
    T sum = 0;
    for (int64_t piece = 0; piece < pieces; ++piece) sum += partials[piece * length + i];
    result[i] = static_cast<Result>(sum);
  }
}

}  // namespace striate
