// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/throttle/group.hpp"

#include <gtest/gtest.h>

namespace instar::throttle {
namespace {

constexpr uint64_t kMiB = 1 << 20;

/** Seconds at which `count` requests, asked for at once, start. */
std::vector<double> starts(Group& group, Direction direction, uint64_t bytes, int count) {
  const auto now = Group::Clock::now();
  std::vector<double> result;
  for (int i = 0; i < count; ++i)
    result.push_back(group.admit(direction, bytes, now).count());
  return result;
}

Limits limit(Meter meter, Limit value) {
  Limits limits;
  limits.meters[meter] = value;
  return limits;
}

// The expected times are those of the genuine tool for the same limits and 2 MiB requests.
TEST(Group, KeepsToTheRate) {
  Group group(limit(kBpsTotal, {2 * kMiB, 0, 1}));
  const auto at = starts(group, Direction::kRead, 2 * kMiB, 4);
  EXPECT_DOUBLE_EQ(at[0], 0);
  EXPECT_NEAR(at[1], 0.9, 1e-6);
  EXPECT_NEAR(at[3], 2.9, 1e-6);
}

TEST(Group, LetsABurstThrough) {
  Group group(limit(kBpsTotal, {2 * kMiB, 4 * kMiB, 1}));
  const auto at = starts(group, Direction::kWrite, 2 * kMiB, 4);
  EXPECT_DOUBLE_EQ(at[2], 0);
  EXPECT_NEAR(at[3], 1.0, 1e-6);
}

TEST(Group, KeepsALongBurstToItsRate) {
  Group group(limit(kBpsTotal, {2 * kMiB, 4 * kMiB, 2}));
  const auto at = starts(group, Direction::kRead, 2 * kMiB, 4);
  EXPECT_NEAR(at[1], 0.4, 1e-6);
  EXPECT_NEAR(at[3], 1.4, 1e-6);
}

TEST(Group, CountsLargeRequestsAsSeveral) {
  auto limits = limit(kIopsTotal, {10, 0, 1});
  limits.request_size = 65536;
  Group group(limits);
  EXPECT_NEAR(starts(group, Direction::kRead, 2 * kMiB, 4)[3], 9.5, 1e-6);
}

TEST(Group, TellsReadsFromWrites) {
  Group group(limit(kIopsRead, {10, 0, 1}));
  EXPECT_NEAR(starts(group, Direction::kRead, 512, 11)[10], 0.9, 1e-6);
  EXPECT_DOUBLE_EQ(starts(group, Direction::kWrite, 512, 11)[10], 0);
}

TEST(Group, LeaksInTime) {
  Group group(limit(kIopsTotal, {10, 0, 1}));
  const auto now = Group::Clock::now();
  for (int i = 0; i < 10; ++i)
    group.admit(Direction::kRead, 1, now);
  const auto later = now + std::chrono::seconds(100);
  EXPECT_DOUBLE_EQ(group.admit(Direction::kRead, 1, later).count(), 0);
  // A clock that is asked out of order does no harm.
  EXPECT_GE(group.admit(Direction::kRead, 1, now).count(), 0);
}

TEST(Group, IsOneForAllOfItsName) {
  const Limits limits;
  const auto one = shared_group("a", limits);
  EXPECT_EQ(one, shared_group("a", limits));
  EXPECT_NE(one, shared_group("b", limits));
}

}  // namespace
}  // namespace instar::throttle
