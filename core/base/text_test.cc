// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/base/checked.hpp"
#include "core/base/hex.hpp"
#include "core/base/strings.hpp"

namespace instar::base {
namespace {

TEST(Checked, TellsAboutOverflow) {
  EXPECT_EQ(checked_add<uint8_t>(200, 55), 255);
  EXPECT_FALSE(checked_add<uint8_t>(200, 56));
  EXPECT_FALSE(checked_sub<uint32_t>(1, 2));
  EXPECT_EQ(checked_sub<int32_t>(1, 2), -1);
  EXPECT_FALSE(checked_mul<uint64_t>(uint64_t{1} << 32, uint64_t{1} << 32));
  EXPECT_EQ(checked_round_up<uint64_t>(513, 512), 1024u);
  EXPECT_EQ(checked_round_up<uint64_t>(512, 512), 512u);
  EXPECT_FALSE(checked_round_up<uint64_t>(UINT64_MAX, 512));
}

TEST(Checked, RangeWithin) {
  EXPECT_TRUE(range_within<uint64_t>(0, 10, 10));
  EXPECT_TRUE(range_within<uint64_t>(10, 0, 10));
  EXPECT_FALSE(range_within<uint64_t>(1, 10, 10));
  EXPECT_FALSE(range_within<uint64_t>(11, 0, 10));
  EXPECT_FALSE(range_within<uint64_t>(1, UINT64_MAX, 10));
}

TEST(Hex, BothWays) {
  const uint8_t bytes[] = {0x00, 0x1f, 0xff};
  EXPECT_EQ(to_hex(bytes), "001fff");
  EXPECT_EQ(*from_hex("001fFF"), (std::vector<uint8_t>{0x00, 0x1f, 0xff}));
  EXPECT_TRUE(from_hex("")->empty());
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
}

TEST(Strings, Numbers) {
  std::string out;
  append_decimal(out, int64_t{-5});
  out += ' ';
  append_decimal(out, UINT64_MAX);
  out += ' ';
  append_hex(out, 0);
  out += ' ';
  append_hex(out, 0x50000);
  out += ' ';
  append_fixed(out, 10.625, 2);
  out += ' ';
  append_fixed(out, 100.0, 2);
  out += ' ';
  append_zero_padded(out, 7, 4);
  EXPECT_EQ(out, "-5 18446744073709551615 0 0x50000 10.62 100.00 0007");
}

TEST(Strings, PaddingCountsBytes) {
  std::string out;
  append_left(out, "é", 4);
  out += '|';
  append_right(out, "ab", 4);
  out += '|';
  append_left(out, "abcdef", 4);
  EXPECT_EQ(out, "é  |  ab|abcdef");
}

TEST(Strings, SplitAndJoin) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(join({}, ", "), "");
}

}  // namespace
}  // namespace instar::base
