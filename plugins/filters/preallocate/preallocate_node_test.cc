// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/preallocate/preallocate_node.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::preallocate {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

class Preallocate : public testing::Test {
 protected:
  Preallocate() {
    disk_->bytes.resize(1000, 5);
    host_.children["file"] = file_.abi();
  }
  Result<OwnedNode> open(const OptionList& options = {}) {
    return host_.open(FilterTable<PreallocateNode>::ops(), "x", INSTAR_OPEN_WRITE, options);
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  FakeHost host_;
};

TEST_F(Preallocate, RefusesWhatMakesNoSense) {
  EXPECT_EQ(open(OptionList().number("prealloc-align", 3)).error().message,
            "prealloc-align parameter of preallocate filter is not aligned to 512");
  EXPECT_FALSE(open(OptionList().number("prealloc-align", 0)));
  EXPECT_FALSE(open(OptionList().number("prealloc-size", UINT64_MAX)));
}

TEST_F(Preallocate, GrowsInStepsAndCutsAtTheEnd) {
  auto node = open(OptionList().number("prealloc-align", 4096).number("prealloc-size", 10000));
  ASSERT_TRUE(node);
  ASSERT_TRUE(node->ref().write(quiet_call(), 500, "ab", 2));
  EXPECT_EQ(disk_->bytes.size(), 1000u);
  ASSERT_TRUE(node->ref().write(quiet_call(), 1000, "ab", 2));
  EXPECT_EQ(disk_->bytes.size(), 12288u);
  EXPECT_EQ(*node->ref().size(), 1002u);
  ASSERT_TRUE(node->ref().write(quiet_call(), 2000, "ab", 2));
  EXPECT_EQ(disk_->zeroes, 1u);
  ASSERT_TRUE(node->close());
  EXPECT_EQ(disk_->bytes.size(), 2002u);
  EXPECT_EQ(disk_->bytes[999], 5);
}

}  // namespace
}  // namespace instar::preallocate
