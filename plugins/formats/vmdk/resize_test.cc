// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vmdk/image.hpp"
#include "sdk/cpp/testing_resize.hpp"

namespace instar::vmdk {
namespace {

using sdk::testing::fill;
using sdk::testing::ImageInMemory;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;
using sdk::testing::resize_safely;

constexpr uint64_t kMiB = 1u << 20;

SparseHeader header_of(const ImageInMemory<Image>& image) {
  SparseHeader header;
  std::memcpy(&header, image.disk->bytes.data(), sizeof header);
  return header;
}

std::string descriptor_of(const ImageInMemory<Image>& image) {
  return reinterpret_cast<const char*>(&image.disk->bytes[kSector]);
}

TEST(VmdkResize, GrowsInTheRoomOfItsTables) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 3 * kMiB + 2048)));
  fill(image, {3, 0}, kMiB);
  const auto before = header_of(image);
  resize_safely(image, 32 * kMiB);
  EXPECT_EQ(header_of(image).gd_offset, before.gd_offset);
  EXPECT_NE(descriptor_of(image).find("RW 65536 SPARSE"), std::string::npos);
  EXPECT_NE(descriptor_of(image).find("ddb.geometry.cylinders = \"65\""), std::string::npos);
}

TEST(VmdkResize, MoreTablesComeWithAnotherDirectory) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 3 * kMiB)));
  fill(image, {2, 0}, kMiB);
  resize_safely(image, 100 * kMiB);
  fill(image, {77, 40, 99}, kMiB);
  resize_safely(image, 101 * kMiB, INSTAR_PREALLOCATION_FULL);
  const auto header = header_of(image);
  EXPECT_NE(header.gd_offset, header.rgd_offset);
  resize_safely(image, 41 * kMiB);
  EXPECT_GE(image.disk->discards, 1u);
  resize_safely(image, 100 * kMiB);  // what was behind the end is not seen again
}

/** What it was given is given back. */
TEST(VmdkResize, WithoutSpaceItStaysAsItWas) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 3 * kMiB)));
  fill(image, {2, 0}, kMiB);
  const auto before = image.content();
  image.disk->room = 20 * kMiB;
  {
    auto node = image.open();
    ASSERT_TRUE(node) << node.error().message;
    const auto done = node->ref().resize(quiet_call(), 64 * kMiB, INSTAR_PREALLOCATION_FULL);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENOSPC);
    EXPECT_EQ(*node->ref().size(), 3 * kMiB);
    ASSERT_TRUE(node->close());
  }
  EXPECT_EQ(image.content() == before, true);
  resize_safely(image, 9 * kMiB);
}

/** An image of one flat extent, in two files. */
struct FlatImage : ImageInMemory<Image> {
  FlatImage() {
    host.children["image-flat"] = host.children["extents.0"] = data.abi();
    const OptionList options =
        OptionList().number("size", kMiB).text("subformat", "monolithicFlat");
    EXPECT_TRUE(create(options));
  }
  std::shared_ptr<sdk::testing::MemoryDisk> flat = std::make_shared<sdk::testing::MemoryDisk>();
  sdk::testing::OwnedNode data = sdk::testing::memory_node(flat);
};

/** It was longer once, and who shrank it did not come to an end. */
TEST(VmdkResize, BehindAFlatExtentNothingIsLeft) {
  FlatImage image;
  image.flat->bytes.resize(3 * kMiB, 7);
  auto node = image.open();
  ASSERT_TRUE(node) << node.error().message;
  ASSERT_TRUE(node->ref().resize(quiet_call(), 2 * kMiB));
  EXPECT_EQ(*node->ref().size(), 2 * kMiB);
  std::vector<uint8_t> read(kMiB, 1);
  ASSERT_TRUE(node->ref().read(quiet_call(), kMiB, read.data(), read.size()));
  EXPECT_TRUE(sdk::is_zero(read.data(), read.size()));
  const std::string text(image.disk->bytes.begin(), image.disk->bytes.end());
  EXPECT_NE(text.find("RW 4096 FLAT \"image-flat\" 0\n"), text.npos) << text;
}

TEST(VmdkResize, RefusesOtherTypes) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(
      image.create(OptionList().number("size", kMiB).text("subformat", "monolithicSparse")));
  auto node = image.open();
  EXPECT_EQ(node->ref().resize(quiet_call(), uint64_t{1} << 62).error().message, "L1 size too big");
}

}  // namespace
}  // namespace instar::vmdk
