// SPDX-License-Identifier: Apache-2.0
#include "core/loader/search.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/loader/fakes/folder.hpp"

namespace instar::loader {
namespace {

using testing::Folder;

std::vector<std::string> names(const std::vector<FoundManifest>& found) {
  std::vector<std::string> out;
  for (const auto& one : found)
    out.push_back(cat(tier_name(one.tier), " ", one.path));
  return out;
}

std::string named(const std::string& name) {
  return R"({"name": ")" + name + R"(", "version": "1", "provides": []})";
}

TEST(FindManifests, FromLowToHighAndSorted) {
  const Folder system, local, first, second;
  system.write("b.json", named("1"));
  system.write("a.json", named("2"));
  system.write("c.so", "no manifest");
  local.write("z.json", named("3"));
  first.write("y.json", named("4"));
  second.write("x.json", named("5"));
  const SearchPath path{
      system.path(), local.path(), {first.path(), second.path()}, {second.path("x.so")}, ""};
  const auto found = find_manifests(path);
  EXPECT_EQ(names(found),
            (std::vector<std::string>{
                "system " + system.path("a.json"), "system " + system.path("b.json"),
                "local " + local.path("z.json"), "environment " + first.path("y.json"),
                "environment " + second.path("x.json"), "argument " + second.path("x.json")}));
  ASSERT_TRUE(found[0].manifest);
  EXPECT_EQ(found[0].manifest->name, "2");
}

TEST(FindManifests, PassesOverWhatIsNotThere) {
  EXPECT_TRUE(find_manifests({"/nonexistent/folder", "", {"/nonexistent"}, {}, ""}).empty());
  const auto missing = find_manifests({"", "", {}, {"/nonexistent/x.so"}, ""});
  ASSERT_EQ(missing.size(), 1u);
  ASSERT_FALSE(missing[0].manifest);
  EXPECT_NE(missing[0].manifest.error().message.find("/nonexistent/x.json"), std::string::npos);
}

TEST(FindManifests, RootPassesOverAFolderThatOthersCanWrite) {
  const Folder folder;
  folder.write("a.json", named("a"));
  chmod(folder.path().c_str(), 0777);
  const auto found = find_manifests({folder.path(), "", {}, {}, ""});
  ASSERT_EQ(found.size(), 1u);
  if (geteuid() != 0) {
    EXPECT_TRUE(found[0].manifest);
    return;
  }
  EXPECT_EQ(found[0].path, folder.path());
  ASSERT_FALSE(found[0].manifest);
  EXPECT_NE(found[0].manifest.error().message.find(folder.path()), std::string::npos);
}

TEST(FindManifests, AFileThatIsTooLargeIsToldOf) {
  const Folder folder;
  folder.write("a.json", std::string((1 << 20) + 1, ' '));
  const auto found = find_manifests({folder.path(), "", {}, {}, ""});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].manifest);
}

TEST(StandardSearchPath, TakesTheEnvironment) {
  setenv("INSTAR_PLUGIN_PATH", "/a::/b", 1);
  const auto path = standard_search_path({"x.so"});
  unsetenv("INSTAR_PLUGIN_PATH");
  EXPECT_EQ(path.environment, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(path.plugin_files, std::vector<std::string>{"x.so"});
  EXPECT_EQ(path.overlay_folder, "/etc/instar/plugins.d");
  EXPECT_TRUE(path.system_folder.ends_with("/lib/instar/plugins") ||
              path.system_folder.ends_with("/plugins"));
}

TEST(Overlays, DisableAndRank) {
  const Folder folder;
  folder.write("10-off.json", R"({"plugin": "a", "disabled": true})");
  folder.write("20-more.json", R"([{"plugin": "b", "rank": 5}, {"plugin": "/x/c.so"}])");
  folder.write("30-bad.json", R"({"disabled": true})");
  folder.write("40-bad.json", R"({"plugin": "d", "rank": "high"})");
  folder.write("50-bad.json", "{");
  std::vector<std::string> problems;
  const auto overlays = read_overlays({"", "", {}, {}, folder.path()}, problems);
  ASSERT_EQ(overlays.size(), 3u);
  EXPECT_EQ(overlays[0].plugin, "a");
  EXPECT_TRUE(overlays[0].disabled);
  EXPECT_EQ(overlays[1].rank, 5);
  EXPECT_EQ(overlays[2].plugin, "/x/c.so");
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(problems[0], cat("overlay '", folder.path("30-bad.json"), "': lacks \"plugin\""));
}

}  // namespace
}  // namespace instar::loader
