// SPDX-License-Identifier: Apache-2.0
// Images that are broken at random places: an error or some content, never a crash or a hang.
#include <gtest/gtest.h>

#include <cstring>

#include "plugins/formats/vmdk/image.hpp"
#include "sdk/cpp/testing_damage.hpp"

namespace instar::vmdk {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kGrain = kGrainSectors * kSector;

/** An image on a disk in memory. */
struct Disk {
  Disk() { host.children["file"] = file.abi(); }
  sdk::Result<OwnedNode> open(bool writes) {
    return host.open(sdk::FormatTable<Image>::ops(), "disk.vmdk",
                     writes ? uint32_t{INSTAR_OPEN_WRITE} : 0u);
  }
  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(memory);
  FakeHost host;
};

std::vector<uint8_t> make_image(OptionList options) {
  Disk disk;
  options.number("size", 64 * kGrain);
  const auto created = disk.host.create(sdk::FormatTable<Image>::ops(), "disk.vmdk", options);
  EXPECT_TRUE(created) << created.error().message;
  {
    const auto node = disk.open(true);
    EXPECT_TRUE(node) << node.error().message;
    const std::vector<uint8_t> grains(2 * kGrain, 7);
    EXPECT_TRUE(node->ref().write(quiet_call(), kGrain, grains.data(), grains.size()));
    EXPECT_TRUE(node->ref().write(quiet_call(), 60 * kGrain, grains.data(), grains.size()));
    EXPECT_TRUE(node->ref().write_zeroes(quiet_call(), 2 * kGrain, kGrain));
  }
  return disk.memory->bytes;
}

/** A packed grain is held in memory whole: of none larger than what anybody makes. */
TEST(Damage, PackedGrainsAreOfABoundedSize) {
  Disk disk;
  OptionList options;
  options.number("size", 64 * kGrain).text("subformat", "streamOptimized");
  ASSERT_TRUE(disk.host.create(sdk::FormatTable<Image>::ops(), "disk.vmdk", options));
  const Le<uint64_t> sectors((8u << 20) / kSector);
  std::memcpy(disk.memory->bytes.data() + offsetof(SparseHeader, grain_size), &sectors,
              sizeof sectors);
  const auto node = disk.open(false);
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().message, "Invalid granularity, image may be corrupt");
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const std::vector<uint8_t> seeds[] = {make_image({}),
                                        make_image(OptionList().flag("zeroed_grain", true))};
  // The header, the descriptor, and the two directories with their tables.
  const std::vector<uint64_t> tables = {0, kSector, 21 * kSector, 22 * kSector, 26 * kSector};
  std::mt19937_64 random(1);
  int opened = 0;
  const int rounds = sdk::testing::damage_rounds(1000);
  for (int round = 0; round < rounds; ++round) {
    Disk disk;
    disk.memory->bytes = seeds[round % 2];
    disk.memory->room = 64u << 20;
    sdk::testing::damage(disk.memory->bytes, random, tables);
    const bool writes = random() % 2 == 0;
    const auto node = disk.open(writes);
    if (!node) continue;
    ++opened;
    sdk::testing::exercise(node->ref(), writes, random);
  }
  EXPECT_GT(opened, rounds / 20);
}

}  // namespace
}  // namespace instar::vmdk
