// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include "plugins/protocols/file/file_node.hpp"
#include "plugins/protocols/file/temp_dir.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::file {
namespace {

using sdk::ProtocolTable;
using sdk::Status;
using sdk::testing::FakeHost;
using sdk::testing::OptionList;

constexpr uint64_t kMiB = 1 << 20;

template <class D = FileDriver>
Status create(const std::string& path, const OptionList& options) {
  FakeHost host;
  return host.create(ProtocolTable<D>::ops(), path, options);
}

template <class D = FileDriver>
std::string error(const std::string& path, const OptionList& options) {
  const auto created = create<D>(path, options);
  return created ? "" : created.error().message;
}

TEST(FileCreate, MakesASparseFile) {
  const TempDir dir;
  ASSERT_TRUE(create(dir.path("a"), OptionList().number("size", 10 * kMiB)));
  EXPECT_EQ(dir.status("a").st_size, static_cast<off_t>(10 * kMiB));
  EXPECT_LE(dir.status("a").st_blocks, 8);
  ASSERT_TRUE(create("file:" + dir.path("odd"), OptionList().number("size", 1000)));
  EXPECT_EQ(dir.status("odd").st_size, 1024);
}

TEST(FileCreate, EmptiesWhatWasThere) {
  const TempDir dir;
  dir.make("a", std::string(5000, 'x'));
  ASSERT_TRUE(create(dir.path("a"), OptionList().number("size", 4096)));
  EXPECT_EQ(dir.content("a"), std::string(4096, '\0'));
}

TEST(FileCreate, Preallocates) {
  const TempDir dir;
  for (const char* mode : {"falloc", "full"}) {
    ASSERT_TRUE(
        create(dir.path(mode), OptionList().number("size", kMiB).text("preallocation", mode)));
    EXPECT_EQ(dir.status(mode).st_size, static_cast<off_t>(kMiB));
    EXPECT_GE(dir.status(mode).st_blocks, static_cast<blkcnt_t>(kMiB / 512));
  }
  EXPECT_EQ(error(dir.path("b"), OptionList().text("preallocation", "metadata")),
            "Unsupported preallocation mode: metadata");
  EXPECT_EQ(error(dir.path("b"), OptionList().text("preallocation", "bogus")),
            "invalid parameter value: bogus");
}

TEST(FileCreate, LeavesNothingOfAFileThatCouldNotBeMade) {
  const TempDir dir;
  EXPECT_NE(error(dir.path("a"), OptionList().number("size", INT64_MAX - 1023)), "");
  EXPECT_NE(::access(dir.path("a").c_str(), F_OK), 0);
}

TEST(FileCreate, TakesHints) {
  const TempDir dir;
  EXPECT_EQ(error(dir.path("a"), OptionList().flag("nocow", true).number("size", 512)), "");
  EXPECT_EQ(error(dir.path("a"), OptionList().number("extent_size_hint", 0)), "");
  EXPECT_EQ(error(dir.path("a"), OptionList().number("extent_size_hint", 8ull << 30)),
            "Extent size hint is too large");
}

TEST(FileCreate, SaysWhyNot) {
  const TempDir dir;
  const std::string nodir = dir.path("nodir/a");
  EXPECT_EQ(error(nodir, {}), "Could not create '" + nodir + "': No such file or directory");
  EXPECT_EQ(error(dir.path("."), {}), "Could not create '" + dir.path(".") + "': Is a directory");
  const auto huge = create(dir.path("huge"), OptionList().number("size", 1ull << 60));
  EXPECT_EQ(huge.error().code, EFBIG);
  EXPECT_EQ(create(dir.path("huge"), OptionList().number("size", UINT64_MAX)).error().code, EFBIG);
}

TEST(FileCreate, Removes) {
  const TempDir dir;
  dir.make("a", "x");
  EXPECT_TRUE(FileDriver::remove(sdk::Host(), "file:" + dir.path("a")));
  EXPECT_EQ(dir.status("a").st_nlink, 0u);
  EXPECT_EQ(FileDriver::remove(sdk::Host(), dir.path("a")).error().code, ENOENT);
  EXPECT_FALSE(HostDeviceDriver::remove(sdk::Host(), "/dev/null"));
}

TEST(DeviceCreate, ChecksTheDevice) {
  EXPECT_EQ(error<HostDeviceDriver>("/dev/null", OptionList().number("size", 0)), "");
  EXPECT_EQ(error<HostDeviceDriver>("host_device:/dev/null", OptionList().number("size", 512)),
            "Cannot grow device files");
  EXPECT_EQ(error<HostDeviceDriver>("/dev/null", OptionList().text("preallocation", "full")),
            "Unsupported preallocation mode 'full'");
  EXPECT_EQ(error<HostDeviceDriver>("host_device:/nowhere", {}),
            "Protocol driver 'host_device' does not support creating new images, so an existing "
            "image must be selected as the target; however, opening the given target as an "
            "existing image failed: Could not open '/nowhere': No such file or directory");
}

}  // namespace
}  // namespace instar::file
