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

TEST(VmdkResize, RefusesOtherTypes) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(
      image.create(OptionList().number("size", kMiB).text("subformat", "monolithicSparse")));
  auto node = image.open();
  EXPECT_EQ(node->ref().resize(quiet_call(), uint64_t{1} << 62).error().message, "L1 size too big");
}

}  // namespace
}  // namespace instar::vmdk
