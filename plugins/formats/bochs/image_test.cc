// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/bochs/image.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing_damage.hpp"

namespace instar::bochs {
namespace {

using namespace sdk::testing;

constexpr uint32_t kExtent = 4096;
constexpr uint32_t kExtents = 16;

/** Every second extent is there, with every second sector. */
std::vector<uint8_t> make_image() {
  Header header{};
  std::copy_n("Bochs Virtual HD Image", 22, header.magic);
  std::copy_n("Redolog", 7, header.type);
  std::copy_n("Growing", 7, header.subtype);
  header.version = 0x20000;
  header.header_size = sizeof header;
  header.catalog_entries = kExtents;
  header.bitmap_size = kSector;
  header.extent_size = kExtent;
  sdk::store_le(header.disk_size + 4, uint64_t{kExtents} * kExtent);
  std::vector<uint8_t> bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.resize(bytes.size() + kExtents * sizeof(uint32_t));
  for (uint32_t i = 0; i < kExtents; ++i)
    sdk::store_le(&bytes[sizeof header + i * sizeof(uint32_t)], i % 2 == 0 ? i / 2 : UINT32_MAX);
  for (uint32_t i = 0; i < kExtents / 2; ++i) {
    bytes.insert(bytes.end(), kSector, 0x55);
    bytes.insert(bytes.end(), kExtent, static_cast<uint8_t>(i + 1));
  }
  return bytes;
}

sdk::Result<OwnedNode> open(FakeHost& host) {
  return host.open(sdk::FormatTable<Image>::ops(), "disk.bochs");
}

TEST(Bochs, SectorsAreReadByTheirBits) {
  const auto disk = std::make_shared<MemoryDisk>();
  disk->bytes = make_image();
  const OwnedNode file = memory_node(disk);
  FakeHost host;
  host.children["file"] = file.abi();
  const auto node = open(host);
  ASSERT_TRUE(node) << node.error().message;
  for (uint64_t at = 0; at < uint64_t{kExtents} * kExtent; at += kSector) {
    const bool there = at / kExtent % 2 == 0 && at / kSector % 2 == 0;
    uint8_t sector[kSector];
    ASSERT_TRUE(node->ref().read(quiet_call(), at, sector, kSector));
    ASSERT_EQ(sector[100], there ? at / kExtent / 2 + 1 : 0) << at;
  }
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const std::vector<uint8_t> sound = make_image();
  std::mt19937_64 random(1);
  int opened = 0;
  const int rounds = damage_rounds(2000);
  for (int round = 0; round < rounds; ++round) {
    const auto disk = std::make_shared<MemoryDisk>();
    disk->bytes = sound;
    damage(disk->bytes, random, {64, sizeof(Header)});
    const OwnedNode file = memory_node(disk);
    FakeHost host;
    host.children["file"] = file.abi();
    const auto node = open(host);
    if (!node) continue;
    ++opened;
    exercise(node->ref(), false, random);
  }
  EXPECT_GT(opened, rounds / 20);
}

}  // namespace
}  // namespace instar::bochs
