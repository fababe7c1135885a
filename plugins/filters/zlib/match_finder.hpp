// SPDX-License-Identifier: Apache-2.0
/** @file match_finder.hpp Finds earlier occurrences of what stands at a position, inside a window. */
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "plugins/filters/zlib/block_writer.hpp"

namespace instar::zlib {

struct Match {
  unsigned length = 0;  ///< 0: none
  unsigned distance = 0;
};

/**
 * Positions with the same four bytes are chained, newest first; for three bytes only the newest is
 * known. Positions are entered in ascending order, each once. Only their low 16 bits are kept, so that
 * all of it stays in the first-level cache: what is found may be something else, and is compared
 * anyway.
 */
class MatchFinder {
 public:
  explicit MatchFinder(unsigned window_bits)
      : window_(1u << window_bits), mask_(window_ - 1), previous_(window_) {}

  void begin(sdk::ConstBytes in) {
    in_ = in;
    heads_.fill(0);
    short_heads_.fill(0);
    std::fill(previous_.begin(), previous_.end(), uint16_t{0});
  }

  /** Enters a position. */
  void skip(uint32_t at) {
    if (at + kNeeded > in_.size()) return;
    const uint32_t four = load(at);
    uint16_t& head = heads_[hash(four, kHashBits)];
    previous_[at & mask_] = head;
    head = static_cast<uint16_t>(at);
    short_heads_[hash(four << 8, kShortHashBits)] = static_cast<uint16_t>(at);
  }

  /** Enters a position, and finds the longest match there that is longer than `longer_than`. Looks at
   * `depth` candidates, and is content with `nice` bytes. */
  [[gnu::always_inline]] Match find(uint32_t at, unsigned longer_than, unsigned depth,
                                    unsigned nice) {
    if (at + kNeeded > in_.size()) return {};
    const uint32_t four = load(at);
    uint16_t& head = heads_[hash(four, kHashBits)];
    uint16_t& short_head = short_heads_[hash(four << 8, kShortHashBits)];
    uint32_t distance = back(at, head);
    const uint32_t short_distance = back(at, short_head);
    previous_[at & mask_] = head;
    head = short_head = static_cast<uint16_t>(at);
    const unsigned most = static_cast<unsigned>(std::min<size_t>(kMaxMatch, in_.size() - at));
    Match best{longer_than, 0};
    if (longer_than < kMinMatch && short_distance - 1 < kFarthestShort &&
        (load(at - short_distance) ^ four) << 8 == 0)
      best = {kMinMatch, short_distance};
    for (; distance - 1 < window_ && depth > 0; --depth) {
      if (better(at, distance, four, best.length)) {
        const unsigned length = common(at, distance, most);
        if (length > best.length) {
          best = {length, distance};
          if (length >= nice || length == most) break;
        }
      }
      const uint32_t older = back(at, previous_[(at - distance) & mask_]);
      if (older <= distance) break;
      distance = older;
    }
    return best.distance != 0 ? best : Match{};
  }

 private:
  static constexpr unsigned kHashBits = 13;
  static constexpr unsigned kShortHashBits = 11;
  static constexpr unsigned kNeeded = 8;
  /** Three bytes from further away take more bits than as literals. */
  static constexpr unsigned kFarthestShort = 1024;

  static uint32_t hash(uint32_t value, unsigned bits) { return value * 0x9e3779b1u >> (32 - bits); }
  uint32_t load(uint32_t at) const { return sdk::load_le<uint32_t>(in_.data() + at); }
  /** From `at` back to a position of which the low bits are known; 0: itself, which is none. Never
   * further back than the beginning. */
  static uint32_t back(uint32_t at, uint16_t position) { return (at - position) & 0xffff; }
  /** Whether the candidate can be longer than `length`: its first and its deciding bytes are equal. */
  bool better(uint32_t at, uint32_t distance, uint32_t four, unsigned length) const {
    if (load(at - distance) != four) return false;
    if (length < 4) return true;
    return at + length < in_.size() && load(at - distance + length - 3) == load(at + length - 3);
  }
  unsigned common(uint32_t at, uint32_t distance, unsigned most) const {
    const uint8_t* a = in_.data() + at;
    const uint8_t* b = a - distance;
    unsigned length = 4;
    for (; length + 8 <= most; length += 8) {
      const uint64_t difference =
          sdk::load_le<uint64_t>(a + length) ^ sdk::load_le<uint64_t>(b + length);
      if (difference != 0) return length + static_cast<unsigned>(std::countr_zero(difference)) / 8;
    }
    while (length < most && a[length] == b[length])
      ++length;
    return length;
  }

  uint32_t window_;  ///< at most 32768
  uint32_t mask_;
  sdk::ConstBytes in_;
  std::array<uint16_t, 1 << kHashBits> heads_;
  std::array<uint16_t, 1 << kShortHashBits> short_heads_;
  std::vector<uint16_t> previous_;  ///< by position modulo the window
};

}  // namespace instar::zlib
