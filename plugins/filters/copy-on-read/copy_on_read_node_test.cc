// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/copy-on-read/copy_on_read_node.hpp"

#include <gtest/gtest.h>

#include <set>

#include "sdk/cpp/testing.hpp"

namespace instar::copy_on_read {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::MemoryDisk;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kCluster = 4096;

/** Has nothing of its own but the clusters that were written. */
struct Overlay : sdk::testing::MemoryNode {
  using MemoryNode::MemoryNode;
  void limits(instar_node_limits& limits) const { limits.cluster_size = kCluster; }
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) {
    take(offset, from.length());
    return MemoryNode::write(call, offset, from, flags);
  }
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length,
                           uint32_t flags) {
    take(offset, length);
    return MemoryNode::write_zeroes(call, offset, length, flags);
  }
  Result<size_t> extents(const sdk::Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t) {
    const uint64_t n = std::min(length, kCluster - offset % kCluster);
    const bool own = owned.contains(offset / kCluster);
    out[0] = {n, 0, own ? INSTAR_EXTENT_DATA | uint32_t{INSTAR_EXTENT_ALLOCATED} : 0u, 0};
    return size_t{1};
  }
  static void take(uint64_t offset, uint64_t length) {
    for (uint64_t at = offset; at < offset + length; at += kCluster)
      owned.insert(at / kCluster);
  }
  static inline std::set<uint64_t> owned;
};

class CopyOnRead : public testing::Test {
 protected:
  CopyOnRead() {
    disk_->bytes.resize(3 * kCluster + 512, 5);
    Overlay::owned.clear();
    instar_node node{};
    sdk::NodeTable<Overlay>::publish(std::make_unique<Overlay>(disk_), &node);
    overlay_ = OwnedNode(node);
    host_.children["file"] = overlay_.abi();
  }
  Result<OwnedNode> open(uint32_t flags = INSTAR_OPEN_WRITE) {
    return host_.open(FilterTable<CopyOnReadNode>::ops(), "x", flags);
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode overlay_;
  FakeHost host_;
};

TEST_F(CopyOnRead, HasToWrite) {
  EXPECT_EQ(open(0).error().message, "Block node is read-only");
}

TEST_F(CopyOnRead, TakesWholeClustersOnce) {
  auto node = open();
  ASSERT_TRUE(node);
  char data[10];
  ASSERT_TRUE(node->ref().read(quiet_call(), kCluster - 5, data, sizeof data));
  EXPECT_EQ(data[9], 5);
  EXPECT_EQ(Overlay::owned, (std::set<uint64_t>{0, 1}));
  const uint64_t writes = disk_->writes;
  ASSERT_TRUE(node->ref().read(quiet_call(), kCluster - 5, data, sizeof data));
  EXPECT_EQ(disk_->writes, writes);
}

TEST_F(CopyOnRead, TakesZeroesAsSuchAndStopsAtTheEnd) {
  std::fill(disk_->bytes.begin() + 3 * kCluster, disk_->bytes.end(), uint8_t{0});
  auto node = open();
  char byte = 1;
  ASSERT_TRUE(node->ref().read(quiet_call(), 3 * kCluster + 511, &byte, 1));
  EXPECT_EQ(byte, 0);
  EXPECT_EQ(disk_->writes, 0u);
  EXPECT_EQ(disk_->zeroes, 1u);
  EXPECT_EQ(disk_->bytes.size(), 3 * kCluster + 512);
}

}  // namespace
}  // namespace instar::copy_on_read
