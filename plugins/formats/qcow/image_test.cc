// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow/testing.hpp"
#include "sdk/abi/make_empty.h"
#include "sdk/cpp/testing_damage.hpp"

namespace instar::qcow {
namespace {

using namespace testing;
using sdk::testing::Journal;
using sdk::testing::PowerCut;

struct Patch {
  size_t offset;
  size_t width;
  uint64_t value;
};
/** What opening says of a sound image with other numbers in its header. */
std::string verdict(const std::vector<Patch>& patches) {
  Disk disk;
  EXPECT_EQ(disk.create(sized(kSize)), "");
  for (const Patch& patch : patches)
    for (size_t i = 0; i < patch.width; ++i)
      disk.bytes()[patch.offset + i] =
          static_cast<uint8_t>(patch.value >> 8 * (patch.width - 1 - i));
  return disk.open_error();
}

TEST(Header, DefectsAreNamedInQemusWords) {
  EXPECT_EQ(verdict({{0, 4, 1}}), "Image not in qcow format");
  EXPECT_EQ(verdict({{4, 4, 9}}), "qcow (v1) does not support qcow version 9");
  EXPECT_EQ(verdict({{24, 8, 1}}), "Image size is too small (must be at least 2 bytes)");
  for (const uint64_t bits : {8, 17, 255})
    EXPECT_EQ(verdict({{32, 1, bits}}), "Cluster size must be between 512 and 64k");
  for (const uint64_t bits : {5, 14, 255})
    EXPECT_EQ(verdict({{33, 1, bits}}), "L2 table size must be between 512 and 64k");
  EXPECT_EQ(verdict({{36, 4, 2}}), "invalid encryption method in qcow header");
  for (const uint64_t size : {UINT64_MAX, uint64_t{1} << 49})
    EXPECT_EQ(verdict({{24, 8, size}}), "Image too large");
  EXPECT_EQ(verdict({{8, 8, 48}, {16, 4, 1024}}), "Backing file name too long");
  EXPECT_EQ(verdict({{40, 8, INT64_MAX}}), "Input/output error");
  EXPECT_EQ(verdict({{24, 8, 1023}}), "");
  EXPECT_EQ(verdict({{40, 8, uint64_t{1} << 40}}), "");
}

TEST(Header, AnotherVersionIsForAnotherDriver) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  disk.bytes()[7] = 3;
  const auto node = disk.try_open(0);
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().hint, "Try the 'qcow2' driver instead.");
}

TEST(Create, SizesAndOptionsInQemusWords) {
  EXPECT_EQ(Disk().create(sized(0)), "Image size is too small, cannot be zero length");
  EXPECT_EQ(Disk().create(sized(INT64_MAX)), "Image too large");
  EXPECT_EQ(Disk().create(sized(512).text("backing_file", std::string(1024, 'b'))),
            "Backing file name too long");
  EXPECT_EQ(Disk().create(sized(512).flag("encryption", true).text("encrypt.format", "aes")),
            "'encrypt.format' and its alias 'encryption' can't be used at the same time");
  EXPECT_EQ(Disk().create(sized(512).text("encrypt.format", "luks")),
            "Unsupported encryption format");
  EXPECT_EQ(Disk().create(sized(512).flag("encryption", true)),
            "Parameter 'encrypt.key-secret' is required for cipher");
  Disk disk;
  EXPECT_EQ(disk.create(sized(513)), "");
  EXPECT_EQ(*disk.open().ref().size(), 1024u);
  EXPECT_EQ(disk.bytes().size(), 560u);
}

TEST(Clusters, TablesAreWrittenByFlushOnly) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  const auto node = disk.open();
  write(node, 5u << 20, 100, 7);
  EXPECT_EQ(sdk::load_be<uint64_t>(&disk.bytes()[sizeof(Header) + 16]), 0u);
  ASSERT_TRUE(node.ref().flush(quiet_call()));
  EXPECT_NE(sdk::load_be<uint64_t>(&disk.bytes()[sizeof(Header) + 16]), 0u);
  const auto cluster = read(node, 5u << 20, kCluster);
  EXPECT_TRUE(all({cluster.begin(), cluster.begin() + 100}, 7));
  EXPECT_TRUE(all({cluster.begin() + 100, cluster.end()}, 0));
}

TEST(Clusters, OfATableThatIsCutShortAreNotThere) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  disk.bytes().resize(60);
  const auto node = disk.open();
  EXPECT_TRUE(all(read(node, 0, kSize), 0));
  write(node, kSize - 512, 512, 3);
  write(node, 0, 512, 4);
  EXPECT_TRUE(all(read(node, kSize - 512, 512), 3));
  EXPECT_TRUE(all(read(node, 0, 512), 4));
  EXPECT_TRUE(all(read(node, 512, kSize - 1024), 0));
}

TEST(Clusters, ThatAreWrittenInPartKeepWhatIsBelow) {
  Disk disk;
  const auto below = std::make_shared<MemoryDisk>();
  below->bytes.assign(700, 9);  // ends inside a sector
  const OwnedNode base = memory_node(below);
  ASSERT_EQ(disk.create(encrypted().text("backing_file", "base.raw")), "");
  disk.bytes()[32] = 12;  // larger clusters than an overlay has by default
  disk.bytes()[33] = 9;
  disk.host.children["backing"] = base.abi();
  const auto node = disk.open(key("k"));
  write(node, 1024, 512, 5);
  const auto bytes = read(node, 0, kCluster);
  EXPECT_TRUE(all({bytes.begin(), bytes.begin() + 700}, 9));
  EXPECT_TRUE(all({bytes.begin() + 700, bytes.begin() + 1024}, 0));
  EXPECT_TRUE(all({bytes.begin() + 1024, bytes.begin() + 1536}, 5));
  EXPECT_TRUE(all({bytes.begin() + 1536, bytes.end()}, 0));
}

TEST(Clusters, ThatBeginInsideASectorAreBroken) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  write(disk.open(), 0, 2 * kCluster, 1);
  const uint64_t table = sdk::load_be<uint64_t>(&disk.bytes()[sizeof(Header)]);
  disk.bytes()[table + 7] += 1;
  const auto node = disk.open();
  uint8_t byte = 0;
  EXPECT_FALSE(node.ref().read(quiet_call(), 0, &byte, 1));
  EXPECT_FALSE(node.ref().write(quiet_call(), 0, &byte, 1));
  EXPECT_TRUE(all(read(node, kCluster, kCluster), 1));
}

TEST(Packed, ClustersAreReadAndOverwritten) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  {
    const auto node = disk.open();
    write_packed(node, kCluster, 6);
    write_packed(node, 2 * kCluster, 7);
  }
  EXPECT_LT(disk.bytes().size(), 8 * kCluster);
  const auto node = disk.open();
  instar_extent extents[3];
  ASSERT_TRUE(node.ref().extents(quiet_call(), 0, 4 * kCluster, extents, 3));
  EXPECT_EQ(extents[1].flags & (INSTAR_EXTENT_COMPRESSED | INSTAR_EXTENT_OFFSET),
            uint32_t{INSTAR_EXTENT_COMPRESSED});
  write(node, 2 * kCluster + 512, 512, 8);
  const auto bytes = read(node, kCluster, 2 * kCluster);
  EXPECT_TRUE(all({bytes.begin(), bytes.begin() + kCluster}, 6));
  EXPECT_TRUE(all({bytes.begin() + kCluster, bytes.begin() + kCluster + 512}, 7));
  EXPECT_TRUE(all({bytes.begin() + kCluster + 512, bytes.begin() + kCluster + 1024}, 8));
  EXPECT_TRUE(all({bytes.begin() + kCluster + 1024, bytes.end()}, 7));
}

TEST(Packed, OfAnotherLengthCannotBeRead) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  {
    const auto node = disk.open();
    write_packed(node, 0, 6);
  }
  const uint64_t table = sdk::load_be<uint64_t>(&disk.bytes()[sizeof(Header)]);
  sdk::store_be(&disk.bytes()[table], kEntryPacked | uint64_t{11} << 51 | 560);
  uint8_t byte;
  const auto done = disk.open().ref().read(quiet_call(), 0, &byte, 1);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, EIO);
}

TEST(Encrypted, ContentIsNumberedByTheGuestsSectors) {
  Disk disk;
  ASSERT_EQ(disk.create(encrypted()), "");
  {
    const auto node = disk.open(key("k"));
    EXPECT_EQ(node.ref().limits()->request_alignment, 512u);
    write(node, 3 * kCluster + 512, 512, 1);
    write(node, 1u << 20, 100 * kCluster, 2);
    ASSERT_TRUE(node.ref().write_zeroes(quiet_call(), (1u << 20) + 512, 1024));
    void* self = nullptr;
    EXPECT_EQ(node.ref().interface<instar_map_ops>(INSTAR_MAP_ID, &self), nullptr);
    EXPECT_EQ(node.ref().interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &self), nullptr);
  }
  const auto node = disk.open(key("k"));
  EXPECT_TRUE(all(read(node, 3 * kCluster, 512), 0));
  EXPECT_TRUE(all(read(node, 3 * kCluster + 512, 512), 1));
  EXPECT_TRUE(all(read(node, 3 * kCluster + 1024, kCluster - 1024), 0));
  EXPECT_TRUE(all(read(node, 1u << 20, 512), 2));
  EXPECT_TRUE(all(read(node, (1u << 20) + 512, 1024), 0));
  EXPECT_TRUE(all(read(node, (1u << 20) + 1536, 99 * kCluster), 2));
  instar_extent extent;
  ASSERT_TRUE(node.ref().extents(quiet_call(), 1u << 20, kCluster, &extent, 1));
  EXPECT_EQ(extent.flags,
            uint32_t{INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ENCRYPTED});
  EXPECT_FALSE(all(read(disk.open(key("other")), 1u << 20, 512), 2));
}

TEST(Encrypted, OptionsInQemusWords) {
  Disk disk;
  ASSERT_EQ(disk.create(encrypted()), "");
  EXPECT_EQ(disk.open_error(), "Parameter 'encrypt.key-secret' is required for cipher");
  EXPECT_TRUE(disk.try_open(INSTAR_OPEN_NO_IO));
  EXPECT_EQ(disk.open_error(key("k").text("encrypt.format", "luks")),
            "Header reported 'aes' encryption format but options specify 'luks'");
  EXPECT_EQ(disk.open_error(key("k").text("encrypt.*", "foo")), "Parameter 'foo' is unexpected");
  Disk plain;
  ASSERT_EQ(plain.create(sized(kSize)), "");
  EXPECT_EQ(plain.open_error(key("k")), "");
  EXPECT_EQ(plain.open_error(OptionList().text("encrypt.format", "aes")),
            "No encryption in image header, but options specified format 'aes'");
}

TEST(MakeEmpty, LeavesTheHeaderAndAnEmptyTable) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  {
    const auto node = disk.open();
    write(node, 0, kSize, 1);
    void* self = nullptr;
    const auto* ops = node.ref().interface<instar_make_empty_ops>(INSTAR_MAKE_EMPTY_ID, &self);
    ASSERT_NE(ops, nullptr);
    ASSERT_EQ(ops->make_empty(self, nullptr), 0);
    EXPECT_TRUE(all(read(node, 0, kSize), 0));
  }
  EXPECT_EQ(disk.bytes().size(), sizeof(Header) + 4 * sizeof(uint64_t));
  write(disk.open(), kSize / 2, 512, 2);
  const auto node = disk.open();
  EXPECT_TRUE(all(read(node, kSize / 2, 512), 2));
  EXPECT_TRUE(all(read(node, 0, kSize / 2), 0));
}

/** Each cluster has the newest content that was flushed, or a newer one. */
TEST(Crash, WhatWasFlushedIsThere) {
  constexpr uint64_t kClusters = kSize / kCluster;
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  const std::vector<uint8_t> start = disk.bytes();
  Journal journal;
  disk.memory->journal = &journal;
  std::mt19937_64 random(1);
  // What was written, and how many events there were when it was flushed.
  std::vector<std::vector<std::pair<uint8_t, size_t>>> written(kClusters, {{0, 0}});
  {
    const auto node = disk.open();
    for (uint8_t step = 1; step < 60; ++step) {
      const uint64_t cluster = random() % kClusters;
      if (step % 3 == 0)
        write_packed(node, cluster * kCluster, step);
      else
        write(node, cluster * kCluster, kCluster, step);
      written[cluster].push_back({step, SIZE_MAX});
      if (step % 7 != 0) continue;
      ASSERT_TRUE(node.ref().flush(quiet_call()));
      for (auto& states : written)
        for (auto& state : states)
          state.second = std::min(state.second, journal.events().size());
    }
  }
  PowerCut cuts(journal, {start});
  for (size_t cut = 0; cut <= journal.events().size(); ++cut) {
    Disk left;
    left.bytes() = cuts.at(cut, random)[0];
    const auto node = left.try_open(0);
    ASSERT_TRUE(node) << node.error().message;
    for (uint64_t i = 0; i < kClusters; ++i) {
      const auto& states = written[i];
      if (states.size() == 1) continue;
      const auto bytes = read(*node, i * kCluster, kCluster);
      size_t newest = 0;
      while (newest + 1 < states.size() && states[newest + 1].second <= cut)
        ++newest;
      const bool right = std::any_of(states.begin() + static_cast<int64_t>(newest), states.end(),
                                     [&](const auto& state) { return bytes[0] == state.first; });
      ASSERT_TRUE(right) << "cluster " << i << " after event " << cut;
    }
  }
}

TEST(Fuzz, RandomDamageIsHarmless) {
  std::vector<std::vector<uint8_t>> seeds;
  for (const OptionList& options :
       {sized(kSize), encrypted(), sized(kSize).text("backing_file", "base.raw")}) {
    Disk disk;
    ASSERT_EQ(disk.create(options), "");
    {
      const auto node = disk.open(key("k"));
      write(node, 137 * 512, 200 * 1024, 1);
      if (seeds.empty()) write_packed(node, 1u << 20, 6);
      write(node, kSize - 512, 512, 2);
    }
    seeds.push_back(disk.bytes());
  }
  std::mt19937_64 random(1);
  for (int round = sdk::testing::damage_rounds(400); round > 0; --round) {
    Disk disk;
    disk.bytes() = seeds[static_cast<size_t>(round) % seeds.size()];
    sdk::testing::damage(disk.bytes(), random, {0, kCluster, 1024});
    disk.memory->room = 64u << 20;
    const bool writes = random() % 2 == 0;
    const auto node = disk.try_open(writes ? uint32_t{INSTAR_OPEN_WRITE} : 0u, key("k"));
    if (node) sdk::testing::exercise(node->ref(), writes, random);
  }
}

}  // namespace
}  // namespace instar::qcow
