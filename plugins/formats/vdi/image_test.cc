// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vdi/image.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::vdi {
namespace {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kBlocks = 4;

/** A dynamic image of four blocks on a disk in memory. */
class Vdi : public testing::Test {
 protected:
  Vdi() {
    host_.children["file"] = file_.abi();
    const auto options = OptionList().number("size", kBlocks * kBlockSize);
    EXPECT_TRUE(host_.create(FormatTable<Image>::ops(), "disk.vdi", options));
  }
  OwnedNode open() {
    auto node = host_.open(FormatTable<Image>::ops(), "disk.vdi", INSTAR_OPEN_WRITE);
    EXPECT_TRUE(node) << (node ? "" : node.error().message);
    return *std::move(node);
  }
  std::string open_error() {
    const auto node = host_.open(FormatTable<Image>::ops(), "disk.vdi");
    return node ? "" : node.error().message;
  }
  template <class Number>
  void set(size_t offset, Number value) {
    sdk::store_le(disk_->bytes.data() + offset, value);
  }
  uint32_t number_at(size_t offset) const {
    return sdk::load_le<uint32_t>(disk_->bytes.data() + offset);
  }
  uint32_t entry(size_t block) const { return number_at(sizeof(Header) + 4 * block); }
  static void write(const OwnedNode& node, uint64_t offset) {
    ASSERT_TRUE(node.ref().write(quiet_call(), offset, "instar", 6));
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  FakeHost host_;
};

/** Others take the number of blocks for the first free place. */
TEST_F(Vdi, BlocksThatCouldNotBeWrittenAreNotCounted) {
  auto node = open();
  void* self = nullptr;
  const auto* ops = node.ref().interface<instar_map_ops>(INSTAR_MAP_ID, &self);
  instar_placement placed[3];
  for (uint64_t i = 0; i < 3; ++i)
    ASSERT_EQ(ops->prepare_write(self, nullptr, i * kBlockSize, kBlockSize, &placed[i], 1), 1);
  ops->abort_write(self, &placed[0], 1);
  ASSERT_TRUE(file_.ref().write(quiet_call(), placed[1].child_offset, "instar", 6));
  ASSERT_EQ(ops->commit_write(self, nullptr, &placed[1], 1), 0);
  disk_->room = disk_->bytes.size() + kBlockSize;
  EXPECT_EQ(node.ref().write(quiet_call(), 3 * kBlockSize, "instar", 6).error().code, ENOSPC);
  ops->abort_write(self, &placed[2], 1);
  disk_->room = UINT64_MAX;
  ASSERT_TRUE(node.close());
  EXPECT_EQ(entry(0), kUnallocated);
  EXPECT_EQ(entry(1), 0u);
  EXPECT_EQ(number_at(offsetof(Header, blocks_allocated)), 1u);
  EXPECT_EQ(disk_->bytes.size(), 1024u + kBlockSize);
  char text[7] = {};
  ASSERT_TRUE(open().ref().read(quiet_call(), kBlockSize, text, 6));
  EXPECT_STREQ(text, "instar");
}

TEST_F(Vdi, TheMapIsWrittenByFlushOnly) {
  auto node = open();
  write(node, 2 * kBlockSize + 5);
  EXPECT_EQ(entry(2), kUnallocated);
  ASSERT_TRUE(node.ref().flush(quiet_call()));
  EXPECT_EQ(entry(2), 0u);
  EXPECT_EQ(number_at(offsetof(Header, blocks_allocated)), 1u);
}

TEST_F(Vdi, AHeaderThatCountsTooFewBlocksDoesNotMakeTwoShareOne) {
  {
    auto node = open();
    write(node, 0);
  }
  set(offsetof(Header, blocks_allocated), uint32_t{0});
  auto node = open();
  write(node, kBlockSize);
  ASSERT_TRUE(node.close());
  EXPECT_EQ(entry(0), 0u);
  EXPECT_EQ(entry(1), 1u);
  EXPECT_EQ(number_at(offsetof(Header, blocks_allocated)), 2u);
}

TEST_F(Vdi, SpaceOfAnAbortedWriteIsUsedAgain) {
  auto node = open();
  void* self = nullptr;
  const auto* map = node.ref().interface<instar_map_ops>(INSTAR_MAP_ID, &self);
  ASSERT_NE(map, nullptr);
  instar_placement places[2];
  ASSERT_EQ(map->prepare_write(self, nullptr, 0, 2 * kBlockSize, places, 2), 1);
  EXPECT_EQ(places[0].length, 2 * kBlockSize);
  map->abort_write(self, places, 1);
  write(node, 3 * kBlockSize);
  ASSERT_TRUE(node.close());
  EXPECT_EQ(entry(3), 0u);
  EXPECT_EQ(entry(0), kUnallocated);
}

TEST_F(Vdi, TheFileEndsWithItsLastBlock) {
  auto node = open();
  write(node, kBlockSize);
  ASSERT_TRUE(node.close());
  EXPECT_EQ(disk_->bytes.size(), 1024 + kBlockSize);
}

TEST_F(Vdi, BlocksThatNobodyWroteAreZeroes) {
  disk_->bytes.resize(1024 + kBlockSize, 0xaa);  // left over from something else
  auto node = open();
  write(node, 100);
  uint8_t bytes[16];
  ASSERT_TRUE(node.ref().read(quiet_call(), 95, bytes, sizeof bytes));
  EXPECT_EQ(std::string(reinterpret_cast<char*>(bytes), sizeof bytes),
            std::string(5, '\0') + "instar" + std::string(5, '\0'));
}

TEST_F(Vdi, RefusesWhatItCannotRead) {
  set(offsetof(Header, uuid_parent), uint32_t{1});
  EXPECT_EQ(open_error(), "unsupported VDI image (non-NULL parent UUID)");
  set(offsetof(Header, disk_size), uint64_t{kBlocks * kBlockSize + 1});
  EXPECT_EQ(open_error(),
            "unsupported VDI image (disk size 4194816, image bitmap has room for 4194304)");
  set(offsetof(Header, version), uint32_t{0x20003});
  EXPECT_EQ(open_error(), "unsupported VDI image (version 2.3)");
  set(offsetof(Header, signature), uint32_t{0xabc});
  EXPECT_EQ(open_error(), "Image not in VDI format (bad signature 00000abc)");
}

}  // namespace
}  // namespace instar::vdi
