// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/huffman.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace instar::zlib {
namespace {

struct Made {
  std::vector<uint8_t> lengths;
  std::vector<uint16_t> words;
};

Made make(const std::vector<uint32_t>& counts, unsigned max_length) {
  Made made{std::vector<uint8_t>(counts.size()), std::vector<uint16_t>(counts.size())};
  make_code(counts, max_length, made.lengths, made.words);
  return made;
}

// A complete prefix code: no word begins another, and no bit is wasted.
void expect_sound(const std::vector<uint32_t>& counts, const Made& made, unsigned max_length) {
  uint64_t space = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    EXPECT_LE(made.lengths[i], max_length);
    EXPECT_TRUE(counts[i] == 0 || made.lengths[i] > 0);
    if (made.lengths[i] != 0) space += uint64_t{1} << (max_length - made.lengths[i]);
  }
  EXPECT_EQ(space, uint64_t{1} << max_length);
  for (size_t i = 0; i < counts.size(); ++i)
    for (size_t j = 0; j < counts.size(); ++j) {
      if (i == j || made.lengths[i] == 0 || made.lengths[j] < made.lengths[i]) continue;
      const unsigned mask = (1u << made.lengths[i]) - 1;
      EXPECT_NE(made.words[i], made.words[j] & mask) << i << " begins " << j;
    }
}

TEST(Huffman, FewSymbols) {
  for (const unsigned max_length : {7u, 15u})
    for (const std::vector<uint32_t>& counts :
         {std::vector<uint32_t>{0, 0, 0}, {0, 5, 0}, {1, 1, 0}, {9, 0, 1}, {1, 2, 4}})
      expect_sound(counts, make(counts, max_length), max_length);
}

TEST(Huffman, KnownCode) {
  const auto made = make({8, 4, 2, 1, 1}, 15);
  EXPECT_EQ(made.lengths, (std::vector<uint8_t>{1, 2, 3, 4, 4}));
  EXPECT_EQ(made.words, (std::vector<uint16_t>{0, 1, 3, 7, 15}));
}

TEST(Huffman, LongWordsAreCut) {
  std::vector<uint32_t> counts;
  for (uint32_t a = 1, b = 1; counts.size() < 30; b += a, a = b - a)
    counts.push_back(a);
  expect_sound(counts, make(counts, 15), 15);
  counts.resize(19);
  expect_sound(counts, make(counts, 7), 7);
}

TEST(Huffman, RandomCounts) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<uint32_t> counts(2 + random() % 285);
    const unsigned width = 1 + static_cast<unsigned>(random() % 20);
    for (auto& count : counts)
      count = random() % 4 == 0 ? 0 : static_cast<uint32_t>(random() >> (64 - width));
    expect_sound(counts, make(counts, 15), 15);
  }
}

}  // namespace
}  // namespace instar::zlib
