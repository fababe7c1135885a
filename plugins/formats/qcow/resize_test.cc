// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow/testing.hpp"
#include "sdk/cpp/testing_resize.hpp"

namespace instar::qcow {
namespace {

using namespace testing;
using sdk::testing::fill;
using sdk::testing::ImageInMemory;
using sdk::testing::resize_safely;

constexpr uint64_t kMiB = 1u << 20;
constexpr uint64_t kReach = 2 * kMiB;  // of an L2 table of a new image

uint64_t number_at(const ImageInMemory<Image>& image, size_t offset) {
  return sdk::load_be<uint64_t>(image.disk->bytes.data() + offset);
}

TEST(QcowResize, GrowsWithItsTableWhereItIs) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", kMiB + 1024)));
  fill(image, {0, kMiB - 512});
  resize_safely(image, 2 * kMiB - 3000);
  EXPECT_EQ(number_at(image, offsetof(Header, l1_table_offset)), sizeof(Header));
  EXPECT_EQ(number_at(image, offsetof(Header, size)), 2 * kMiB - 2560);
}

TEST(QcowResize, ALargerTableGoesToTheEnd) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 3 * kMiB)));
  fill(image, {0, 3 * kMiB - 1500, kMiB});
  const uint64_t end = image.disk->bytes.size();
  resize_safely(image, 200 * kReach + 512);
  EXPECT_EQ(number_at(image, offsetof(Header, l1_table_offset)), end);
}

TEST(QcowResize, WhatAShrunkenImageHadIsNotSeenAgain) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 9 * kMiB)));
  fill(image, {0, kMiB, 2 * kMiB, 3 * kMiB + 512, 5 * kMiB, 8 * kMiB});
  resize_safely(image, kMiB + 512);
  resize_safely(image, 3 * kMiB + 1024);
  fill(image, {2 * kMiB});
  resize_safely(image, 9 * kMiB);
}

TEST(QcowResize, ClustersThatAreGivenUpBecomeHoles) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 4 * kMiB)));
  fill(image, {3 * kMiB});
  resize_safely(image, kMiB);
  EXPECT_EQ(image.disk->discards, 1u);
}

void resize(const OwnedNode& node, uint64_t size) {
  const auto done = node.ref().resize(quiet_call(), size, INSTAR_PREALLOCATION_OFF);
  ASSERT_TRUE(done) << done.error().message;
}

TEST(QcowResize, WhatAnEncryptedClusterHasBehindTheEndIsNotSeen) {
  Disk disk;
  ASSERT_EQ(disk.create(encrypted()), "");
  const auto node = disk.open(key("k"));
  write(node, 0, kCluster, 'e');
  resize(node, 1024);
  resize(node, kMiB);
  EXPECT_TRUE(all(read(node, 0, 1024), 'e'));
  EXPECT_TRUE(all(read(node, 1024, kMiB - 1024), 0));
}

TEST(QcowResize, WhatAPackedClusterHasBehindTheEndIsNotSeen) {
  Disk disk;
  ASSERT_EQ(disk.create(sized(kSize)), "");
  const auto node = disk.open();
  write_packed(node, kCluster, 'p');
  resize(node, kCluster + 1536);
  resize(node, kMiB);
  EXPECT_TRUE(all(read(node, kCluster, 1536), 'p'));
  EXPECT_TRUE(all(read(node, kCluster + 1536, kMiB - kCluster - 1536), 0));
}

TEST(QcowResize, ALongerBackingFileIsNotSeen) {
  const auto below = std::make_shared<MemoryDisk>();
  below->bytes.assign(64 << 10, 'b');
  const OwnedNode backing = memory_node(below);
  Disk disk;
  disk.host.children["backing"] = backing.abi();
  ASSERT_EQ(disk.create(sized(5 * 512).text("backing_file", "below")), "");
  const auto node = disk.open();
  resize(node, kMiB);
  EXPECT_TRUE(all(read(node, 0, 5 * 512), 'b'));
  EXPECT_TRUE(all(read(node, 5 * 512, kMiB - 5 * 512), 0));
}

TEST(QcowResize, RefusesWhatCannotBe) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", kMiB)));
  const auto node = image.open();
  const auto large = node->ref().resize(quiet_call(), uint64_t{1} << 62);
  EXPECT_EQ(large.error().message, "Image too large");
  const auto full = node->ref().resize(quiet_call(), 2 * kMiB, INSTAR_PREALLOCATION_FULL);
  EXPECT_EQ(full.error().message, "Unsupported preallocation mode 'full'");
}

}  // namespace
}  // namespace instar::qcow
