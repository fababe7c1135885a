// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/parallels/testing.hpp"

namespace instar::parallels::testing {
namespace {

class Parallels : public ::testing::Test {
 protected:
  Parallels() { EXPECT_TRUE(disk_.create()); }
  /** As if Parallels Desktop 2 had made it, data from the sector behind the table on. */
  void make_version_1() {
    Header header = disk_.header();
    kMagicSectors.copy(header.magic, sizeof header.magic);
    header.data_off = 0;
    disk_.set_header(header);
    disk_.bytes().resize(kSector);
  }
  template <class Change>
  std::string error_with(Change change, uint32_t flags = 0) {
    Disk disk(disk_.bytes());
    Header header = disk.header();
    change(header);
    disk.set_header(header);
    return disk.open_error(flags);
  }

  Disk disk_;
};

TEST_F(Parallels, IsMarkedInUseFromTheFirstWriteToTheEnd) {
  auto node = disk_.open();
  ASSERT_TRUE(node);
  EXPECT_EQ(disk_.header().in_use, 0u);
  write(*node, 5 * kCluster, 1, 7);
  EXPECT_EQ(disk_.header().in_use, kInUse);
  EXPECT_EQ(disk_.entry(5), 0u);
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(disk_.entry(5), 1u);
  EXPECT_EQ(disk_.header().in_use, kInUse);
  ASSERT_TRUE(node->close());
  EXPECT_EQ(disk_.header().in_use, 0u);
  EXPECT_EQ(disk_.bytes().size(), 2 * kCluster);
}

TEST_F(Parallels, WhoWritesNothingChangesNothing) {
  const auto before = disk_.bytes();
  ASSERT_TRUE(disk_.open()->close());
  EXPECT_TRUE(disk_.bytes() == before);
}

TEST_F(Parallels, EntriesOfVersion1AreSectors) {
  make_version_1();
  {
    auto node = disk_.open();
    ASSERT_TRUE(node) << node.error().message;
    write(*node, 3 * kCluster, 2 * kCluster, 9);
    EXPECT_EQ(read(*node, 3 * kCluster - 1, 2)[1], 9);
  }
  EXPECT_EQ(disk_.entry(3), 1u);
  EXPECT_EQ(disk_.entry(4), 9u);
  EXPECT_EQ(disk_.header().data_off, 0u);
  EXPECT_EQ(disk_.check().messages, "");
}

TEST_F(Parallels, OnlyHalfOfTheSizeOfVersion1Counts) {
  make_version_1();
  Header header = disk_.header();
  header.nb_sectors = uint64_t{5} << 32 | 8;
  disk_.set_header(header);
  EXPECT_EQ(*disk_.open(0)->ref().size(), 8 * kSector);
}

TEST_F(Parallels, WhatIsLeftBehindTheLastClusterIsZeroedAndCutOff) {
  disk_.bytes().resize(4 * kCluster, 0xaa);
  auto node = disk_.open();
  ASSERT_TRUE(node);
  write(*node, 10, 1, 7);
  EXPECT_EQ(read(*node, 9, 3), (std::vector<uint8_t>{0, 7, 0}));
  ASSERT_TRUE(node->close());
  EXPECT_EQ(disk_.bytes().size(), 2 * kCluster);
}

TEST_F(Parallels, SpaceOfAnAbortedWriteIsUsedAgainAsZeroes) {
  auto node = disk_.open(INSTAR_OPEN_WRITE, OptionList().number("prealloc-size", 8 * kCluster));
  ASSERT_TRUE(node);
  void* self = nullptr;
  const auto* map = node->ref().interface<instar_map_ops>(INSTAR_MAP_ID, &self);
  ASSERT_NE(map, nullptr);
  instar_placement place;
  ASSERT_EQ(map->prepare_write(self, nullptr, 0, 2 * kCluster, &place, 1), 1);
  std::fill_n(&disk_.bytes()[place.child_offset], place.length, uint8_t{0xaa});
  map->abort_write(self, &place, 1);
  write(*node, 9 * kCluster + 1, 1, 7);
  EXPECT_EQ(read(*node, 9 * kCluster, 3), (std::vector<uint8_t>{0, 7, 0}));
  ASSERT_TRUE(node->close());
  EXPECT_EQ(disk_.entry(9), 1u);
  EXPECT_EQ(disk_.bytes().size(), 2 * kCluster);
}

TEST_F(Parallels, GrowsAheadWhenAskedTo) {
  const auto options = OptionList().text("prealloc-mode", "truncate").number("prealloc-size", 1000);
  auto node = disk_.open(INSTAR_OPEN_WRITE, options);
  ASSERT_TRUE(node);
  write(*node, 0, 1, 7);
  EXPECT_EQ(disk_.bytes().size(), 2 * kCluster + kSector);
  ASSERT_TRUE(node->close());
  EXPECT_EQ(disk_.bytes().size(), 2 * kCluster);
  EXPECT_EQ(disk_.open(0, OptionList().text("prealloc-mode", "full")).error().message,
            "invalid parameter value: full");
}

TEST_F(Parallels, TheTableMayBeTooSmallForTheDisk) {
  Header header = disk_.header();
  header.bat_entries = 2;
  disk_.set_header(header);
  auto node = disk_.open();
  ASSERT_TRUE(node);
  write(*node, kCluster, kCluster, 7);
  EXPECT_EQ(read(*node, 5 * kCluster, 10), filled(10, 0));
  const auto refused = node->ref().write(quiet_call(), 2 * kCluster, "x", 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "Cluster 2 of the disk has no entry in the table, which has 2");
  ASSERT_TRUE(node->close());
  EXPECT_EQ(disk_.check().messages, "");
}

TEST_F(Parallels, PreallocatedClustersHaveTheirPlaces) {
  Disk disk;
  ASSERT_TRUE(disk.create(OptionList().text("preallocation", "full")));
  EXPECT_EQ(disk.bytes().size(), (1 + kClusters) * kCluster);
  EXPECT_EQ(disk.entry(0), 1u);
  EXPECT_EQ(disk.entry(kClusters - 1), kClusters);
  EXPECT_EQ(disk.check().result.allocated_clusters, int64_t{kClusters});
  EXPECT_EQ(disk.check().messages, "");
  EXPECT_FALSE(disk.create(OptionList().text("preallocation", "metadata")));
}

TEST_F(Parallels, RefusesWhatItCannotRead) {
  EXPECT_EQ(error_with([](Header& h) { h.magic[0] = 'w'; }), "Image not in Parallels format");
  EXPECT_EQ(error_with([](Header& h) { h.version = 3; }), "Image not in Parallels format");
  EXPECT_EQ(error_with([](Header& h) { h.tracks = 0; }), "Invalid image: Zero sectors per track");
  EXPECT_EQ(error_with([](Header& h) { h.tracks = 4186128; }), "Invalid image: Too big cluster");
  EXPECT_EQ(error_with([](Header& h) { h.bat_entries = 0x20000000; }), "Catalog too large");
  EXPECT_EQ(error_with([](Header& h) { h.ext_off = uint64_t{1} << 54; }),
            "Invalid image: Too big offset");
  EXPECT_EQ(error_with([](Header& h) { h.nb_sectors = UINT64_MAX; }),
            "Could not refresh total sector count: File too large");
}

TEST_F(Parallels, RefusesToMakeWhatCouldNotBeOpened) {
  const auto error_of = [](uint64_t size, uint64_t cluster) {
    Disk disk;
    const auto made =
        disk.host.create(FormatTable<Image>::ops(), "disk.hds",
                         OptionList().number("size", size).number("cluster_size", cluster));
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(error_of(1, uint64_t{4} << 30), "Cluster size is too large");
  EXPECT_EQ(error_of(uint64_t{1} << 40, 512), "Image size is too large for this cluster size");
  EXPECT_EQ(error_of(1, 0), "Image size is too large for this cluster size");
  EXPECT_EQ(error_of(0, 1), "");
}

}  // namespace
}  // namespace instar::parallels::testing
