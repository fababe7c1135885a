// SPDX-License-Identifier: Apache-2.0
#include "core/engine/zero_detect.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace instar::engine {
namespace {

constexpr size_t kSector = 512;

std::vector<uint8_t> pattern(const std::string& sectors) {
  std::vector<uint8_t> bytes(sectors.size() * kSector);
  for (size_t i = 0; i < sectors.size(); ++i)
    if (sectors[i] != '.') bytes[i * kSector + kSector - 1] = 1;
  return bytes;
}

/** Runs in sectors, as text. */
std::string runs_of(const std::string& sectors, uint64_t position, SparseRule rule) {
  const auto bytes = pattern(sectors);
  std::vector<DataRun> runs;
  find_data_runs(bytes.data(), bytes.size(), position * kSector, rule, runs);
  std::string text(sectors.size(), '.');
  for (const auto& run : runs)
    std::fill(text.begin() + static_cast<ptrdiff_t>(run.begin / kSector),
              text.begin() + static_cast<ptrdiff_t>(run.end / kSector), 'x');
  return text;
}

TEST(ZeroDetect, RuleFromOptionAndTarget) {
  EXPECT_EQ(make_sparse_rule(4096, 1).alignment, 4096u);
  EXPECT_EQ(make_sparse_rule(12288, 1).alignment, 8192u);
  EXPECT_EQ(make_sparse_rule(512, 4096).alignment, 4096u);
  EXPECT_EQ(make_sparse_rule(0, 1).alignment, 512u);
}

TEST(ZeroDetect, BlocksOfFourKiB) {
  const auto rule = make_sparse_rule(4096, 1);
  EXPECT_EQ(runs_of("........x...............", 0, rule), "........xxxxxxxx........");
  EXPECT_EQ(runs_of(".......xx.......", 0, rule), "xxxxxxxxxxxxxxxx");
  EXPECT_EQ(runs_of("................", 0, rule), "................");
  EXPECT_EQ(runs_of("x...........", 0, rule), "xxxxxxxx....");
}

TEST(ZeroDetect, ShortGapsAreDataLongOnesAreNot) {
  const SparseRule rule{8 * kSector, kSector};
  EXPECT_EQ(runs_of("x.......x", 0, rule), "xxxxxxxxx");
  EXPECT_EQ(runs_of("x........x", 0, rule), "x........x");
  EXPECT_EQ(runs_of("..x..", 0, rule), "..x..");
}

TEST(ZeroDetect, BufferThatBeginsBetweenBlocks) {
  const auto rule = make_sparse_rule(4096, 1);
  // Sectors 3.. of the image: a block ends after five sectors.
  EXPECT_EQ(runs_of("..x...............", 3, rule), "xxxxx.............");
  EXPECT_EQ(runs_of("......x...........", 3, rule), ".....xxxxxxxx.....");
}

TEST(ZeroDetect, NeverLosesDataAndBothWaysAgree) {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string sectors(1 + random() % 200, '.');
    for (size_t i = 0; i < sectors.size();) {
      const size_t end = std::min<size_t>(i + 1 + random() % 20, sectors.size());
      const char kind = random() % 2 != 0 ? 'x' : '.';
      std::fill(sectors.begin() + static_cast<ptrdiff_t>(i),
                sectors.begin() + static_cast<ptrdiff_t>(end), kind);
      i = end;
    }
    const SparseRule rule = make_sparse_rule((1 + random() % 40) * kSector, 1);
    const uint64_t position = random() % 32;
    const std::string found = runs_of(sectors, position, rule);
    for (size_t i = 0; i < sectors.size(); ++i)
      ASSERT_FALSE(sectors[i] == 'x' && found[i] == '.') << sectors << '\n' << found;
    // Eight sectors before the grid nothing changes but that the buffer goes through the other code.
    const SparseRule grid = make_sparse_rule(8 * kSector, 1);
    const std::string padded = std::string(7, '.') + sectors;
    ASSERT_EQ(runs_of(sectors, 8, grid), runs_of(padded, 1, grid).substr(7)) << sectors;
  }
}

TEST(ZeroDetect, FirstSectors) {
  std::vector<uint8_t> a(100000), b(100000);
  EXPECT_EQ(first_nonzero_sector(a.data(), a.size()), a.size());
  EXPECT_EQ(first_different_sector(a.data(), b.data(), a.size()), a.size());
  for (const size_t at : {0u, 511u, 512u, 16384u, 70001u, 99999u}) {
    a[at] = 1;
    EXPECT_EQ(first_nonzero_sector(a.data(), a.size()), at / 512 * 512);
    EXPECT_EQ(first_different_sector(a.data(), b.data(), a.size()), at / 512 * 512);
    a[at] = 0;
  }
}

}  // namespace
}  // namespace instar::engine
