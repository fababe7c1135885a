// SPDX-License-Identifier: Apache-2.0
#include "core/engine/pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "core/engine/rate_limit.hpp"

namespace instar::engine {
namespace {

TEST(Workers, AreMoreWhereTheyWaitForANetwork) {
  EXPECT_EQ(choose_workers(3, true).soon, 3u);
  EXPECT_EQ(choose_workers(3, true).most, 3u);
  EXPECT_EQ(choose_workers(100, false).soon, 16u);
  EXPECT_LT(choose_workers(0, true).soon, choose_workers(0, true).most);
  EXPECT_LE(choose_workers(0, false).most, 4u);
}

TEST(Team, GrowsUpToItsLimit) {
  std::atomic<int> entered{0};
  Team* self = nullptr;
  Team team({3, 3}, [&] {
    ++entered;
    for (int i = 0; i < 10; ++i)
      self->grow();
  });
  self = &team;
  team.run();
  EXPECT_EQ(entered, 3);
}

TEST(Team, GrowsFurtherWherePiecesTakeLong) {
  for (const int milliseconds : {0, 10}) {
    std::atomic<int> entered{0};
    Team* self = nullptr;
    Team team({2, 5}, [&] {
      ++entered;
      for (int i = 0; i < 4 && milliseconds > 0; ++i) {
        const Team::Piece piece(*self);
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      }
      for (int i = 0; i < 10; ++i)
        self->grow();
    });
    self = &team;
    team.run();
    EXPECT_EQ(entered, milliseconds == 0 ? 2 : 5);
  }
}

TEST(Team, StaysAloneWithoutNeed) {
  std::atomic<int> entered{0};
  const auto caller = std::this_thread::get_id();
  Team team({8, 8}, [&] {
    ++entered;
    EXPECT_EQ(std::this_thread::get_id(), caller);
  });
  team.run();
  EXPECT_EQ(entered, 1);
}

TEST(Turnstile, KeepsTheOrder) {
  Turnstile stile(true);
  std::atomic<uint64_t> next{0};
  std::vector<uint64_t> order;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&] {
      for (uint64_t ticket = next++; ticket < 600; ticket = next++) {
        Turn turn(stile, ticket);
        if (ticket % 3 == 0) continue;  // passes without waiting
        ASSERT_TRUE(turn.wait());
        order.push_back(ticket);
      }
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(order.size(), 400u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Turnstile, StopWakesWhoWaits) {
  Turnstile stile(true);
  bool went = true;
  std::thread waiting([&] {
    Turn turn(stile, 1);
    went = turn.wait();
  });
  stile.stop();
  waiting.join();
  EXPECT_FALSE(went);
}

TEST(JobError, TheLowestOffsetCounts) {
  JobError error;
  EXPECT_TRUE(error.status());
  error.set(5, Error{EIO, "later"});
  error.set(3, Error{EIO, "first"});
  error.set(4, Error{EIO, "between"});
  EXPECT_EQ(error.status().error().message, "first");
}

TEST(RateLimit, LetsABurstPassAndThenHoldsTheRate) {
  RateLimit limit(10 << 20);
  const sdk::Call call(nullptr);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i)
    limit.take(call, 1 << 20);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(took.count(), 0.25);
}

TEST(RateLimit, EndsEarlyWhenCancelled) {
  RateLimit limit(1);
  instar_call abi{};
  int32_t cancelled = 1;
  abi.struct_size = sizeof abi;
  abi.cancelled = &cancelled;
  limit.take(sdk::Call(&abi), 1 << 20);
  limit.take(sdk::Call(&abi), 1 << 20);  // would take days
}

}  // namespace
}  // namespace instar::engine
