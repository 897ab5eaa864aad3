// How the kernels for few channels lay pictures out, so that a tap is an offset.
//
// A tile has a plane for each channel. In it rows lie one behind the other, pictures likewise, with as many
// zeros between them as the windows reach over the sides. With stride s a sample goes to the plane of its
// phase, position modulo s. Then, f being any position of the output,
//
//   y[f] = Σ over taps of weight[tap] · x[f + offset[tap]]
//
// holds over the borders of rows and pictures, and so do its transpose and the gradient of the weight. What
// is computed for the positions between the rows is thrown away: a column or two in every row.
#pragma once

#include <vector>

#include "_window.h"

namespace striate {

constexpr int64_t SLACK = 160;              // positions after a plane that whole vectors may touch
constexpr int64_t FLAT_BYTES = 320 * 1024;  // of a piece's tiles: they stay in the second-level cache
constexpr int64_t ENOUGH = 1536;            // positions for which one more picture in a tile gains nothing

// One dimension. Positions are those of the output; of the padded input, sample i has position i / stride.
struct Track {
  int64_t in, out, kernel, stride, before, dilation;

  int64_t offset(int64_t tap) const { return tap * dilation / stride; }
  int64_t phase(int64_t tap) const { return tap * dilation % stride; }
  int64_t reach() const { return offset(kernel - 1); }
  int64_t positions() const {  // that have a sample on either side
    const int64_t samples = (before + in + stride - 1) / stride;
    return samples > out ? samples : out;
  }
  int64_t pitch() const {  // to the next line: what a window sees beyond it must be that one's padding
    const int64_t last = (out - 1) * stride + (kernel - 1) * dilation, least = (last - before + stride) / stride;
    return least > positions() ? least : positions();
  }
};

// Input or output of the convolution: a tensor, and its planes in a tile.
struct Side {
  int64_t channels;  // of a group
  bool last;         // side by side in memory
  int64_t rows, columns, row_stride, column_stride, row_before, column_before;
  int64_t length, start;  // positions of a plane, and of the first in it

  int64_t planes() const { return channels * row_stride * column_stride; }  // of a group
};

// Targets of the transpose that read the same offsets of the output: samples of some phases.
struct Phases {
  int64_t taps, targets, first_tap, first_target, first_weight;  // where their lists begin
};

struct Unit {  // what is in the tiles at once
  int64_t picture, pictures, first, rows;
};

struct Flat {
  int64_t pictures, groups;
  Track high, wide;
  Side x, y;
  int64_t together;                    // groups in one tile
  int64_t pitch, picture_pitch;        // positions between rows, and between pictures
  int64_t strips, strip, each, units;  // strips of a picture, rows of one, pictures of a unit, how many units
  const int64_t* taps;                 // offset in a group's planes of x, in the order of the weight
  const Phases* phases;
  int64_t phase_count;
  const int64_t *phase_taps, *phase_targets, *phase_weights;  // offsets in y, in x, and in a group's weight

  int64_t blocks() const { return (groups + together - 1) / together; }
  int64_t taps_each() const { return x.channels * high.kernel * wide.kernel; }
  Unit unit(int64_t number) const {
    if (strips == 1) {
      const int64_t first = number * each, left = pictures - first;
      return {first, left < each ? left : each, 0, high.positions()};
    }
    const int64_t first = number % strips * strip, left = high.positions() - first;
    return {number / strips, 1, first, left < strip ? left : strip};
  }
};

// A plan, and the memory of its lists.
class FlatPlan {
 public:
  Flat flat;

  // `bytes` of a number in a tile; `lanes` channels that lie side by side make a cache line; `transposed`: the
  // transpose is wanted; `both`: with tiles of the input and of its gradient.
  FlatPlan(Flat given, int64_t bytes, int64_t lanes, bool transposed, bool both) : flat(given) {
    flat.pitch = flat.wide.pitch();
    flat.picture_pitch = flat.high.pitch();
    flat.together = 1;
    const int64_t fewer = flat.x.channels < flat.y.channels ? flat.x.channels : flat.y.channels;
    if (flat.x.last || flat.y.last) flat.together = smaller((lanes + fewer - 1) / fewer, flat.groups);
    cut(bytes, both);
    list_taps();
    if (transposed) list_phases();
  }

 private:
  std::vector<int64_t> taps_, phase_taps_, phase_targets_, phase_weights_;
  std::vector<Phases> phases_;

  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
  // An odd number of cache lines: planes then do not fall on each other in the first-level cache.
  static int64_t spread(int64_t length) { return (length + 15) / 16 / 2 * 32 + 16; }

  void cut(int64_t bytes, bool both) {
    Flat& f = flat;
    const int64_t reach = f.high.reach(), positions = f.high.positions(), blocks = f.blocks();
    const int64_t row = f.pitch * f.together * (f.x.planes() * (both ? 2 : 1) + f.y.channels) * bytes;
    const int64_t fit = FLAT_BYTES / row, busy = (SHARES + blocks - 1) / blocks;
    f.strips = f.each = 1;
    if (fit >= f.picture_pitch) {
      const int64_t useful = (ENOUGH + f.picture_pitch * f.pitch - 1) / (f.picture_pitch * f.pitch);
      f.each = smaller(smaller(fit / f.picture_pitch, useful), larger(1, f.pictures / busy));
    } else {
      f.strips = (positions + larger(fit - reach, larger(reach, 1)) - 1) / larger(fit - reach, larger(reach, 1));
    }
    if (f.each == 1) {
      const int64_t wanted = (busy + f.pictures - 1) / f.pictures, most = positions / (4 * reach + 4);
      f.strips = larger(f.strips, smaller(wanted, larger(most, 1)));
    }
    f.strip = (positions + f.strips - 1) / f.strips;
    f.strips = (positions + f.strip - 1) / f.strip;
    f.units = f.strips == 1 ? (f.pictures + f.each - 1) / f.each : f.pictures * f.strips;
    const int64_t rows = (f.each - 1) * f.picture_pitch + f.strip;
    f.x.start = 0;
    f.y.start = reach * f.pitch + f.wide.reach();
    f.x.length = spread((rows + reach) * f.pitch + f.wide.reach() + SLACK);
    f.y.length = spread(f.y.start + rows * f.pitch + SLACK);
  }

  void list_taps() {
    const Flat& f = flat;
    for (int64_t c = 0; c < f.x.channels; ++c)
      for (int64_t h = 0; h < f.high.kernel; ++h)
        for (int64_t w = 0; w < f.wide.kernel; ++w)
          taps_.push_back(plane(c, f.high.phase(h), f.wide.phase(w)) + f.high.offset(h) * f.pitch + f.wide.offset(w));
    flat.taps = taps_.data();
  }
  int64_t plane(int64_t channel, int64_t high, int64_t wide) const {
    return ((channel * flat.x.row_stride + high) * flat.x.column_stride + wide) * flat.x.length;
  }

  void list_phases() {
    struct One {
      int64_t high, wide;
      std::vector<int64_t> offsets, taps;
    };
    const Flat& f = flat;
    std::vector<std::vector<One>> alike;
    for (int64_t h = 0; h < f.high.stride; ++h)
      for (int64_t w = 0; w < f.wide.stride; ++w) {
        One one{h, w, {}, {}};
        for (int64_t i = 0; i < f.high.kernel; ++i)
          for (int64_t j = 0; j < f.wide.kernel; ++j)
            if (f.high.phase(i) == h && f.wide.phase(j) == w) {
              one.offsets.push_back(f.high.offset(i) * f.pitch + f.wide.offset(j));
              one.taps.push_back(i * f.wide.kernel + j);
            }
        size_t place = 0;
        while (place < alike.size() && alike[place][0].offsets != one.offsets) ++place;
        if (place == alike.size()) alike.emplace_back();
        alike[place].push_back(one);
      }
    const int64_t kernel = f.high.kernel * f.wide.kernel;
    for (const auto& some : alike) {
      const auto& offsets = some[0].offsets;
      const auto count = [](const std::vector<int64_t>& list) { return static_cast<int64_t>(list.size()); };
      phases_.push_back({f.y.channels * count(offsets), static_cast<int64_t>(some.size()) * f.x.channels,
                         count(phase_taps_), count(phase_targets_), count(phase_weights_)});
      for (const One& one : some)
        for (int64_t c = 0; c < f.x.channels; ++c) phase_targets_.push_back(plane(c, one.high, one.wide));
      for (int64_t k = 0; k < f.y.channels; ++k)
        for (size_t i = 0; i < offsets.size(); ++i) {
          phase_taps_.push_back(k * f.y.length - offsets[i]);
          for (const One& one : some)
            for (int64_t c = 0; c < f.x.channels; ++c)
              phase_weights_.push_back((k * f.x.channels + c) * kernel + one.taps[i]);
        }
    }
    flat.phases = phases_.data();
    flat.phase_count = static_cast<int64_t>(phases_.size());
    flat.phase_taps = phase_taps_.data();
    flat.phase_targets = phase_targets_.data();
    flat.phase_weights = phase_weights_.data();
  }
};

}  // namespace striate
