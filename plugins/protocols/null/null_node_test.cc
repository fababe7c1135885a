// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/null/null_node.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "sdk/cpp/testing.hpp"

namespace instar::null {
namespace {

using sdk::ProtocolTable;
using sdk::testing::FakeHost;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;

auto open(const OptionList& options = {}) {
  FakeHost host;
  return host.open(ProtocolTable<NullCo>::ops(), "null-co://", INSTAR_OPEN_WRITE, options);
}

TEST(Null, HasOneGigabyteUnlessToldOtherwise) {
  EXPECT_EQ(*open()->ref().size(), 1ull << 30);
  EXPECT_EQ(*open(OptionList().number("size", 10))->ref().size(), 512u);
}

TEST(Null, RefusesWrongNumbers) {
  const auto minus_one = UINT64_MAX;
  const auto opened = open(OptionList().number("latency-ns", minus_one, INSTAR_OPTION_NUMBER));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "latency-ns is invalid");
  EXPECT_FALSE(open(OptionList().number("size", INT64_MAX)));
}

TEST(Null, TakesOneNameOnly) {
  EXPECT_EQ(*NullCo::parse_filename("null-co://"), "{}");
  EXPECT_EQ(*NullAio::parse_filename("null-aio://"), "{}");
  EXPECT_EQ(NullAio::parse_filename("null-aio:").error().message,
            "The only allowed filename for this driver is 'null-aio://'");
  EXPECT_FALSE(NullCo::parse_filename("null-co://x"));
}

TEST(Null, ForgetsAndReadsZeroes) {
  auto node = open();
  std::vector<uint8_t> data(1000, 7);
  ASSERT_TRUE(node->ref().write(quiet_call(), 5, data.data(), data.size()));
  ASSERT_TRUE(node->ref().read(quiet_call(), 5, data.data(), data.size()));
  EXPECT_TRUE(sdk::is_zero(data.data(), data.size()));
}

TEST(Null, PromisesZeroesOnlyWhenAskedTo) {
  instar_extent extent{};
  ASSERT_EQ(*open()->ref().extents(quiet_call(), 0, 1000, &extent, 1), 1u);
  EXPECT_EQ(extent.length, 1000u);
  EXPECT_EQ(extent.flags, 0u);
  auto zeroes = open(OptionList().flag("read-zeroes", true));
  ASSERT_EQ(*zeroes->ref().extents(quiet_call(), 0, 1000, &extent, 1), 1u);
  EXPECT_EQ(extent.flags,
            uint32_t{INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET});
}

TEST(Null, TakesItsTime) {
  auto node = open(OptionList().number("latency-ns", 20'000'000, INSTAR_OPTION_NUMBER));
  const auto begin = std::chrono::steady_clock::now();
  char byte = 0;
  ASSERT_TRUE(node->ref().read(quiet_call(), 0, &byte, 1));
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(40));
}

}  // namespace
}  // namespace instar::null
