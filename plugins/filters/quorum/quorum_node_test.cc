// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/quorum/quorum_node.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::quorum {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

class Quorum : public testing::Test {
 protected:
  Quorum() {
    for (int i = 0; i < 3; ++i) {
      disks_[i]->bytes.resize(1 << 20, 5);
      nodes_[i] = memory_node(disks_[i]);
      host_.children["children." + std::to_string(i)] = nodes_[i].abi();
    }
  }
  Result<OwnedNode> open(OptionList options, uint64_t threshold,
                         uint32_t flags = INSTAR_OPEN_WRITE) {
    options.number("vote-threshold", threshold, INSTAR_OPTION_NUMBER);
    return host_.open(FilterTable<QuorumNode>::ops(), "x", flags, options);
  }
  std::string error(const OptionList& options, uint64_t threshold, uint32_t flags = 0) {
    const auto opened = open(options, threshold, flags);
    return opened ? "" : opened.error().message;
  }
  static uint8_t byte_at(const OwnedNode& node, uint64_t offset) {
    uint8_t byte = 0;
    EXPECT_TRUE(node.ref().read(quiet_call(), offset, &byte, 1));
    return byte;
  }

  std::shared_ptr<MemoryDisk> disks_[3] = {std::make_shared<MemoryDisk>(),
                                           std::make_shared<MemoryDisk>(),
                                           std::make_shared<MemoryDisk>()};
  OwnedNode nodes_[3];
  FakeHost host_;
};

TEST_F(Quorum, RefusesWhatMakesNoSense) {
  EXPECT_EQ(error({}, 0), "Parameter 'vote-threshold' expects a value >= 1");
  EXPECT_EQ(error({}, 4), "threshold may not exceed children count");
  EXPECT_EQ(error(OptionList().text("read-pattern", "x"), 1),
            "Please set read-pattern as fifo or quorum");
  EXPECT_EQ(error(OptionList().flag("blkverify", true), 2),
            "blkverify=on can only be set if there are exactly two files and vote-threshold is 2");
  EXPECT_EQ(error(OptionList().flag("rewrite-corrupted", true), 2), "Block node is read-only");
  host_.children.erase("children.2");
  EXPECT_EQ(error(OptionList().flag("blkverify", true).flag("rewrite-corrupted", true), 2),
            "rewrite-corrupted=on cannot be used with blkverify=on");
  disks_[1]->bytes.resize(1 << 19);
  EXPECT_NE(error({}, 2), "");
  host_.children.clear();
  EXPECT_EQ(error({}, 1), "Number of provided children must be 1 or more");
}

TEST_F(Quorum, TheMajorityDecides) {
  disks_[0]->bytes[1000] = 6;
  EXPECT_EQ(byte_at(*open({}, 2), 1000), 5);
  uint8_t byte = 0;
  EXPECT_EQ(open({}, 3)->ref().read(quiet_call(), 1000, &byte, 1).error().code, EIO);
  EXPECT_EQ(byte_at(*open({}, 3), 1001), 5);
  EXPECT_EQ(byte_at(*open(OptionList().text("read-pattern", "fifo"), 3), 1000), 6);
  EXPECT_EQ(disks_[0]->bytes[1000], 6);
}

TEST_F(Quorum, RepairsTheMinority) {
  disks_[0]->bytes[1000] = 6;
  EXPECT_EQ(byte_at(*open(OptionList().flag("rewrite-corrupted", true), 2), 1000), 5);
  EXPECT_EQ(disks_[0]->bytes[1000], 5);
}

TEST_F(Quorum, LivesWithAsManyErrorsAsItMay) {
  auto two = open({}, 2);
  disks_[0]->fail_with = ENOSPC;
  EXPECT_EQ(byte_at(*two, 0), 5);
  EXPECT_TRUE(two->ref().write(quiet_call(), 0, "a", 1));
  EXPECT_TRUE(two->ref().flush(quiet_call()));
  disks_[1]->fail_with = ENOSPC;
  uint8_t byte = 0;
  EXPECT_EQ(two->ref().read(quiet_call(), 0, &byte, 1).error().code, ENOSPC);
  EXPECT_EQ(two->ref().write_zeroes(quiet_call(), 0, 512).error().code, ENOSPC);
  EXPECT_EQ(disks_[2]->bytes[0], 0);
}

TEST_F(Quorum, IsZeroWhereAllAre) {
  for (auto& disk : disks_)
    std::fill_n(disk->bytes.begin(), 4096, uint8_t{0});
  disks_[1]->bytes[600] = 1;
  auto node = open({}, 2);
  instar_extent extent;
  ASSERT_TRUE(node->ref().extents(quiet_call(), 0, 1 << 20, &extent, 1));
  EXPECT_EQ(extent.length, 512u);
  EXPECT_NE(extent.flags & INSTAR_EXTENT_ZERO, 0u);
  ASSERT_TRUE(node->ref().extents(quiet_call(), 512, 4096, &extent, 1));
  EXPECT_NE(extent.flags & INSTAR_EXTENT_DATA, 0u);
}

}  // namespace
}  // namespace instar::quorum
