// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/image.hpp"
#include "sdk/cpp/testing_resize.hpp"

namespace instar::vhdx {
namespace {

using sdk::testing::fill;
using sdk::testing::ImageInMemory;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;
using sdk::testing::resize_safely;

constexpr uint64_t kBlock = kMiB;

OptionList options(uint64_t size, const char* type = "dynamic") {
  return OptionList().number("size", size).number("block_size", kBlock).text("subformat", type);
}

TEST(VhdxResize, GrowsInTheRoomOfItsTable) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(3 * kBlock + 512)));
  fill(image, {3, 0}, kBlock);
  const uint64_t length = image.disk->bytes.size();
  resize_safely(image, 5 * kBlock + 512);
  EXPECT_EQ(image.disk->bytes.size(), length);
  resize_safely(image, 6 * kBlock, INSTAR_PREALLOCATION_FULL);
  EXPECT_EQ(image.disk->bytes.size(), length + kBlock);
}

TEST(VhdxResize, ATableThatGrowsGoesToTheEnd) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(2 * kBlock)));
  fill(image, {1, 0}, kBlock);
  const uint64_t length = image.disk->bytes.size();
  resize_safely(image, 200000 * kBlock);
  EXPECT_EQ(image.disk->bytes.size(), length + 2 * kMiB);
  fill(image, {2, 3}, kBlock);
  resize_safely(image, 3 * kBlock);
}

TEST(VhdxResize, AFixedImageStaysFixed) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(2 * kBlock, "fixed")));
  fill(image, {1}, kBlock);
  const uint64_t length = image.disk->bytes.size();
  resize_safely(image, 4 * kBlock);
  EXPECT_EQ(image.disk->bytes.size(), length + 2 * kBlock);
  resize_safely(image, kBlock + 512);
  EXPECT_EQ(image.disk->bytes.size(), length);
}

TEST(VhdxResize, ShrinksToTheEndOfWhatIsLeft) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(6 * kBlock)));
  const uint64_t length = image.disk->bytes.size();
  fill(image, {0, 5, 2, 3, 4}, kBlock);
  resize_safely(image, 2 * kBlock + 1024);
  EXPECT_EQ(image.disk->bytes.size(), length + 3 * kBlock);
  EXPECT_GE(image.disk->discards, 1u);
  resize_safely(image, 4 * kBlock);  // what was behind the end is not seen again
}

TEST(VhdxResize, RefusesWhatCannotBe) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(kBlock)));
  auto node = image.open();
  EXPECT_EQ(node->ref().resize(quiet_call(), kMostBytes + 1).error().message,
            "Image size too large; max of 64TB");
  EXPECT_EQ(
      node->ref().resize(quiet_call(), 2 * kBlock, INSTAR_PREALLOCATION_METADATA).error().message,
      "Unsupported preallocation mode: metadata");
}

}  // namespace
}  // namespace instar::vhdx
