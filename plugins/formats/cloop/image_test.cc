// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/cloop/image.hpp"

#include <gtest/gtest.h>

#include "sdk/abi/registry.h"
#include "sdk/cpp/testing_damage.hpp"

namespace instar::cloop {
namespace {

using namespace sdk::testing;

constexpr uint32_t kBlock = 4096;
constexpr uint32_t kBlocks = 20;

/** Unpacks two bytes: how many times the second is there, in units of 512. */
struct ToyCodec {
  static sdk::Result<std::unique_ptr<ToyCodec>> open(const instar_codec_params&) {
    return std::make_unique<ToyCodec>();
  }
  static sdk::Result<int64_t> compress(sdk::ConstBytes, sdk::Bytes) { return int64_t{-ENOSPC}; }
  static sdk::Result<int64_t> decompress(sdk::ConstBytes in, sdk::Bytes out) {
    if (in.size() != 2) return sdk::fail(EIO, "not what was packed");
    const size_t n = std::min<size_t>(in[0] * 512u, out.size());
    std::fill_n(out.begin(), n, in[1]);
    return static_cast<int64_t>(n);
  }
  static size_t bound(size_t n) { return n; }
};

const void* find(const instar_host*, instar_call*, uint32_t, const char*) {
  return sdk::CodecTable<ToyCodec>::ops();
}
constexpr instar_registry_ops kRegistry{
    sizeof(instar_registry_ops), 0, &find, nullptr, nullptr, nullptr};

std::vector<uint8_t> make_image() {
  std::vector<uint8_t> bytes(kOffsetsOffset + (kBlocks + 1) * sizeof(uint64_t));
  const Header header{kBlock, kBlocks};
  std::memcpy(&bytes[kHeaderOffset], &header, sizeof header);
  const uint64_t first = bytes.size();
  for (uint32_t i = 0; i <= kBlocks; ++i)
    sdk::store_be(&bytes[kOffsetsOffset + i * sizeof(uint64_t)], first + 2 * i);
  for (uint32_t i = 0; i < kBlocks; ++i)
    bytes.insert(bytes.end(), {uint8_t{kBlock / 512}, static_cast<uint8_t>(i + 1)});
  return bytes;
}

/** An image on a disk in memory. */
struct Disk {
  explicit Disk(std::vector<uint8_t> bytes) {
    memory->bytes = std::move(bytes);
    host.children["file"] = file.abi();
    host.services[INSTAR_REGISTRY_ID] = &kRegistry;
  }
  sdk::Result<OwnedNode> open() { return host.open(sdk::FormatTable<Image>::ops(), "disk.cloop"); }
  std::string error() {
    const auto node = open();
    return node ? "" : node.error().message;
  }
  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(memory);
  FakeHost host;
};

TEST(Cloop, BlocksAreUnpacked) {
  Disk disk(make_image());
  const auto node = disk.open();
  ASSERT_TRUE(node) << node.error().message;
  uint8_t bytes[2];
  ASSERT_TRUE(node->ref().read(quiet_call(), 3 * kBlock - 1, bytes, 2));
  EXPECT_EQ(bytes[0], 3);
  EXPECT_EQ(bytes[1], 4);
}

TEST(Cloop, DefectsAreNamedInQemusWords) {
  const auto verdict = [](size_t offset, uint32_t value) {
    Disk disk(make_image());
    sdk::store_be(&disk.memory->bytes[offset], value);
    return disk.error();
  };
  EXPECT_EQ(verdict(kHeaderOffset, 0), "block_size cannot be zero");
  EXPECT_EQ(verdict(kHeaderOffset, 513), "block_size 513 must be a multiple of 512");
  EXPECT_EQ(verdict(kOffsetsOffset + 16, 1),
            "invalid compressed block size at index 2, image file is corrupt");
  EXPECT_EQ(verdict(kOffsetsOffset + 12, 0),
            "offsets not monotonically increasing at index 1, image file is corrupt");
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const std::vector<uint8_t> sound = make_image();
  std::mt19937_64 random(1);
  int opened = 0;
  const int rounds = damage_rounds(2000);
  for (int round = 0; round < rounds; ++round) {
    Disk disk(sound);
    damage(disk.memory->bytes, random, {kHeaderOffset});
    const auto node = disk.open();
    if (!node) continue;
    ++opened;
    exercise(node->ref(), false, random);
  }
  EXPECT_GT(opened, rounds / 20);
}

}  // namespace
}  // namespace instar::cloop
