// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/throttle/throttle_node.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "sdk/cpp/testing.hpp"

namespace instar::throttle {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;
using std::chrono::steady_clock;

class Throttle : public testing::Test {
 protected:
  Throttle() {
    disk_->bytes.resize(1 << 20, 5);
    host_.children["file"] = file_.abi();
  }
  Result<OwnedNode> open(const std::string& properties) {
    host_.objects["g"] = R"({"qom-type":"throttle-group","id":"g")" + properties + "}";
    return host_.open(FilterTable<ThrottleNode>::ops(), "x", INSTAR_OPEN_WRITE,
                      OptionList().text("throttle-group", "g"));
  }
  static double seconds_since(steady_clock::time_point begin) {
    return std::chrono::duration<double>(steady_clock::now() - begin).count();
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  FakeHost host_;
};

TEST_F(Throttle, NeedsItsGroup) {
  const auto* ops = FilterTable<ThrottleNode>::ops();
  EXPECT_EQ(host_.open(ops, "x").error().message, "Please specify a throttle group");
  const auto wanted = OptionList().text("throttle-group", "nobody");
  EXPECT_EQ(host_.open(ops, "x", 0, wanted).error().message,
            "Throttle group 'nobody' does not exist");
  host_.objects["nobody"] = R"({"qom-type":"secret","id":"nobody"})";
  EXPECT_EQ(host_.open(ops, "x", 0, wanted).error().message,
            "Throttle group 'nobody' does not exist");
  EXPECT_EQ(open(R"(,"x-iops-size":"5")").error().message,
            "iops size requires an iops value to be set");
  host_.services.clear();
  EXPECT_FALSE(host_.open(ops, "x", 0, wanted));
}

TEST_F(Throttle, PassesEverythingThrough) {
  auto node = open("");
  ASSERT_TRUE(node);
  EXPECT_EQ(host_.role_of["file"], uint32_t{INSTAR_CHILD_FILTERED});
  const auto ref = node->ref();
  EXPECT_EQ(*ref.size(), 1u << 20);
  EXPECT_NE(ref.limits()->flags & INSTAR_NODE_FILTER, 0u);
  ASSERT_TRUE(ref.write(quiet_call(), 10, "ab", 2));
  char data[2];
  ASSERT_TRUE(ref.read(quiet_call(), 10, data, 2));
  EXPECT_EQ(std::string(data, 2), "ab");
  ASSERT_TRUE(ref.write_zeroes(quiet_call(), 4096, 4096));
  ASSERT_TRUE(ref.discard(quiet_call(), 0, 1));
  ASSERT_TRUE(ref.flush(quiet_call()));
  ASSERT_TRUE(ref.resize(quiet_call(), 2 << 20));
  EXPECT_EQ(*ref.size(), 2u << 20);
  instar_extent extents[2];
  ASSERT_EQ(*ref.extents(quiet_call(), 512, 1 << 20, extents, 2), 2u);
  EXPECT_EQ(extents[1].child_offset, 4096u);
  EXPECT_NE(extents[1].flags & INSTAR_EXTENT_OFFSET, 0u);
  void* self = nullptr;
  EXPECT_EQ(ref.interface<void>(INSTAR_RAWFD_ID, &self), nullptr);
  EXPECT_EQ(ref.interface<void>(INSTAR_MAP_ID, &self), nullptr);
}

TEST_F(Throttle, KeepsToTheRateFromManyThreads) {
  auto node = open(R"(,"limits.iops-total":"100")");
  ASSERT_TRUE(node);
  const auto begin = steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      char data[512];
      for (int j = 0; j < 10; ++j)
        ASSERT_TRUE(node->ref().read(quiet_call(), 0, data, sizeof data));
    });
  for (auto& thread : threads)
    thread.join();
  // 40 requests, 10 of them at once, one more after 0 s.
  EXPECT_GE(seconds_since(begin), 0.25);
  EXPECT_LT(seconds_since(begin), 3);
  EXPECT_EQ(disk_->reads, 40u);
}

TEST_F(Throttle, GivesUpWhenCancelled) {
  auto node = open(R"(,"limits.bps-total":"1")");
  char data[512] = {};
  ASSERT_TRUE(node->ref().write(quiet_call(), 0, data, sizeof data));
  int32_t cancelled = 0;
  instar_call abi{};
  abi.struct_size = sizeof abi;
  abi.cancelled = &cancelled;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    __atomic_store_n(&cancelled, 1, __ATOMIC_RELAXED);
  });
  const auto begin = steady_clock::now();
  const auto result = node->ref().write(sdk::Call(&abi), 0, data, sizeof data);
  canceller.join();
  EXPECT_EQ(result.error().code, ECANCELED);
  EXPECT_LT(seconds_since(begin), 5);
  EXPECT_EQ(disk_->writes, 1u);
}

}  // namespace
}  // namespace instar::throttle
