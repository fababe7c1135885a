// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/locks.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugins/protocols/file/file_node.hpp"
#include "plugins/protocols/file/temp_dir.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::file {
namespace {

using sdk::ProtocolTable;
using sdk::testing::FakeHost;
using sdk::testing::OptionList;

constexpr uint32_t kRead = INSTAR_PERMISSION_READ;
constexpr uint32_t kWrite = INSTAR_PERMISSION_WRITE;
constexpr uint32_t kResize = INSTAR_PERMISSION_RESIZE;
constexpr uint32_t kAll = INSTAR_PERMISSION_ALL;

/** One user of the file. Locks of two descriptors exclude each other also inside one process. */
struct User {
  User(const TempDir& dir, Locking locking = Locking::kOn)
      : fd(::open(dir.path("disk").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
        locks(fd.get(), "disk", locking) {}
  std::string set(uint32_t used, uint32_t shared) {
    const auto result = locks.set({used, shared});
    if (result) return "";
    EXPECT_EQ(result.error().code, EAGAIN);
    EXPECT_EQ(result.error().hint, "Is another process using the image [disk]?");
    return result.error().message;
  }
  Descriptor fd;
  ImageLocks locks;
};

TEST(ImageLocks, KeepOthersOut) {
  const TempDir dir;
  User one(dir), two(dir);
  EXPECT_EQ(one.set(kRead | kWrite | kResize, kAll & ~kWrite & ~kResize), "");
  EXPECT_EQ(two.set(kRead, kAll), "");
  EXPECT_EQ(two.set(kRead, kAll & ~kWrite), "Failed to get shared \"write\" lock");
  EXPECT_EQ(two.set(kRead, kAll & ~kResize), "Failed to get shared \"resize\" lock");
  EXPECT_EQ(two.set(kRead | kWrite, kAll), "Failed to get \"write\" lock");
  EXPECT_EQ(two.set(kRead | kResize, kAll), "Failed to get \"resize\" lock");
  // A refused change left nothing behind.
  User three(dir);
  EXPECT_EQ(one.set(kRead, kAll), "");
  EXPECT_EQ(three.set(kRead | kWrite | kResize, kAll & ~kWrite & ~kResize), "");
}

TEST(ImageLocks, NameWhoIsInTheWay) {
  const TempDir dir;
  User one(dir);
  ASSERT_EQ(one.set(kWrite, kAll & ~kWrite), "");
  const Descriptor fd(::open(dir.path("disk").c_str(), O_RDWR | O_CLOEXEC));
  const auto refused = ImageLocks(fd.get(), "disk", Locking::kOn, true).set({kWrite, kAll});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().hint,
            "Is another process using the image [disk]?\nHeld by this process itself");

  // A child has the descriptor and thereby the lock.
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::close(pipe_ends[1]);
    (void)!::read(pipe_ends[0], &byte, 1);
    ::_exit(0);
  }
  one.fd = Descriptor();
  const auto other = ImageLocks(fd.get(), "disk", Locking::kOn, true).set({kWrite, kAll});
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  ::waitpid(child, nullptr, 0);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().hint.find(sdk::cat("\nHeld by process ", child, " (")), std::string::npos)
      << other.error().hint;
}

TEST(ImageLocks, LetSharersTogether) {
  const TempDir dir;
  User one(dir), two(dir);
  EXPECT_EQ(one.set(kRead | kWrite, kAll), "");
  EXPECT_EQ(two.set(kRead | kWrite, kAll), "");
  EXPECT_EQ(two.set(kRead, kAll & ~kRead), "Failed to get shared \"consistent read\" lock");
  EXPECT_EQ(one.set(0, kAll), "");
  EXPECT_EQ(two.set(kRead, kAll & ~kRead), "");
  EXPECT_EQ(one.set(kRead, kAll), "Failed to get \"consistent read\" lock");
}

TEST(ImageLocks, GoWithTheDescriptor) {
  const TempDir dir;
  User one(dir);
  {
    User two(dir);
    EXPECT_EQ(two.set(kWrite, 0), "");
    EXPECT_EQ(one.set(kWrite, kAll), "Failed to get \"write\" lock");
  }
  EXPECT_EQ(one.set(kWrite, kAll), "");
}

TEST(ImageLocks, CanBeOff) {
  const TempDir dir;
  User one(dir), two(dir, Locking::kOff);
  EXPECT_EQ(one.set(kWrite, 0), "");
  EXPECT_EQ(two.set(kWrite, 0), "");
}

TEST(ImageLocks, FollowFromTheFlagsOfAnOpen) {
  EXPECT_EQ(permissions_of(0).used, kRead);
  EXPECT_EQ(permissions_of(0).shared, kAll & ~kWrite & ~kResize);
  EXPECT_EQ(permissions_of(INSTAR_OPEN_WRITE).used, kRead | kWrite | kResize);
  EXPECT_EQ(permissions_of(INSTAR_OPEN_FORCE_SHARE).shared, kAll);
  EXPECT_EQ(permissions_of(INSTAR_OPEN_NO_IO | INSTAR_OPEN_FORCE_SHARE).used, 0u);
}

class DriverLocks : public testing::Test {
 protected:
  auto open(uint32_t flags, const OptionList& options = {}) {
    return host_.open(ProtocolTable<FileDriver>::ops(), path_, flags, options);
  }
  TempDir dir_;
  FakeHost host_;
  std::string path_ = dir_.make("disk", "0123456789");
};

TEST_F(DriverLocks, AreTakenByOpen) {
  const auto writer = open(INSTAR_OPEN_WRITE);
  ASSERT_TRUE(writer);
  const auto reader = open(0);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().message, "Failed to get shared \"write\" lock");
  EXPECT_EQ(reader.error().hint, "Is another process using the image [" + path_ + "]?");
  EXPECT_EQ(open(INSTAR_OPEN_WRITE).error().message, "Failed to get \"write\" lock");
  EXPECT_TRUE(open(INSTAR_OPEN_FORCE_SHARE));
  EXPECT_TRUE(open(0, OptionList().text("locking", "off")));
}

TEST_F(DriverLocks, AreLeftToTheHostThatAsks) {
  const auto writer = open(INSTAR_OPEN_WRITE | INSTAR_OPEN_DEFER_LOCKS);
  const auto reader = open(0);
  ASSERT_TRUE(writer && reader);
  void* self = nullptr;
  const auto* ops = writer->ref().interface<instar_permissions_ops>(INSTAR_PERMISSIONS_ID, &self);
  ASSERT_NE(ops, nullptr);
  EXPECT_EQ(ops->set(self, nullptr, kRead | kWrite, kAll), -EAGAIN);
  EXPECT_EQ(ops->set(self, nullptr, kRead, kAll), 0);
}

TEST_F(DriverLocks, GuardTheContentFromCreate) {
  const auto user = open(0);
  const auto created = host_.create(ProtocolTable<FileDriver>::ops(), path_);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().message, "Failed to get \"write\" lock");
  EXPECT_EQ(dir_.content("disk"), "0123456789");
}

}  // namespace
}  // namespace instar::file
