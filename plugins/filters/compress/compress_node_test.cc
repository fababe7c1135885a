// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/compress/compress_node.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::compress {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

/** Packs blocks of one byte's repetition into that byte. */
struct PackingNode : sdk::testing::MemoryNode {
  using MemoryNode::MemoryNode;
  void limits(instar_node_limits& limits) const { limits.cluster_size = 4096; }
  void info(sdk::JsonWriter& json) const {
    json.begin_object().key("format-specific").begin_object().field("type", "packing");
    json.end_object().end_object();
  }
  Result<int64_t> pack(const sdk::Call&, sdk::ConstBytes block, sdk::Bytes out) {
    for (const uint8_t byte : block)
      if (byte != block[0]) return sdk::fail(ENOSPC, "");
    out[0] = block[0];
    return int64_t{1};
  }
  sdk::Status store(const sdk::Call&, uint64_t offset, size_t length, sdk::ConstBytes packed) {
    stored[offset] = {length, packed[0]};
    return {};
  }
  static inline std::map<uint64_t, std::pair<size_t, uint8_t>> stored;
};

class Compress : public testing::Test {
 protected:
  Compress() {
    disk_->bytes.resize(10000, 5);
    instar_node node{};
    sdk::NodeTable<PackingNode>::publish(std::make_unique<PackingNode>(disk_), &node);
    packing_ = OwnedNode(node);
    PackingNode::stored.clear();
  }
  Result<OwnedNode> open(const OwnedNode& below) {
    host_.children["file"] = below.abi();
    return host_.open(FilterTable<CompressNode>::ops(), "x", INSTAR_OPEN_WRITE);
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode packing_;
  FakeHost host_;
};

TEST_F(Compress, NeedsAFormatThatPacks) {
  const auto plain = memory_node(disk_);
  EXPECT_EQ(open(plain).error().message, "Compression is not supported for underlying format: raw");
  EXPECT_TRUE(open(packing_));
}

TEST_F(Compress, PacksClusters) {
  auto node = open(packing_);
  ASSERT_TRUE(node);
  EXPECT_EQ(node->ref().limits()->request_alignment, 4096u);
  std::vector<uint8_t> data(12288, 7);
  data[5000] = 1;
  ASSERT_TRUE(node->ref().write(quiet_call(), 0, data.data(), data.size()));
  const std::map<uint64_t, std::pair<size_t, uint8_t>> wanted = {{0, {4096, 7}}, {8192, {1808, 7}}};
  EXPECT_EQ(PackingNode::stored, wanted);
  EXPECT_EQ(disk_->bytes[4096], 7);
  EXPECT_EQ(disk_->bytes[5000], 1);
  EXPECT_EQ(disk_->bytes[0], 5);
}

}  // namespace
}  // namespace instar::compress
