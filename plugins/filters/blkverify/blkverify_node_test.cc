// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkverify/blkverify_node.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::blkverify {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

class Blkverify : public testing::Test {
 protected:
  Blkverify() {
    raw_->bytes.resize(1 << 20, 5);
    test_->bytes.resize(1 << 20, 5);
    host_.children["raw"] = raw_node_.abi();
    host_.children["test"] = test_node_.abi();
  }
  Result<OwnedNode> open() {
    return host_.open(FilterTable<BlkverifyNode>::ops(), "x", INSTAR_OPEN_WRITE);
  }

  std::shared_ptr<MemoryDisk> raw_ = std::make_shared<MemoryDisk>();
  std::shared_ptr<MemoryDisk> test_ = std::make_shared<MemoryDisk>();
  OwnedNode raw_node_ = memory_node(raw_);
  OwnedNode test_node_ = memory_node(test_);
  FakeHost host_;
};

TEST_F(Blkverify, ReadsItsNames) {
  EXPECT_EQ(*BlkverifyNode::parse_filename("blkverify:r:a:b"), R"({"x-raw":"r","x-image":"a:b"})");
  EXPECT_EQ(*BlkverifyNode::parse_filename("a"), R"({"x-image":"a"})");
  EXPECT_EQ(BlkverifyNode::parse_filename("blkverify:a").error().message,
            "blkverify requires raw copy and original image path");
}

TEST_F(Blkverify, WritesBothAndComparesThem) {
  auto node = open();
  ASSERT_TRUE(node);
  ASSERT_TRUE(node->ref().write(quiet_call(), 10, "ab", 2));
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 512, 512));
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(raw_->bytes, test_->bytes);
  char data[2];
  ASSERT_TRUE(node->ref().read(quiet_call(), 10, data, 2));
  EXPECT_EQ(std::string(data, 2), "ab");
  raw_->bytes[11] = 'c';
  testing::internal::CaptureStderr();
  EXPECT_EQ(node->ref().read(quiet_call(), 10, data, 2).error().code, EIO);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "blkverify: read offset=10 bytes=2 contents mismatch at offset 11\n");
}

TEST_F(Blkverify, ComparesErrors) {
  auto node = open();
  raw_->fail_with = ENOSPC;
  testing::internal::CaptureStderr();
  EXPECT_FALSE(node->ref().write(quiet_call(), 10, "ab", 2));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "blkverify: write offset=10 bytes=2 return value mismatch 0 != -28\n");
  test_->fail_with = ENOSPC;
  testing::internal::CaptureStderr();
  EXPECT_EQ(node->ref().write(quiet_call(), 10, "ab", 2).error().code, ENOSPC);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace instar::blkverify
