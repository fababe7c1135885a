// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vpc/image.hpp"
#include "sdk/cpp/testing_resize.hpp"

namespace instar::vpc {
namespace {

using sdk::testing::fill;
using sdk::testing::ImageInMemory;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;
using sdk::testing::resize_safely;

constexpr uint64_t kBlock = kDefaultBlockSize;

OptionList options(uint64_t size, const char* type = "dynamic", bool exact = true) {
  return OptionList().number("size", size).text("subformat", type).flag("force_size", exact);
}

Footer footer_at(const ImageInMemory<Image>& image, size_t offset) {
  Footer footer;
  std::memcpy(&footer, &image.disk->bytes[offset], sizeof footer);
  return footer;
}

void expect_same_footers(const ImageInMemory<Image>& image) {
  const auto& bytes = image.disk->bytes;
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 512, bytes.end() - 512));
}

TEST(VpcResize, GrowsInTheRoomOfItsTable) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(2 * kBlock + 512)));
  fill(image, {2, 0}, kBlock);
  resize_safely(image, 5 * kBlock + 512);
  expect_same_footers(image);
  EXPECT_EQ(uint64_t{footer_at(image, 0).current_size}, 5 * kBlock + 512);
  resize_safely(image, 6 * kBlock, INSTAR_PREALLOCATION_FULL);
  EXPECT_EQ(image.disk->bytes.size(), 2048 + 3 * (kBlock + 512) + 512);
  expect_same_footers(image);
}

TEST(VpcResize, ATableThatGrowsGoesToTheEnd) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(2 * kBlock)));
  fill(image, {1, 0}, kBlock);
  const uint64_t end = image.disk->bytes.size();
  resize_safely(image, 129 * kBlock);
  EXPECT_EQ(image.disk->bytes.size(), end + 1024);
  expect_same_footers(image);
}

TEST(VpcResize, ShrinksToTheEndOfWhatIsLeft) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(6 * kBlock)));
  fill(image, {0, 5, 2, 3}, kBlock);
  resize_safely(image, 2 * kBlock + 512);
  EXPECT_EQ(image.disk->bytes.size(), 2048 + 3 * (kBlock + 512) + 512);
  expect_same_footers(image);
  EXPECT_GE(image.disk->discards, 1u);
  resize_safely(image, 4 * kBlock);  // what was behind the end is not seen again
}

TEST(VpcResize, AFixedImageAlwaysEndsWithAFooter) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(2 * kBlock, "fixed")));
  fill(image, {1, 0}, kBlock);
  resize_safely(image, 3 * kBlock + 512, INSTAR_PREALLOCATION_FALLOC, false);
  EXPECT_EQ(image.disk->bytes.size(), 3 * kBlock + 1024);
  resize_safely(image, kBlock, INSTAR_PREALLOCATION_OFF, false);
  EXPECT_EQ(image.disk->bytes.size(), kBlock + 512);
}

TEST(VpcResize, AGeometryThatCountsIsRoundedUp) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(kBlock, "dynamic", false)));
  resize_safely(image, 9u << 20);  // 272 * 4 * 17 sectors
  EXPECT_EQ(image.content().size, 9469952u);
  EXPECT_EQ(uint64_t{footer_at(image, 0).current_size}, 9469952u);
}

TEST(VpcResize, RefusesWhatCannotBe) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(options(kBlock)));
  auto node = image.open();
  EXPECT_EQ(node->ref().resize(quiet_call(), uint64_t{1} << 42).error().message,
            "Disk size is too large, max size is 2040 GiB");
  EXPECT_EQ(
      node->ref().resize(quiet_call(), 2 * kBlock, INSTAR_PREALLOCATION_METADATA).error().message,
      "Unsupported preallocation mode: metadata");
}

}  // namespace
}  // namespace instar::vpc
