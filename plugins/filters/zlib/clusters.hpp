// SPDX-License-Identifier: Apache-2.0
/** @file clusters.hpp Blocks of many kinds for the tests, made from a seed. */
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace instar::zlib {

/** Makes the n-th block of a series: the same for the same seed and n, on every machine. */
class ClusterMaker {
 public:
  explicit ClusterMaker(uint64_t seed) : seed_(seed) {}

  std::vector<uint8_t> make(uint64_t n) {
    random_.seed(seed_ + n * 0x9e3779b97f4a7c15ULL);
    std::vector<uint8_t> block(pick_size());
    switch (pick(6)) {
      case 0:
        fill_text(block);
        break;
      case 1:
        fill_records(block);
        break;
      case 2:
        fill_random(block, 0, block.size());
        break;
      case 3:
        fill_sparse(block);
        break;
      case 4:
        fill_periodic(block);
        break;
      default:
        fill_copies(block);
        break;
    }
    return block;
  }

 private:
  uint64_t pick(uint64_t below) { return random_() % below; }

  // 512 bytes to 2 MiB, mostly small; half of them not a power of two.
  size_t pick_size() {
    const uint64_t roll = pick(1000);
    const uint64_t top = roll < 600 ? 12 : roll < 900 ? 14 : roll < 995 ? 16 : 21;
    const uint64_t size = uint64_t{512} << pick(top - 8);
    return pick(2) == 0 ? size : size - pick(size / 2);
  }
  void fill_random(std::vector<uint8_t>& block, size_t from, size_t to) {
    for (size_t i = from; i < to; ++i)
      block[i] = static_cast<uint8_t>(random_() >> 11);
  }
  void fill_text(std::vector<uint8_t>& block) {
    const uint64_t words = 20 + pick(2000);
    for (size_t i = 0; i < block.size();) {
      uint64_t word = (pick(words) * pick(words) / words + 1) * 0x2545f4914f6cdd1dULL;
      for (uint64_t length = 2 + word % 9; length > 0 && i < block.size(); --length, word >>= 5)
        block[i++] = static_cast<uint8_t>('a' + (word & 31) % 26);
      if (i < block.size()) block[i++] = pick(12) == 0 ? '\n' : ' ';
    }
  }
  void fill_records(std::vector<uint8_t>& block) {
    const size_t record = 4 + pick(96);
    for (size_t i = 0; i < block.size(); ++i) {
      const size_t field = i % record;
      block[i] = static_cast<uint8_t>(field < 3 ? (i / record) >> (8 * field)
                                                : (pick(8) == 0 ? random_() : field * 37));
    }
  }
  void fill_sparse(std::vector<uint8_t>& block) {
    for (uint64_t islands = pick(12); islands > 0; --islands) {
      const size_t from = pick(block.size());
      fill_random(block, from, from + pick(std::min<uint64_t>(block.size() - from, 300)) + 1);
    }
  }
  // Periods on both sides of every window's size, so that a match too far away would be tempting.
  void fill_periodic(std::vector<uint8_t>& block) {
    static constexpr size_t kPeriods[] = {
        1,    2,    3,    7,    258,  259,  511,  512,   513,   2048,  4093,  4094,  4095, 4096,
        4097, 4098, 4099, 4355, 8191, 8192, 8193, 16384, 32506, 32767, 32768, 32769, 40000};
    const size_t period = pick(3) == 0 ? 1 + pick(40000) : kPeriods[pick(std::size(kPeriods))];
    const size_t first = std::min(period, block.size());
    fill_random(block, 0, first);
    for (size_t i = first; i < block.size(); ++i)
      block[i] = block[i - period];
    for (uint64_t changes = pick(20); changes > 0; --changes)
      block[pick(block.size())] ^= 1;
  }
  // Fresh bytes and copies from distances around 4096, of all lengths that deflate knows.
  void fill_copies(std::vector<uint8_t>& block) {
    for (size_t i = 0; i < block.size();) {
      const size_t left = block.size() - i;
      if (i == 0 || pick(3) == 0) {
        const size_t n = std::min<size_t>(left, 1 + pick(40));
        fill_random(block, i, i + n);
        i += n;
        continue;
      }
      const uint64_t far = pick(4) == 0 ? 1 + pick(32768) : 4096 - 8 + pick(16);
      const size_t distance = std::min<size_t>(i, pick(2) == 0 ? far : 1 + pick(4096));
      for (size_t n = std::min<size_t>(left, 3 + pick(300)); n > 0; --n, ++i)
        block[i] = block[i - distance];
    }
  }

  uint64_t seed_;
  std::mt19937_64 random_;
};

}  // namespace instar::zlib
