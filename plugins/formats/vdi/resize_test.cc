// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vdi/image.hpp"
#include "sdk/cpp/testing_resize.hpp"

namespace instar::vdi {
namespace {

using sdk::testing::fill;
using sdk::testing::ImageInMemory;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;
using sdk::testing::resize_safely;

uint32_t number_at(const ImageInMemory<Image>& image, size_t offset) {
  return sdk::load_le<uint32_t>(image.disk->bytes.data() + offset);
}

/** As the genuine tool sees it: it puts the next block where blocks_allocated says. */
void expect_dense(const ImageInMemory<Image>& image, uint32_t blocks) {
  EXPECT_EQ(number_at(image, offsetof(Header, blocks_allocated)), blocks);
  const uint64_t begin = number_at(image, offsetof(Header, offset_data));
  EXPECT_EQ(image.disk->bytes.size(), begin + blocks * uint64_t{kBlockSize});
}

TEST(VdiResize, GrowsInTheRoomOfItsMap) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 3 * kBlockSize + 512)));
  fill(image, {3, 0}, kBlockSize);
  resize_safely(image, 5 * kBlockSize + 1024);
  expect_dense(image, 2);
  resize_safely(image, 7 * kBlockSize, INSTAR_PREALLOCATION_FALLOC);
  expect_dense(image, 4);
}

TEST(VdiResize, AMapThatGrowsTakesTheFirstBlocksPlace) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 4 * kBlockSize)));
  fill(image, {3, 1, 2}, kBlockSize);
  resize_safely(image, 129 * uint64_t{kBlockSize});
  expect_dense(image, 3);
  EXPECT_EQ(number_at(image, offsetof(Header, offset_bmap)), 1024u);
  EXPECT_EQ(number_at(image, offsetof(Header, offset_data)), 1024u + kBlockSize);
}

TEST(VdiResize, AnEmptyImageGrows) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", kBlockSize)));
  resize_safely(image, 140 * uint64_t{kBlockSize});
  expect_dense(image, 0);
}

TEST(VdiResize, AStaticImageStaysStatic) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 2 * kBlockSize).flag("static", true)));
  fill(image, {1}, kBlockSize);
  resize_safely(image, 4 * kBlockSize);
  expect_dense(image, 4);
  resize_safely(image, kBlockSize + 512);
  expect_dense(image, 2);
}

TEST(VdiResize, WhatIsLeftOfAShrunkenImageLiesTogether) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", 6 * kBlockSize)));
  fill(image, {5, 0, 4, 2, 3}, kBlockSize);
  resize_safely(image, 2 * kBlockSize + 1024);
  expect_dense(image, 2);
  resize_safely(image, 4 * kBlockSize);  // what was behind the end is not seen again
}

TEST(VdiResize, RefusesWhatCannotBe) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", kBlockSize)));
  auto node = image.open();
  const auto large = node->ref().resize(quiet_call(), kMostBytes + 1);
  EXPECT_EQ(
      large.error().message,
      "Unsupported VDI image size (size is 0x1fffff8000001, max supported is 0x1fffff8000000)");
  const auto metadata =
      node->ref().resize(quiet_call(), 2 * kBlockSize, INSTAR_PREALLOCATION_METADATA);
  EXPECT_EQ(metadata.error().message, "Unsupported preallocation mode: metadata");
}

}  // namespace
}  // namespace instar::vdi
