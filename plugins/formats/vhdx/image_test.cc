// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/checksum.hpp"
#include "plugins/formats/vhdx/testing.hpp"

namespace instar::vhdx::testing {
namespace {

TEST(Vhdx, ChecksumsAreCrc32c) {
  const auto zeroes = filled(32, 0);
  EXPECT_EQ(checksum_of(zeroes.data(), zeroes.size()), 0x8a9136aau);  // RFC 3720, B.4
}

TEST(Vhdx, TheTableIsWrittenByFlushOnlyThroughTheLog) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  auto node = disk.open();
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(disk.entry(4), 2u);
  write(*node, 4 * kBlock + 512, 512, 7);
  EXPECT_EQ(disk.entry(4), 2u);
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(disk.entry(4), kData | 6);
  EXPECT_EQ(std::string(&disk.bytes()[kMiB], &disk.bytes()[kMiB + 4]), "loge");
  EXPECT_EQ(disk.bytes().size(), kData + kBlock);
  EXPECT_EQ(read(*node, 4 * kBlock, 512), filled(512, 0));
  EXPECT_EQ(read(*node, 4 * kBlock + 512, 512), filled(512, 7));
  const auto log_guid = [&] {
    Disk copy(disk.bytes());
    return Headers::read(quiet_call(), *sdk::HostFile::open(copy.file.ref(), true))
        ->current()
        .log_guid;
  };
  EXPECT_NE(log_guid(), Guid{});
  ASSERT_TRUE(node->close());
  EXPECT_EQ(log_guid(), Guid{});
}

TEST(Vhdx, ZeroesNeedNoSpace) {
  Disk disk;
  ASSERT_TRUE(disk.create(OptionList().flag("block_state_zero", false)));
  auto node = disk.open();
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 0, kBlocks * kBlock, 0));
  ASSERT_TRUE(node->close());
  EXPECT_EQ(disk.bytes().size(), kData);
}

/** What a log holds is there, whether it can be written to the file or not. */
TEST(Vhdx, ALogIsReplayedIntoTheFileOrInMemory) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  std::vector<uint8_t> crashed;
  {
    auto node = disk.open();
    write(*node, kBlock, 512, 7);
    ASSERT_TRUE(node->ref().flush(quiet_call()));
    crashed = disk.bytes();
  }
  std::fill_n(&crashed[kBat], 64, uint8_t{0xdd});  // torn
  Disk in_memory(crashed);
  {
    auto node = in_memory.open(0);
    ASSERT_TRUE(node) << node.error().message;
    EXPECT_EQ(read(*node, kBlock, 512), filled(512, 7));
  }
  EXPECT_EQ(in_memory.bytes(), crashed);
  auto node = in_memory.open();
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(read(*node, kBlock, 512), filled(512, 7));
  EXPECT_EQ(in_memory.entry(1), kData | 6);
}

TEST(Vhdx, ATornLogEntryIsNone) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  auto node = disk.open();
  write(*node, kBlock, 512, 7);
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  Disk crashed(disk.bytes());
  crashed.bytes()[kMiB + 5000] ^= 1;
  sdk::store_le(&crashed.bytes()[kBat + 8], uint64_t{2});
  auto again = crashed.open();
  ASSERT_TRUE(again);
  EXPECT_EQ(read(*again, kBlock, 512), filled(512, 0));
}

TEST(Vhdx, TheCopyOfTheRegionTableWillDo) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  disk.bytes()[kRegionTableOffsets[0] + 9] ^= 1;
  EXPECT_EQ(disk.open_error(), "");
  disk.bytes()[kRegionTableOffsets[1] + 9] ^= 1;
  EXPECT_EQ(disk.open_error(), "Could not open 'disk.vhdx': Invalid argument");
}

TEST(Vhdx, BlocksOutsideOfTheFileAreRefused) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  for (const uint64_t entry : {kMiB | 6, kBat | 6, (100 * kMiB) | 6, ~uint64_t{7} | 6}) {
    sdk::store_le(&disk.bytes()[kBat], entry);
    EXPECT_EQ(disk.open_error(), "Could not open 'disk.vhdx': Invalid argument") << entry;
  }
  sdk::store_le(&disk.bytes()[kBat], uint64_t{4});  // no such state
  auto node = disk.open();
  ASSERT_TRUE(node);
  uint8_t byte = 0;
  EXPECT_EQ(node->ref().read(quiet_call(), 0, &byte, 1).error().code, EIO);
  EXPECT_EQ(node->ref().write(quiet_call(), 0, &byte, 1).error().code, EIO);
}

class Differencing : public ::testing::Test {
 protected:
  Differencing() {
    EXPECT_TRUE(parent_.create());
    {
      auto node = parent_.open();
      write(*node, 0, kBlocks * kBlock, 1);
    }
    parent_node_ = *parent_.open(0);
    EXPECT_TRUE(child_.create());
    make_child(child_, *parent_node_.ref().identity());
    child_.host.children["backing"] = parent_node_.abi();
  }

  /** What is open as the child's parent is the one that is on the disk. */
  void reopen_parent() {
    parent_node_ = *parent_.open(0);
    child_.host.children["backing"] = parent_node_.abi();
  }
  /** As before a commit. Somebody who is going to write to the parent. */
  OwnedNode announce_writer() {
    auto writer = parent_.open();
    const auto child = child_.open();
    EXPECT_TRUE(writer && child);
    void* self = nullptr;
    const auto* ops =
        child->ref().interface<instar_change_backing_ops>(INSTAR_CHANGE_BACKING_ID, &self);
    const std::string next = *writer->ref().next_identity();
    EXPECT_NE(next, *writer->ref().identity());
    EXPECT_EQ(ops->expect_backing(self, nullptr, next.c_str()), 0);
    return *std::move(writer);
  }

  Disk parent_;
  Disk child_;
  OwnedNode parent_node_;
};

TEST_F(Differencing, ShowsItsParentButWhereSectorsAreItsOwn) {
  auto node = child_.open();
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(read(*node, 0, 4096), filled(4096, 1));
  write(*node, kBlock + 9 * 512, 3 * 512, 5);
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(child_.entry(1) & 7, 7u);
  EXPECT_EQ(read(*node, kBlock + 8 * 512, 512), filled(512, 1));
  EXPECT_EQ(read(*node, kBlock + 9 * 512, 1536), filled(1536, 5));
  EXPECT_EQ(read(*node, kBlock + 12 * 512, 8192), filled(8192, 1));
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 0, kBlock, 0));
  EXPECT_EQ(read(*node, 0, kBlock), filled(kBlock, 0));
  write(*node, 2 * kBlock, kBlock, 6);
  ASSERT_TRUE(node->close());
  node = child_.open();
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(child_.entry(0), 2u);
  EXPECT_EQ(child_.entry(2) & 7, 6u);
  EXPECT_EQ(read(*node, kBlock + 8 * 512, 512), filled(512, 1));
  EXPECT_EQ(read(*node, kBlock + 9 * 512, 1536), filled(1536, 5));
  EXPECT_EQ(read(*node, 2 * kBlock, kBlock), filled(kBlock, 6));
  EXPECT_EQ(read(*node, 3 * kBlock, kBlock), filled(kBlock, 1));
}

/** Each time it does not come to its end. */
TEST_F(Differencing, KnowsAParentThatIsCommittedTo) {
  for (uint8_t round = 1; round < 4; ++round) {
    auto writer = announce_writer();
    EXPECT_EQ(child_.open_error(), "");  // nothing was written yet
    write(writer, 0, 512, round);
    EXPECT_EQ(*writer.ref().next_identity(), *writer.ref().identity());
    if (round == 2) {
      EXPECT_TRUE(writer.close());
    }
    reopen_parent();
    EXPECT_EQ(child_.open_error(), "");
  }
  (void)announce_writer();
  auto stranger = parent_.open();
  write(*stranger, 0, 512, 9);
  reopen_parent();
  EXPECT_NE(child_.open_error(), "");
}

TEST_F(Differencing, NotOverAParentThatWasChanged) {
  parent_node_ = OwnedNode();
  {
    auto node = parent_.open();
    write(*node, 0, 512, 2);
  }
  reopen_parent();
  const std::string error = child_.open_error();
  EXPECT_TRUE(error.starts_with("'parent.vhdx' is not the parent of this image, or was changed"))
      << error;
}

TEST_F(Differencing, NotWithoutItsParent) {
  child_.host.children.erase("backing");
  EXPECT_EQ(child_.open_error(), "Could not open 'disk.vhdx': No such file or directory");
}

}  // namespace
}  // namespace instar::vhdx::testing
