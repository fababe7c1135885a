// SPDX-License-Identifier: Apache-2.0
#include "core/base/trace.hpp"

#include <gtest/gtest.h>

#include <cstdio>

namespace instar::base {
namespace {

class Trace : public testing::Test {
 protected:
  ~Trace() override { wanted_events = 0; }
  static std::string written(const std::function<void()>& work) {
    testing::internal::CaptureStderr();
    work();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(Trace, IsSilentUntilAsked) {
  EXPECT_EQ(written([] { trace(Event::kNote, "nobody ", "hears"); }), "");
}

TEST_F(Trace, WritesWhatAPatternNames) {
  ASSERT_TRUE(configure_trace("bdrv_*"));
  EXPECT_EQ(written([] {
              trace(Event::kNote, "hidden");
              trace(Event::kRead, "offset ", 5);
            }),
            "bdrv_co_preadv_part offset 5\n");
  ASSERT_TRUE(configure_trace("enable=-bdrv_co_preadv_part"));
  EXPECT_FALSE(trace_enabled(Event::kRead));
  EXPECT_TRUE(trace_enabled(Event::kWrite));
}

TEST_F(Trace, WarnsOfNamesThatNothingHas) {
  EXPECT_EQ(configure_trace("nosuch")->warnings,
            "qemu-img: warning: trace event 'nosuch' does not exist\n");
  EXPECT_EQ(configure_trace("nosuch*")->warnings, "");
  EXPECT_EQ(configure_trace(",")->warnings, "qemu-img: warning: trace event '' does not exist\n");
  EXPECT_EQ(configure_trace("")->warnings, "");
}

TEST_F(Trace, RefusesOtherParameters) {
  EXPECT_EQ(configure_trace("bogus=1").error().message, "qemu-img: Invalid parameter 'bogus'");
  EXPECT_EQ(configure_trace("events=/nonexist").error().message,
            "qemu-img:/nonexist: No such file or directory");
  EXPECT_EQ(configure_trace("file=/nonexist/x").error().message,
            "qemu-img: Error opening logfile /nonexist/x: No such file or directory");
}

TEST_F(Trace, ReadsPatternsFromAFile) {
  const std::string path = testing::TempDir() + "/events";
  FILE* file = fopen(path.c_str(), "w");
  fputs("# some\n\nbdrv_open_common\nnosuch\n", file);
  fclose(file);
  const auto answer = configure_trace("events=" + path);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->warnings,
            "qemu-img:" + path + ":4: warning: trace event 'nosuch' does not exist\n");
  EXPECT_TRUE(trace_enabled(Event::kOpen));
}

TEST_F(Trace, ListsItsEvents) {
  EXPECT_EQ(configure_trace("help")->list.rfind("bdrv_open_common\n", 0), 0u);
  EXPECT_EQ(configure_trace("?")->list, configure_trace("enable=help")->list);
}

}  // namespace
}  // namespace instar::base
