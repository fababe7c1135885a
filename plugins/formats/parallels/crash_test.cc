// SPDX-License-Identifier: Apache-2.0
// A power cut at every point of some work: what was flushed is there, and all that is wrong with the
// image is that it was not closed.
#include "plugins/formats/parallels/testing.hpp"

namespace instar::parallels::testing {
namespace {

using sdk::testing::Journal;
using sdk::testing::kSanitized;
using sdk::testing::PowerCut;

constexpr size_t kSectors = kClusters * kCluster / kSector;
constexpr int kSteps = 60;
constexpr int kRounds = kSanitized ? 1 : 4;

/** Every write fills its sectors with its own number, which only grow. */
struct History {
  struct Write {
    size_t events;  ///< of the journal when it began
    uint8_t value;
    bool flushed_by(size_t flush_events) const { return events < flush_events; }
  };
  std::vector<std::vector<Write>> sectors = std::vector<std::vector<Write>>(kSectors);
  std::vector<size_t> flushes;  ///< events of the journal when one had ended

  bool admits(size_t cut, size_t sector, uint8_t found) const {
    size_t flushed = 0;
    for (const size_t events : flushes)
      if (events <= cut) flushed = events;
    uint8_t old = 0;
    for (const Write& write : sectors[sector]) {
      if (write.flushed_by(flushed))
        old = write.value;
      else if (write.events < cut && write.value == found)
        return true;
    }
    return found == old;
  }
};

class ParallelsCrash : public ::testing::TestWithParam<bool> {
 protected:
  ParallelsCrash() {
    EXPECT_TRUE(disk_.create());
    if (!GetParam()) return;
    Header header = disk_.header();
    kMagicSectors.copy(header.magic, sizeof header.magic);
    disk_.set_header(header);
  }
  void work();
  void judge(size_t cut, std::vector<uint8_t> left);

  Disk disk_;
  Journal journal_;
  History history_;
};

void ParallelsCrash::work() {
  disk_.memory->journal = &journal_;
  auto node = disk_.open();
  ASSERT_TRUE(node);
  std::mt19937_64 random(3);
  for (int i = 0; i < kSteps; ++i) {
    if (i % 5 == 4) {
      ASSERT_TRUE(node->ref().flush(quiet_call()));
      history_.flushes.push_back(journal_.events().size());
      continue;
    }
    const size_t begin = random() % kSectors;
    const size_t count = std::min<size_t>(1 + random() % 20, kSectors - begin);
    const auto value = static_cast<uint8_t>(i + 1);
    for (size_t sector = begin; sector < begin + count; ++sector)
      history_.sectors[sector].push_back({journal_.events().size(), value});
    write(*node, begin * kSector, count * kSector, value);
  }
  ASSERT_TRUE(node->close());
  history_.flushes.push_back(journal_.events().size());
  disk_.memory->journal = nullptr;
}

void ParallelsCrash::judge(size_t cut, std::vector<uint8_t> left) {
  Disk disk(std::move(left));
  const auto checked = disk.check();
  ASSERT_EQ(checked.status, 0);
  const bool closed = checked.result.corruptions == 0;
  ASSERT_TRUE(closed || checked.messages.starts_with("ERROR image was not closed correctly\n"));
  ASSERT_LE(checked.result.corruptions, 1) << checked.messages;
  for (const uint32_t flags : {0u, uint32_t{INSTAR_OPEN_WRITE}}) {
    const auto node = disk.open(flags);
    ASSERT_TRUE(node) << node.error().message;
    const auto content = read(*node, 0, kSectors * kSector);
    for (size_t sector = 0; sector < kSectors; ++sector) {
      const uint8_t* bytes = &content[sector * kSector];
      ASSERT_TRUE(std::all_of(bytes, bytes + kSector, [&](uint8_t b) { return b == *bytes; }));
      ASSERT_TRUE(history_.admits(cut, sector, *bytes)) << sector << " reads " << int{*bytes};
    }
    if (flags != 0) write(*node, 7 * kSector, kSector, 99);
  }
  ASSERT_EQ(disk.check().messages, "");
  ASSERT_EQ(read(*disk.open(0), 7 * kSector, kSector), filled(kSector, 99));
}

TEST_P(ParallelsCrash, LosesNothingThatWasFlushed) {
  const auto start = disk_.bytes();
  work();
  ASSERT_FALSE(HasFatalFailure());
  for (int round = 0; round < kRounds; ++round) {
    std::mt19937_64 random(static_cast<uint64_t>(round));
    PowerCut power(journal_, {start});
    for (size_t cut = 0; cut <= journal_.events().size(); ++cut) {
      judge(cut, power.at(cut, random)[0]);
      ASSERT_FALSE(HasFatalFailure()) << "cut at " << cut << ", round " << round;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Entries, ParallelsCrash, ::testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "Sectors" : "Clusters");
});

}  // namespace
}  // namespace instar::parallels::testing
