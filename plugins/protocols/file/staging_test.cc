// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/staging.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "plugins/protocols/file/temp_dir.hpp"
#include "sdk/abi/graph.h"

namespace instar::file {
namespace {

size_t count_files(const TempDir& dir) {
  const auto folder = std::filesystem::directory_iterator(dir.path(""));
  return static_cast<size_t>(std::distance(begin(folder), end(folder)));
}

void fill(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

TEST(Staging, ReplacesAFileAndKeepsItsMode) {
  const TempDir dir;
  const auto path = dir.make("disk", "old");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const auto staged = stage_file(path, 0);
  ASSERT_TRUE(staged) << staged.error().message;
  fill(*staged, "new");
  EXPECT_EQ(dir.content("disk"), "old");
  ASSERT_TRUE(settle_file(*staged, path, INSTAR_SETTLE_DURABLE));
  EXPECT_EQ(dir.content("disk"), "new");
  EXPECT_EQ(dir.status("disk").st_mode & 07777, 0640u);
  EXPECT_EQ(count_files(dir), 1u);
}

TEST(Staging, LeavesWhatIsThereAlone) {
  const TempDir dir;
  const auto path = dir.make("disk", "old");
  const auto refused = stage_file(path, INSTAR_SETTLE_NO_REPLACE);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EEXIST);
  EXPECT_EQ(count_files(dir), 1u);
  // One that comes up meanwhile.
  const auto staged = stage_file(dir.path("other"), INSTAR_SETTLE_NO_REPLACE);
  ASSERT_TRUE(staged);
  dir.make("other", "somebody's");
  const auto settled = settle_file(*staged, dir.path("other"), INSTAR_SETTLE_NO_REPLACE);
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().code, EEXIST);
  EXPECT_EQ(dir.content("other"), "somebody's");
}

TEST(Staging, LinksAndMissingFoldersAreForTheirPlace) {
  const TempDir dir;
  dir.make("disk", "old");
  ASSERT_EQ(::symlink("disk", dir.path("link").c_str()), 0);
  for (const char* name : {"link", "nowhere/disk"}) {
    const auto staged = stage_file(dir.path(name), 0);
    ASSERT_FALSE(staged) << name;
    EXPECT_EQ(staged.error().code, ENOTSUP) << name;
  }
  EXPECT_EQ(stage_file(dir.path("link"), INSTAR_SETTLE_NO_REPLACE).error().code, EEXIST);
  EXPECT_EQ(stage_file(dir.path("nowhere/x"), INSTAR_SETTLE_NO_REPLACE).error().code, ENOENT);
}

TEST(Staging, LongNamesAndNamesWithColons) {
  const TempDir dir;
  const auto path = dir.path(std::string(255, 'n'));
  const auto staged = stage_file(path, 0);
  ASSERT_TRUE(staged) << staged.error().message;
  EXPECT_TRUE(settle_file(*staged, path, 0));
  ASSERT_EQ(::chdir(dir.path("").c_str()), 0);
  const auto beside = stage_file("a:b", 0);
  ASSERT_TRUE(beside);
  EXPECT_TRUE(beside->starts_with("./."));
}

}  // namespace
}  // namespace instar::file
