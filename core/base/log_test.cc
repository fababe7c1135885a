// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.hpp"

#include <gtest/gtest.h>

namespace instar::base {
namespace {

TEST(Log, IsSilentUntilAsked) {
  testing::internal::CaptureStderr();
  log_error("nobody ", "hears");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Log, WritesFromTheLevelOn) {
  ASSERT_TRUE(set_log_level("info"));
  testing::internal::CaptureStderr();
  log_debug("hidden");
  log_info("loaded ", 3, " plugins");
  const std::string text = testing::internal::GetCapturedStderr();
  set_log_level(LogLevel::kOff);
  EXPECT_EQ(text.find("hidden"), std::string::npos);
  EXPECT_NE(text.find("info loaded 3 plugins\n"), std::string::npos);
}

TEST(Log, RefusesUnknownLevels) {
  EXPECT_FALSE(set_log_level("loud"));
}

}  // namespace
}  // namespace instar::base
