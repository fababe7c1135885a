// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkdebug/blkdebug_node.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::blkdebug {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

class Blkdebug : public testing::Test {
 protected:
  Blkdebug() {
    disk_->bytes.resize(1 << 20, 5);
    host_.children["image"] = image_.abi();
  }
  Result<OwnedNode> open(const OptionList& options, uint32_t flags = INSTAR_OPEN_WRITE) {
    return host_.open(FilterTable<BlkdebugNode>::ops(), "x", flags, options);
  }
  std::string error(const OptionList& options, uint32_t flags = 0) {
    const auto opened = open(options, flags);
    return opened ? "" : opened.error().message;
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode image_ = memory_node(disk_);
  FakeHost host_;
};

TEST_F(Blkdebug, ReadsItsNames) {
  EXPECT_EQ(*BlkdebugNode::parse_filename("blkdebug:c:a:b"), R"({"config":"c","x-image":"a:b"})");
  EXPECT_EQ(*BlkdebugNode::parse_filename("blkdebug::a"), R"({"x-image":"a"})");
  EXPECT_EQ(*BlkdebugNode::parse_filename("a"), R"({"x-image":"a"})");
  EXPECT_EQ(BlkdebugNode::parse_filename("blkdebug:a").error().message,
            "blkdebug requires both config file and image path");
}

TEST_F(Blkdebug, RefusesWhatMakesNoSense) {
  EXPECT_EQ(error(OptionList().number("align", 3)), "Cannot meet constraints with align 3");
  EXPECT_EQ(error(OptionList().number("align", 1u << 31)),
            "Cannot meet constraints with align 2147483648");
  EXPECT_EQ(error(OptionList().number("align", 4096).number("max-transfer", 5000)),
            "Cannot meet constraints with max-transfer 5000");
  EXPECT_EQ(error(OptionList().number("opt-discard", 4096).number("max-discard", 5000)),
            "Cannot meet constraints with max-discard 5000");
  EXPECT_EQ(error(OptionList().text("inject-error.foo", "5")),
            "Unused option 'foo' for [inject-error]");
  EXPECT_EQ(error(OptionList().text("inject-error.0.foo", "5")),
            "[inject-error] section doesn't support the option 'foo'");
  EXPECT_EQ(error(OptionList().text("inject-error.1.event", "none")),
            "Unused option '1.event' for [inject-error]");
  EXPECT_EQ(error(OptionList().text("unshare-child-perms.0", "foo")),
            "Parameter 'null' does not accept value 'foo'");
  EXPECT_EQ(error(OptionList().text("take-child-perms.0", "write")), "Block node is read-only");
  EXPECT_EQ(error(OptionList().text("take-child-perms.0", "write"), INSTAR_OPEN_WRITE), "");
}

TEST_F(Blkdebug, FailsWhenItIsTold) {
  auto node = open(OptionList()
                       .text("inject-error.0.event", "read_aio")
                       .text("inject-error.0.errno", "28")
                       .text("inject-error.0.once", "on"));
  ASSERT_TRUE(node);
  const sdk::DebugEvents events(node->ref());
  ASSERT_TRUE(events);
  char data[512];
  ASSERT_TRUE(node->ref().read(quiet_call(), 0, data, sizeof data));
  events.say("read_aio");
  EXPECT_EQ(node->ref().read(quiet_call(), 0, data, sizeof data).error().code, ENOSPC);
  EXPECT_TRUE(node->ref().read(quiet_call(), 0, data, sizeof data));
  EXPECT_EQ(disk_->reads, 2u);
}

TEST_F(Blkdebug, FailsAllKindsOfRequests) {
  auto node = open(OptionList().text("inject-error.event", "none"));
  ASSERT_TRUE(node);
  const auto ref = node->ref();
  char data[512] = {};
  EXPECT_FALSE(ref.read(quiet_call(), 0, data, sizeof data));
  EXPECT_FALSE(ref.write(quiet_call(), 0, data, sizeof data));
  EXPECT_FALSE(ref.write_zeroes(quiet_call(), 0, 512));
  EXPECT_FALSE(ref.discard(quiet_call(), 0, 512));
  EXPECT_FALSE(ref.flush(quiet_call()));
  instar_extent extent;
  EXPECT_TRUE(ref.extents(quiet_call(), 0, 512, &extent, 1));
  EXPECT_EQ(disk_->reads + disk_->writes + disk_->zeroes + disk_->discards + disk_->flushes, 0u);
}

TEST_F(Blkdebug, SetsLimitsAndHidesTheFile) {
  auto node = open(OptionList()
                       .number("align", 4096)
                       .number("max-transfer", 65536)
                       .number("opt-write-zero", 8192)
                       .number("max-discard", 1 << 20));
  ASSERT_TRUE(node);
  const auto limits = *node->ref().limits();
  EXPECT_EQ(limits.request_alignment, 4096u);
  EXPECT_EQ(limits.max_transfer, 65536u);
  EXPECT_EQ(limits.write_zeroes_alignment, 8192u);
  EXPECT_EQ(limits.max_discard, 1u << 20);
  void* self = nullptr;
  EXPECT_EQ(node->ref().interface<void>(INSTAR_RAWFD_ID, &self), nullptr);
  EXPECT_EQ(node->ref().interface<void>("instar.map/1", &self), nullptr);
}

}  // namespace
}  // namespace instar::blkdebug
