// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "plugins/formats/qed/image.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::qed {
namespace {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kCluster = 4096;
constexpr uint64_t kL1 = kCluster;
constexpr uint32_t kFix = INSTAR_FIX_LEAKS | INSTAR_FIX_ERRORS;

/** An image with tables of two clusters, of which cluster 0 and 1 are written. */
class Qed : public testing::Test {
 protected:
  Qed() {
    host_.children["file"] = file_.abi();
    const auto options = OptionList()
                             .number("size", 64 * kCluster)
                             .number("cluster_size", kCluster)
                             .number("table_size", 2);
    EXPECT_TRUE(host_.create(FormatTable<Image>::ops(), "disk.qed", options));
    auto node = open(INSTAR_OPEN_WRITE);
    const std::vector<uint8_t> data(2 * kCluster, 'x');
    EXPECT_TRUE(node.ref().write(quiet_call(), 0, data.data(), data.size()));
    EXPECT_TRUE(node.close());
    l2_ = number_at(kL1);
  }
  OwnedNode open(uint32_t flags) {
    auto node = host_.open(FormatTable<Image>::ops(), "disk.qed", flags);
    EXPECT_TRUE(node) << (node ? "" : node.error().message);
    return *std::move(node);
  }
  instar_check_result check(uint32_t fix) {
    auto node = open(INSTAR_OPEN_CHECK | (fix != 0 ? INSTAR_OPEN_WRITE : 0));
    void* self = nullptr;
    const auto* ops = node.ref().interface<instar_check_ops>(INSTAR_CHECK_ID, &self);
    instar_check_result result{};
    EXPECT_EQ(ops->check(self, nullptr, fix, &result, nullptr, nullptr), 0);
    return result;
  }
  uint64_t number_at(size_t offset) const {
    return sdk::load_le<uint64_t>(disk_->bytes.data() + offset);
  }
  void set(size_t offset, uint64_t value) { sdk::store_le(disk_->bytes.data() + offset, value); }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  FakeHost host_;
  uint64_t l2_ = 0;
};

TEST_F(Qed, ASoundImage) {
  const auto result = check(0);
  EXPECT_EQ(result.corruptions, 0);
  EXPECT_EQ(result.leaks, 0);
  EXPECT_EQ(result.allocated_clusters, 2);
  EXPECT_EQ(result.total_clusters, 64);
}

TEST_F(Qed, AClusterThatIsUsedTwiceLeavesTheOtherUnused) {
  set(l2_ + 8, number_at(l2_));
  const auto result = check(0);
  EXPECT_EQ(result.corruptions, 1);
  EXPECT_EQ(result.leaks, 1);
}

TEST_F(Qed, WrongOffsetsAreTakenOut) {
  set(l2_ + 16, uint64_t{1} << 40);
  set(kL1 + 8, 12345);
  EXPECT_EQ(check(0).corruptions, 2);
  EXPECT_EQ(check(kFix).corruptions_fixed, 2);
  EXPECT_EQ(number_at(l2_ + 16), 0u);
  EXPECT_EQ(number_at(kL1 + 8), 0u);
  EXPECT_EQ(check(0).corruptions, 0);
}

TEST_F(Qed, WhoOpensForWritingRepairsWhatWasNotClosed) {
  set(offsetof(Header, features), kFeatureNeedCheck);
  set(l2_ + 16, 77);
  { auto node = open(0); }
  EXPECT_EQ(number_at(l2_ + 16), 77u);
  { auto node = open(INSTAR_OPEN_WRITE); }
  EXPECT_EQ(number_at(l2_ + 16), 0u);
  EXPECT_EQ(number_at(offsetof(Header, features)), 0u);
}

TEST_F(Qed, TablesReachTheFileBeforeWhatRefersToThem) {
  disk_->bytes.clear();
  const auto options = OptionList().number("size", 8 * kCluster).number("cluster_size", kCluster);
  ASSERT_TRUE(host_.create(FormatTable<Image>::ops(), "disk.qed", options));
  auto node = open(INSTAR_OPEN_WRITE);
  ASSERT_TRUE(node.ref().write(quiet_call(), 0, "x", 1));
  EXPECT_EQ(number_at(kL1), 0u);
  const uint64_t flushes = disk_->flushes;
  ASSERT_TRUE(node.ref().flush(quiet_call()));
  EXPECT_NE(number_at(kL1), 0u);
  EXPECT_EQ(disk_->flushes,
            flushes + 3);  // behind the data, behind the L2 table, behind the L1 table
}

}  // namespace
}  // namespace instar::qed
