// SPDX-License-Identifier: Apache-2.0
// host_device on a loop device. Needs root and /dev/loop-control, so it is run by hand:
//     bazel test --spawn_strategy=local //plugins/protocols/file:block_device_test
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "plugins/protocols/file/file_node.hpp"
#include "plugins/protocols/file/temp_dir.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::file {
namespace {

using sdk::ProtocolTable;
using sdk::testing::FakeHost;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;

constexpr uint64_t kMiB = 1 << 20;

class LoopDevice : public testing::Test {
 protected:
  void SetUp() override {
    const Descriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    const int number = control ? ::ioctl(control.get(), LOOP_CTL_GET_FREE) : -1;
    ASSERT_GE(number, 0) << "no loop devices: " << sdk::errno_text(errno);
    path_ = "/dev/loop" + std::to_string(number);
    loop_ = Descriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    const Descriptor file(::open(dir_.make("disk", std::string(kMiB, 'x')).c_str(), O_RDWR));
    ASSERT_EQ(::ioctl(loop_.get(), LOOP_SET_FD, file.get()), 0) << sdk::errno_text(errno);
    bound_ = true;
  }
  void TearDown() override {
    if (bound_) ::ioctl(loop_.get(), LOOP_CLR_FD, 0);
  }
  auto open(uint32_t flags) {
    return host_.open(ProtocolTable<HostDeviceDriver>::ops(), path_, flags);
  }
  void check_io(uint32_t flags);

  TempDir dir_;
  FakeHost host_;
  std::string path_;
  Descriptor loop_;
  bool bound_ = false;
};

void LoopDevice::check_io(uint32_t flags) {
  auto node = open(INSTAR_OPEN_WRITE | flags);
  ASSERT_TRUE(node) << node.error().message;
  const auto ref = node->ref();
  EXPECT_EQ(*ref.size(), kMiB);
  alignas(4096) static uint8_t buffer[8192];
  std::fill_n(buffer, 4096, uint8_t{'y'});
  ASSERT_TRUE(ref.write(quiet_call(), 4096, buffer, 4096));
  ASSERT_TRUE(ref.write_zeroes(quiet_call(), 8192, 4096, INSTAR_WRITE_MAY_UNMAP));
  ASSERT_TRUE(ref.write_zeroes(quiet_call(), 12288, 4096, 0));
  ASSERT_TRUE(ref.flush(quiet_call()));
  ASSERT_TRUE(ref.read(quiet_call(), 4096, buffer, 8192));
  EXPECT_EQ(buffer[4095], 'y');
  EXPECT_TRUE(sdk::is_zero(buffer + 4096, 4096));
  ASSERT_TRUE(ref.discard(quiet_call(), 65536, 65536));
  instar_extent extent{};
  ASSERT_EQ(*ref.extents(quiet_call(), 0, kMiB, &extent, 1), 1u);
  EXPECT_EQ(extent.length, kMiB);
  EXPECT_EQ(extent.flags,
            uint32_t{INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET});
}

TEST_F(LoopDevice, ReadsAndWrites) {
  check_io(0);
  check_io(INSTAR_OPEN_NO_CACHE);
}

TEST_F(LoopDevice, KnowsItsLimits) {
  auto node = open(INSTAR_OPEN_WRITE | INSTAR_OPEN_NO_CACHE);
  const auto limits = *node->ref().limits();
  EXPECT_GE(limits.request_alignment, 512u);
  EXPECT_EQ(limits.flags & INSTAR_NODE_ZERO_INIT, 0u);
  EXPECT_EQ(node->ref().resize(quiet_call(), 2 * kMiB).error().message, "Cannot grow device files");
  EXPECT_TRUE(node->ref().resize(quiet_call(), kMiB / 2));
  EXPECT_EQ(node->ref().resize(quiet_call(), kMiB / 2, 0, INSTAR_RESIZE_EXACT).error().message,
            "Cannot resize device files");
  EXPECT_EQ(node->ref().write_zeroes(quiet_call(), 0, 4096, INSTAR_WRITE_NO_FALLBACK).error().code,
            ENOTSUP);
  void* self = nullptr;
  instar_rawfd raw{};
  const auto* ops = node->ref().interface<instar_rawfd_ops>(INSTAR_RAWFD_ID, &self);
  ASSERT_EQ(ops->get(self, nullptr, &raw), 0);
  EXPECT_EQ(raw.block_device, 1u);
}

TEST_F(LoopDevice, IsNoRegularFile) {
  EXPECT_EQ(host_.open(ProtocolTable<FileDriver>::ops(), path_).error().message,
            "'file' driver requires '" + path_ + "' to be a regular file");
}

TEST_F(LoopDevice, LosesItsFirstSectorToCreate) {
  const auto* ops = ProtocolTable<HostDeviceDriver>::ops();
  EXPECT_EQ(host_.create(ops, path_, OptionList().number("size", 2 * kMiB)).error().message,
            "Cannot grow device files");
  ASSERT_TRUE(host_.create(ops, path_, OptionList().number("size", kMiB / 2)));
  auto node = open(0);
  char data[1024];
  ASSERT_TRUE(node->ref().read(quiet_call(), 0, data, sizeof data));
  EXPECT_TRUE(sdk::is_zero(data, 512));
  EXPECT_EQ(data[512], 'x');
}

}  // namespace
}  // namespace instar::file
