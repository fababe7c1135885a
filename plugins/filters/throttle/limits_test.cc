// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/throttle/limits.hpp"

#include <gtest/gtest.h>

namespace instar::throttle {
namespace {

std::string error(std::string_view json) {
  const auto limits = parse_limits(sdk::JsonObject(json));
  return limits ? "" : limits.error().message;
}

TEST(Limits, AreReadUnderBothNames) {
  const auto limits = parse_limits(sdk::JsonObject(
      R"({"qom-type": "throttle-group", "id": "g", "x-bps-read": "10", "limits.iops-write": "20",
          "x-iops-write-max": "40", "limits.iops-write-max-length": 3, "x-iops-size": "4096"})"));
  ASSERT_TRUE(limits);
  EXPECT_EQ(limits->meters[kBpsRead].rate, 10u);
  EXPECT_EQ(limits->meters[kIopsWrite].rate, 20u);
  EXPECT_EQ(limits->meters[kIopsWrite].burst_rate, 40u);
  EXPECT_EQ(limits->meters[kIopsWrite].burst_length, 3u);
  EXPECT_EQ(limits->request_size, 4096u);
  EXPECT_TRUE(limits->any());
  EXPECT_FALSE(parse_limits(sdk::JsonObject("{}"))->any());
}

TEST(Limits, TheNewerNameWins) {
  const auto limits =
      parse_limits(sdk::JsonObject(R"({"limits.bps-total":"1","x-bps-total":"2"})"));
  EXPECT_EQ(limits->meters[kBpsTotal].rate, 1u);
}

TEST(Limits, RefuseWhatMakesNoSense) {
  EXPECT_EQ(error(R"({"x-bps-total":"5","x-bps-read":"5"})"),
            "bps/iops/max total values and read/write values cannot be used at the same time");
  EXPECT_EQ(error(R"({"x-bps-total":"5","x-bps-read-max":"5"})"),
            "bps_max/iops_max require corresponding bps/iops values");
  EXPECT_EQ(error(R"({"x-bps-total-max":"5"})"),
            "bps_max/iops_max require corresponding bps/iops values");
  EXPECT_EQ(error(R"({"x-bps-total":"1000000000000001"})"),
            "bps/iops/max values must be within [0, 1000000000000000]");
  EXPECT_EQ(error(R"({"x-bps-total":"1000000000000000"})"), "");
  EXPECT_EQ(error(R"({"x-bps-total":"10","x-bps-total-max":"5"})"),
            "bps_max/iops_max cannot be lower than bps/iops");
  EXPECT_EQ(error(R"({"x-bps-read-max-length":"0"})"), "the burst length cannot be 0");
  EXPECT_EQ(error(R"({"x-bps-total":"10","x-bps-total-max-length":"10"})"),
            "burst length set without burst rate");
  EXPECT_EQ(error(R"({"x-bps-read":"10","x-bps-read-max":"1000000000000000",
                      "x-bps-read-max-length":"4294967295"})"),
            "burst length too high for this burst rate");
  EXPECT_EQ(error(R"({"x-iops-size":"5"})"), "iops size requires an iops value to be set");
  EXPECT_EQ(error(R"({"x-iops-size":"5","x-iops-read":"1"})"), "");
  EXPECT_EQ(error(R"({"limits.bps-total":"1M"})"), "Parameter 'limits.bps-total' expects integer");
}

}  // namespace
}  // namespace instar::throttle
