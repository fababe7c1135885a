// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/parallels/testing.hpp"

namespace instar::parallels::testing {
namespace {

/** Clusters 0, 1 and 2 have places 1, 2 and 3, full of 1, 2 and 3. */
class ParallelsCheck : public ::testing::Test {
 protected:
  ParallelsCheck() {
    EXPECT_TRUE(disk_.create());
    auto node = disk_.open();
    for (uint8_t i = 0; i < 3; ++i)
      write(*node, i * kCluster, kCluster, i + 1);
    EXPECT_TRUE(node->close());
  }
  template <class Field>
  void set(Field Header::*field, uint64_t value) {
    Header header = disk_.header();
    header.*field = Field(value);
    disk_.set_header(header);
  }
  /** Everything is right after it. */
  void repair(const std::string& messages, int64_t errors, int64_t leaks = 0) {
    const auto repaired = disk_.check(kFixAll);
    EXPECT_EQ(repaired.status, 0);
    EXPECT_EQ(repaired.messages, messages);
    EXPECT_EQ(repaired.result.corruptions_fixed, errors);
    EXPECT_EQ(repaired.result.leaks_fixed, leaks);
    const auto again = disk_.check();
    EXPECT_EQ(again.messages, "");
    EXPECT_EQ(again.result.corruptions + again.result.leaks, 0);
    EXPECT_EQ(disk_.header().in_use, 0u);
  }
  std::vector<uint8_t> content(uint64_t cluster) {
    return read(*disk_.open(0), cluster * kCluster, kCluster);
  }

  Disk disk_;
};

TEST_F(ParallelsCheck, ASoundImage) {
  const auto checked = disk_.check();
  EXPECT_EQ(checked.messages, "");
  EXPECT_EQ(checked.result.corruptions, 0);
  EXPECT_EQ(checked.result.total_clusters, int64_t{kClusters});
  EXPECT_EQ(checked.result.allocated_clusters, 3);
  EXPECT_EQ(checked.result.fragmented_clusters, 0);
  EXPECT_EQ(checked.result.image_end_offset, int64_t{4 * kCluster});
  const auto before = disk_.bytes();
  EXPECT_EQ(disk_.check(kFixAll).messages, "");
  EXPECT_TRUE(disk_.bytes() == before);
}

TEST_F(ParallelsCheck, NotClosed) {
  set(&Header::in_use, kInUse);
  EXPECT_EQ(disk_.check().messages, "ERROR image was not closed correctly\n");
  const auto leaks_only = disk_.check(INSTAR_FIX_LEAKS);
  EXPECT_EQ(leaks_only.result.corruptions, 1);
  EXPECT_EQ(leaks_only.result.corruptions_fixed, 0);
  EXPECT_EQ(disk_.header().in_use, kInUse);
  repair("Repairing image was not closed correctly\n", 1);
}

TEST_F(ParallelsCheck, RepairingLeaksLeavesItNotClosed) {
  set(&Header::in_use, kInUse);
  disk_.bytes().resize(5 * kCluster);
  EXPECT_EQ(disk_.check(INSTAR_FIX_LEAKS).result.leaks_fixed, 1);
  EXPECT_EQ(disk_.bytes().size(), 4 * kCluster);
  EXPECT_EQ(disk_.header().in_use, kInUse);
}

TEST_F(ParallelsCheck, AClusterThatIsNotThere) {
  disk_.set_entry(1, 9);
  disk_.set_entry(7, UINT32_MAX);
  const auto checked = disk_.check();
  EXPECT_EQ(checked.status, 0);
  EXPECT_EQ(checked.messages,
            "ERROR cluster 1 is outside image\nERROR cluster 7 is outside image\n");
  EXPECT_EQ(checked.result.corruptions, 2);
  EXPECT_EQ(checked.result.image_end_offset, int64_t{4 * kCluster});
  repair("Repairing cluster 1 is outside image\nRepairing cluster 7 is outside image\n", 2);
  EXPECT_EQ(content(1), filled(kCluster, 0));
  EXPECT_EQ(content(2), filled(kCluster, 3));
}

TEST_F(ParallelsCheck, AClusterThatIsCutStaysWhenOnlyLeaksAreRepaired) {
  disk_.bytes().resize(3 * kCluster + 100);
  EXPECT_EQ(disk_.check(INSTAR_FIX_LEAKS).messages, "ERROR cluster 2 is outside image\n");
  EXPECT_EQ(disk_.bytes().size(), 3 * kCluster + 100);
  repair(
      "Repairing cluster 2 is outside image\n"
      "Repairing space leaked at the end of the image 512\n",
      1, 1);
}

TEST_F(ParallelsCheck, TheHeaderIsNoPlaceForACluster) {
  Header header = disk_.header();
  kMagicSectors.copy(header.magic, sizeof header.magic);
  disk_.set_header(header);
  for (uint32_t i = 0; i < 3; ++i)
    disk_.set_entry(i, 8 * (i + 1));
  EXPECT_EQ(disk_.check().messages, "");
  header.bat_entries = 500;  // to the end of sector 4
  disk_.set_header(header);
  disk_.set_entry(3, 4);
  EXPECT_EQ(disk_.check().messages, "ERROR cluster 3 is outside image\n");
  repair("Repairing cluster 3 is outside image\n", 1);
}

TEST_F(ParallelsCheck, TwoClustersInOnePlace) {
  disk_.set_entry(5, 2);
  disk_.set_entry(6, 2);
  const auto checked = disk_.check();
  EXPECT_EQ(checked.messages,
            "ERROR duplicate offset in BAT entry 5\nERROR duplicate offset in BAT entry 6\n");
  EXPECT_EQ(checked.result.allocated_clusters, 5);
  EXPECT_EQ(checked.result.fragmented_clusters, 1);
  repair("Repairing duplicate offset in BAT entry 5\nRepairing duplicate offset in BAT entry 6\n",
         2);
  EXPECT_EQ(disk_.entry(5), 4u);
  EXPECT_EQ(disk_.entry(6), 5u);
  EXPECT_EQ(content(1), filled(kCluster, 2));
  EXPECT_EQ(content(5), filled(kCluster, 2));
  EXPECT_EQ(content(6), filled(kCluster, 2));
}

TEST_F(ParallelsCheck, SpaceBehindTheLastCluster) {
  disk_.bytes().resize(6 * kCluster + 1);
  const auto checked = disk_.check();
  EXPECT_EQ(checked.messages, "ERROR space leaked at the end of the image 8704\n");
  EXPECT_EQ(checked.result.leaks, 3);
  EXPECT_EQ(checked.result.corruptions, 0);
  repair("Repairing space leaked at the end of the image 8704\n", 0, 3);
  EXPECT_EQ(disk_.bytes().size(), 4 * kCluster);
}

TEST_F(ParallelsCheck, AWrongBeginningOfTheData) {
  for (const uint64_t wrong : {uint64_t{0}, uint64_t{1}, uint64_t{99999}, uint64_t{UINT32_MAX}}) {
    set(&Header::data_off, wrong);
    EXPECT_EQ(disk_.check().messages, "ERROR data_off field has incorrect value\n") << wrong;
    repair("Repairing data_off field has incorrect value\n", 1);
    EXPECT_EQ(disk_.header().data_off, 8u);
  }
}

TEST_F(ParallelsCheck, ClustersBeforeTheDataMeanThatTheFieldIsWrong) {
  for (const uint64_t wrong : {9, 16, 20, 24}) {
    set(&Header::data_off, wrong);
    EXPECT_EQ(disk_.check().messages, "ERROR data_off field has incorrect value\n") << wrong;
    repair("Repairing data_off field has incorrect value\n", 1);
    for (uint8_t i = 0; i < 3; ++i)
      EXPECT_EQ(content(i), filled(kCluster, i + 1));
  }
}

TEST_F(ParallelsCheck, AnEmptyImageThatIsShorterThanACluster) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  Header header = disk.header();
  kMagicSectors.copy(header.magic, sizeof header.magic);
  header.data_off = 1;
  disk.set_header(header);
  disk.bytes().resize(kSector);
  EXPECT_EQ(disk.check().messages, "");
}

TEST_F(ParallelsCheck, AFileThatEndsBeforeItsTableGrows) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  disk.bytes().resize(70);
  EXPECT_EQ(disk.check(kFixAll).messages, "Repairing data_off field has incorrect value\n");
  EXPECT_EQ(disk.bytes().size(), kCluster);
  EXPECT_EQ(disk.check().messages, "");
}

TEST_F(ParallelsCheck, WhoOpensForWritingRepairsAndSaysSo) {
  set(&Header::in_use, kInUse);
  disk_.set_entry(4, 1);
  const auto before = disk_.bytes();
  { const auto node = disk_.open(0); }
  EXPECT_TRUE(disk_.bytes() == before);
  auto node = disk_.open();
  ASSERT_TRUE(node);
  EXPECT_EQ(disk_.host.warnings,
            (std::vector<std::string>{"Repairing image was not closed correctly",
                                      "Repairing duplicate offset in BAT entry 4"}));
  write(*node, 4 * kCluster, kCluster, 5);
  ASSERT_TRUE(node->close());
  EXPECT_EQ(content(0), filled(kCluster, 1));
  EXPECT_EQ(content(4), filled(kCluster, 5));
  EXPECT_EQ(disk_.check().messages, "");
}

}  // namespace
}  // namespace instar::parallels::testing
