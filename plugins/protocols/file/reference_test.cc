// SPDX-License-Identifier: Apache-2.0
// Locks against the genuine qemu-img and qemu-io, in both directions. INSTAR_REFERENCE is a folder
// with bin/qemu-img and bin/qemu-io.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>

#include "plugins/protocols/file/file_node.hpp"
#include "plugins/protocols/file/temp_dir.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::file {
namespace {

using sdk::ProtocolTable;
using sdk::Result;
using sdk::Status;
using sdk::testing::FakeHost;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;

constexpr uint32_t kRead = INSTAR_PERMISSION_READ;
constexpr uint32_t kWrite = INSTAR_PERMISSION_WRITE;
constexpr uint32_t kResize = INSTAR_PERMISSION_RESIZE;
constexpr uint32_t kAll = INSTAR_PERMISSION_ALL;
/** What a format like qcow2 leaves to others. */
constexpr uint32_t kExclusive = kAll & ~kWrite & ~kResize;

/** The genuine tool's path; the test fails without it. */
std::string genuine(const char* tool) {
  const char* folder = std::getenv("INSTAR_REFERENCE");
  if (folder == nullptr || *folder == '\0') {
    ADD_FAILURE() << "the genuine qemu-img is missing: set INSTAR_REFERENCE";
    return "false";
  }
  return std::string(folder) + "/bin/" + tool;
}

/** Output (both streams) of a shell command. */
std::string run(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    out.append(buffer, n);
  ::pclose(pipe);
  return out;
}

/** A qemu-io that has an image open until it is destroyed. */
class Holder {
 public:
  Holder(const TempDir& dir, const std::string& arguments) {
    const std::string answer = dir.path("answer");
    pipe_ =
        ::popen(sdk::cat(genuine("qemu-io"), " ", arguments, " > ", answer, " 2>&1").c_str(), "w");
    std::fputs("read 0 512\n", pipe_);
    std::fflush(pipe_);
    for (int i = 0; i < 100 && dir.content("answer").find("read 512") == std::string::npos; ++i)
      ::usleep(50'000);
    EXPECT_NE(dir.content("answer").find("read 512"), std::string::npos) << dir.content("answer");
  }
  ~Holder() { ::pclose(pipe_); }

 private:
  FILE* pipe_;
};

class Reference : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run(sdk::cat(genuine("qemu-img"), " create -q -f qcow2 ", qcow2_, " 1M")), "");
    ASSERT_EQ(run(sdk::cat(genuine("qemu-img"), " create -q -f raw ", raw_, " 1M")), "");
  }
  /** What a host with these permissions hears; "" = it got in. */
  std::string enter(const std::string& path, uint32_t used, uint32_t shared) {
    const uint32_t write = (used & kWrite) != 0 ? INSTAR_OPEN_WRITE : 0;
    auto node = host_.open(ProtocolTable<FileDriver>::ops(), path, write | INSTAR_OPEN_DEFER_LOCKS);
    if (!node) return node.error().message;
    void* self = nullptr;
    const auto* ops = node->ref().interface<instar_permissions_ops>(INSTAR_PERMISSIONS_ID, &self);
    sdk::OutgoingCall call;
    const int result = ops->set(self, call.abi(), used, shared);
    if (result < 0) return call.error(result).message;
    node_ = std::move(*node);
    return "";
  }
  std::string qemu_img(const std::string& arguments) {
    return run(sdk::cat(genuine("qemu-img"), " ", arguments));
  }
  std::string in_use(const std::string& text, const std::string& path) {
    return sdk::cat("qemu-img: Could not open '", path, "': ", text,
                    "\nIs another process using the image [", path, "]?\n");
  }

  TempDir dir_;
  FakeHost host_;
  OwnedNode node_;
  const std::string qcow2_ = dir_.path("disk.qcow2");
  const std::string raw_ = dir_.path("disk.raw");
};

TEST_F(Reference, ItsWriterKeepsUsOut) {
  const Holder holder(dir_, qcow2_);
  EXPECT_EQ(enter(qcow2_, kRead, kExclusive), "Failed to get shared \"write\" lock");
  EXPECT_EQ(enter(qcow2_, kRead | kWrite | kResize, kExclusive), "Failed to get \"write\" lock");
  EXPECT_EQ(enter(qcow2_, kRead | kWrite, kAll), "Failed to get \"write\" lock");
  EXPECT_EQ(enter(qcow2_, kRead, kAll), "");
  const std::string before = dir_.content("disk.qcow2");
  const auto created = host_.create(ProtocolTable<FileDriver>::ops(), qcow2_);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().message, "Failed to get \"write\" lock");
  EXPECT_EQ(created.error().hint, "Is another process using the image [" + qcow2_ + "]?");
  EXPECT_EQ(dir_.content("disk.qcow2"), before);
}

TEST_F(Reference, ItsReaderKeepsWritersOut) {
  const Holder holder(dir_, "-r " + qcow2_);
  EXPECT_EQ(enter(qcow2_, kRead, kExclusive), "");
  EXPECT_EQ(enter(qcow2_, kRead | kWrite, kExclusive), "Failed to get \"write\" lock");
}

TEST_F(Reference, ItsRawWriterIsSharedUnlessWeForbid) {
  const Holder holder(dir_, "-f raw " + raw_);
  EXPECT_EQ(enter(raw_, kRead, kExclusive), "Failed to get shared \"write\" lock");
  EXPECT_EQ(enter(raw_, kRead | kWrite, kAll), "");
  EXPECT_TRUE(
      host_.create(ProtocolTable<FileDriver>::ops(), raw_, OptionList().number("size", 1 << 20)));
}

TEST_F(Reference, OurWriterKeepsItOut) {
  ASSERT_EQ(enter(qcow2_, kRead | kWrite | kResize, kExclusive), "");
  EXPECT_EQ(qemu_img("info " + qcow2_), in_use("Failed to get shared \"write\" lock", qcow2_));
  EXPECT_EQ(qemu_img("resize " + qcow2_ + " 2M"), in_use("Failed to get \"write\" lock", qcow2_));
  EXPECT_NE(qemu_img("info -U " + qcow2_).find("file format: qcow2"), std::string::npos);
  ASSERT_TRUE(node_.close());
  EXPECT_NE(qemu_img("info " + qcow2_).find("file format: qcow2"), std::string::npos);
}

TEST_F(Reference, OurReaderKeepsItsWritersOut) {
  ASSERT_EQ(enter(qcow2_, kRead, kExclusive), "");
  EXPECT_EQ(qemu_img("resize " + qcow2_ + " 2M"), in_use("Failed to get \"write\" lock", qcow2_));
  EXPECT_NE(qemu_img("info " + qcow2_).find("file format: qcow2"), std::string::npos);
  const std::string before = dir_.content("disk.qcow2");
  EXPECT_NE(qemu_img("create -q -f raw " + qcow2_ + " 1M").find("Failed to get \"write\" lock"),
            std::string::npos);
  EXPECT_EQ(dir_.content("disk.qcow2"), before);
}

TEST_F(Reference, FilesLookAlike) {
  for (const char* mode : {"off", "falloc", "full"}) {
    const std::string theirs = dir_.path("theirs"), ours = dir_.path("ours");
    ASSERT_EQ(
        qemu_img(sdk::cat("create -q -f raw -o preallocation=", mode, " ", theirs, " 100000")), "");
    ASSERT_TRUE(host_.create(ProtocolTable<FileDriver>::ops(), ours,
                             OptionList().text("preallocation", mode).number("size", 100000)));
    EXPECT_EQ(dir_.status("ours").st_size, dir_.status("theirs").st_size) << mode;
    EXPECT_EQ(dir_.status("ours").st_blocks, dir_.status("theirs").st_blocks) << mode;
    EXPECT_EQ(dir_.status("ours").st_mode, dir_.status("theirs").st_mode) << mode;
    EXPECT_EQ(qemu_img("map --output=json " + ours), qemu_img("map --output=json " + theirs))
        << mode;
  }
}

}  // namespace
}  // namespace instar::file
