// SPDX-License-Identifier: Apache-2.0
#include "core/engine/zero_detect.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "sdk/cpp/bytes.hpp"

namespace instar::engine {

namespace {

constexpr size_t kSector = 512;
constexpr size_t kCoarse = 16u << 10;

bool sector_is_zero(const uint8_t* data, size_t length, size_t at) {
  return sdk::is_zero(data + at, std::min(kSector, length - at));
}

void append(std::vector<DataRun>& out, size_t begin, size_t end) {
  if (!out.empty() && out.back().end == begin)
    out.back().end = end;
  else
    out.push_back({begin, end});
}

/** The common case: every decision falls on a block of `alignment` bytes. */
void find_blockwise(const uint8_t* data, size_t length, size_t block, std::vector<DataRun>& out) {
  for (size_t at = 0; at < length; at += block) {
    const size_t n = std::min(block, length - at);
    if (!sdk::is_zero(data + at, n)) append(out, at, at + n);
  }
}

/** Sector by sector, for buffers and rules that fit no grid. */
class SectorScan {
 public:
  SectorScan(const uint8_t* data, size_t length, uint64_t position, const SparseRule& rule)
      : data_(data), length_(length), position_(position), rule_(rule) {}

  void run(std::vector<DataRun>& out) {
    size_t at = 0;
    while (at < length_) {
      const Stretch first = stretch(at);
      if (first.is_zero) {
        at += first.length;
        continue;
      }
      const size_t end = end_of_data(at, at + first.length);
      append(out, at, end);
      at = end;
    }
  }

 private:
  struct Stretch {
    bool is_zero;
    size_t length;
  };

  /** Goes on over gaps that are shorter than min_sparse. */
  size_t end_of_data(size_t begin, size_t end_of_first) const {
    const size_t least = std::min<uint64_t>(rule_.min_sparse, length_ - begin);
    size_t used = end_of_first;
    size_t at = end_of_first;
    while (at < length_) {
      const Stretch next = stretch(at);
      at += next.length;
      if (!next.is_zero)
        used = at;
      else if (next.length >= least)
        break;
    }
    return used;
  }

  /** Sectors of one kind from `at` on, their end moved so that data is aligned. */
  Stretch stretch(size_t at) const {
    bool is_zero = sector_is_zero(data_, length_, at);
    size_t end = at + kSector;
    while (end < length_ && sector_is_zero(data_, length_, end) == is_zero)
      end += kSector;
    if (end >= length_) return {is_zero, length_ - at};
    const size_t tail = (position_ + end) & (rule_.alignment - 1);
    if (tail == 0) return {is_zero, end - at};
    if (is_zero && end - at <= tail) is_zero = false;
    end = is_zero ? end - tail : end + (rule_.alignment - tail);
    return {is_zero, std::min(end, length_) - at};
  }

  const uint8_t* data_;
  size_t length_;
  uint64_t position_;
  SparseRule rule_;
};

}  // namespace

SparseRule make_sparse_rule(uint64_t min_sparse, uint64_t request_alignment) {
  const uint64_t wanted = std::max<uint64_t>(std::bit_floor(min_sparse), kSector);
  return {min_sparse, std::max(wanted, std::bit_ceil(std::max<uint64_t>(request_alignment, 1)))};
}

void find_data_runs(const uint8_t* data, size_t length, uint64_t position, const SparseRule& rule,
                    std::vector<DataRun>& out) {
  const bool on_grid = position % rule.alignment == 0 && rule.min_sparse <= rule.alignment;
  if (on_grid)
    find_blockwise(data, length, rule.alignment, out);
  else
    SectorScan(data, length, position, rule).run(out);
}

size_t first_nonzero_sector(const uint8_t* data, size_t length) {
  size_t at = 0;
  while (at < length && sdk::is_zero(data + at, std::min(kCoarse, length - at)))
    at += kCoarse;
  while (at < length && sector_is_zero(data, length, at))
    at += kSector;
  return std::min(at, length);
}

size_t first_different_sector(const uint8_t* a, const uint8_t* b, size_t length) {
  const auto same = [&](size_t at, size_t n) {
    return std::memcmp(a + at, b + at, std::min(n, length - at)) == 0;
  };
  size_t at = 0;
  while (at < length && same(at, kCoarse))
    at += kCoarse;
  while (at < length && same(at, kSector))
    at += kSector;
  return std::min(at, length);
}

}  // namespace instar::engine
