// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/rbd/waiting.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>

namespace instar::rbd {
namespace {

using sdk::Result;
using Clock = std::chrono::steady_clock;

TEST(RunPatiently, GivesTheResult) {
  const auto result = run_patiently(sdk::Call(nullptr), []() -> Result<int> { return 42; });
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 42);
}

/** As an image that is closed when nobody has it any more: the process may end right after. */
TEST(RunPatiently, KeepsNothingOfWhatItUsed) {
  std::atomic<bool> closed = false;
  std::shared_ptr<void> image(nullptr, [&](void*) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    closed = true;
  });
  const auto result = run_patiently(sdk::Call(nullptr), [image]() -> Result<int> { return 42; });
  ASSERT_TRUE(result);
  EXPECT_EQ(image.use_count(), 1);
  image.reset();
  EXPECT_TRUE(closed);
}

TEST(RunPatiently, LeavesWhatHangs) {
  int32_t wish = 1;
  instar_call abi{};
  abi.cancelled = &wish;
  const auto hung = std::make_shared<std::binary_semaphore>(0);
  const auto start = Clock::now();
  const auto result = run_patiently(sdk::Call(&abi), [hung]() -> Result<int> {
    hung->acquire();
    return 1;
  });
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(1));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ECANCELED);
  hung->release();
}

TEST(RunPatiently, TakesWhatStillComes) {
  int32_t wish = 1;
  instar_call abi{};
  abi.cancelled = &wish;
  const auto result = run_patiently(sdk::Call(&abi), []() -> Result<int> {
    std::this_thread::sleep_for(kLook * 2);
    return 1;
  });
  EXPECT_TRUE(result);
}

}  // namespace
}  // namespace instar::rbd
