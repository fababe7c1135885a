// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/watchdog.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sdk/cpp/testing.hpp"

namespace instar::ssh {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WatchdogTest : public testing::Test {
 protected:
  WatchdogTest() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair_), 0); }
  ~WatchdogTest() override {
    ::close(pair_[0]);
    ::close(pair_[1]);
  }
  /** Until the other end is cut off; seconds. */
  double wait_for_end() const {
    const auto begin = Clock::now();
    char byte = 0;
    EXPECT_EQ(::read(pair_[0], &byte, 1), 0);
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  Watchdog dog_;
  int pair_[2] = {};
};

TEST_F(WatchdogTest, CutsOffWhatTakesTooLong) {
  const Watchdog::Watch watch(dog_, sdk::testing::quiet_call(), pair_[0], seconds(1));
  EXPECT_GT(wait_for_end(), 0.8);
  EXPECT_EQ(watch.fired(), ETIMEDOUT);
}

TEST_F(WatchdogTest, CutsOffWhatNobodyWants) {
  int32_t cancelled = 1;
  instar_call abi{};
  abi.struct_size = sizeof abi;
  abi.cancelled = &cancelled;
  const Watchdog::Watch watch(dog_, sdk::Call(&abi), pair_[0], seconds(0));
  EXPECT_LT(wait_for_end(), 1);
  EXPECT_EQ(watch.fired(), ECANCELED);
}

TEST_F(WatchdogTest, WaitsStillForWhatMustNotBeLeftHalf) {
  int32_t cancelled = 1;
  instar_call abi{};
  abi.struct_size = sizeof abi;
  abi.cancelled = &cancelled;
  Watchdog::Watch watch(dog_, sdk::Call(&abi), pair_[0], seconds(0));
  watch.wait_still(milliseconds(600));
  EXPECT_GT(wait_for_end(), 0.5);
  EXPECT_EQ(watch.fired(), ECANCELED);
}

TEST_F(WatchdogTest, LetsBeWhatGoesOn) {
  Watchdog::Watch watch(dog_, sdk::testing::quiet_call(), pair_[0], seconds(1));
  for (int i = 0; i < 4; ++i) {
    std::this_thread::sleep_for(milliseconds(400));
    watch.progress();
  }
  EXPECT_EQ(watch.fired(), 0);
}

TEST_F(WatchdogTest, ForgetsWhatIsOver) {
  { const Watchdog::Watch watch(dog_, sdk::testing::quiet_call(), pair_[0], seconds(1)); }
  const Watchdog::Watch other(dog_, sdk::testing::quiet_call(), pair_[1], seconds(0));
  std::this_thread::sleep_for(milliseconds(1300));
  EXPECT_EQ(::send(pair_[0], "x", 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(other.fired(), 0);
}

}  // namespace
}  // namespace instar::ssh
