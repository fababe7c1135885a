// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/parallels/testing.hpp"
#include "sdk/cpp/testing_resize.hpp"

namespace instar::parallels {
namespace {

using namespace testing;
using sdk::testing::fill;
using sdk::testing::ImageInMemory;
using sdk::testing::resize_safely;

constexpr uint64_t kMiB = 1u << 20;
constexpr uint64_t kEntriesOfCluster = kCluster / sizeof(uint32_t);

OptionList sized(uint64_t size) {
  return OptionList().number("size", size).number("cluster_size", kCluster);
}

Header header_of(const ImageInMemory<Image>& image) {
  Header header;
  std::memcpy(&header, image.disk->bytes.data(), sizeof header);
  return header;
}

/** As older software has it: entries are sectors, and no field says where the clusters begin. */
void make_old(ImageInMemory<Image>& image) {
  Header header = header_of(image);
  uint8_t* const bytes = image.disk->bytes.data();
  for (uint32_t i = 0; i < header.bat_entries; ++i) {
    uint8_t* const entry = bytes + sizeof header + i * sizeof(uint32_t);
    sdk::store_le(entry, sdk::load_le<uint32_t>(entry) * header.tracks);
  }
  kMagicSectors.copy(header.magic, sizeof header.magic);
  header.nb_sectors = header.nb_sectors | uint64_t{0xabcd} << 32;
  std::memcpy(bytes, &header, sizeof header);
}

TEST(ParallelsResize, GrowsInTheRoomOfItsTable) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(sized(2 * kMiB - 1024)));
  fill(image, {kMiB, 0, 2 * kMiB - 3000});
  resize_safely(image, 3 * kMiB + 512);
  EXPECT_EQ(header_of(image).data_off, 8u);
  EXPECT_EQ(header_of(image).bat_entries, 3 * kMiB / kCluster + 1);
  resize_safely(image, 3 * kMiB + 3 * kCluster, INSTAR_PREALLOCATION_FALLOC);
}

TEST(ParallelsResize, ClustersMakeWayForALargerTable) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(sized(3 * kMiB)));
  fill(image, {2 * kMiB, 0, kMiB, 512 << 10});
  resize_safely(image, (3 * kEntriesOfCluster - 100) * kCluster);
  EXPECT_EQ(header_of(image).data_off, 24u);
  EXPECT_EQ(header_of(image).cylinders, header_of(image).nb_sectors / 512);
}

TEST(ParallelsResize, AnEmptyImageGrows) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(sized(kMiB)));
  resize_safely(image, 5 * kEntriesOfCluster * kCluster);
  fill(image, {3 * kMiB});
}

TEST(ParallelsResize, AnOldImageStaysOld) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(sized(2 * kMiB)));
  fill(image, {0, kMiB});
  make_old(image);
  resize_safely(image, (kEntriesOfCluster + 10) * kCluster);
  const Header header = header_of(image);
  EXPECT_TRUE(header.is(kMagicSectors));
  EXPECT_EQ(header.nb_sectors >> 32, 0xabcdu);
  EXPECT_EQ(header.data_off, 16u);
}

TEST(ParallelsResize, AnOldImageHasNoRoomForALargeDisk) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(OptionList().number("size", kMiB).number("cluster_size", kMiB)));
  make_old(image);
  auto node = image.open();
  const auto large = node->ref().resize(quiet_call(), uint64_t{1} << 41);
  EXPECT_EQ(large.error().message,
            "The image's header has no room for a disk of 2199023255552 bytes");
}

TEST(ParallelsResize, WhatAShrunkenImageHadIsNotSeenAgain) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(sized(6 * kMiB)));
  fill(image, {5 * kMiB, 0, 3 * kMiB, kMiB, 2 * kMiB});
  resize_safely(image, kMiB + 1024);
  EXPECT_EQ(image.disk->discards, 3u);
  EXPECT_EQ(image.disk->bytes.size(), 6 * kCluster);  // the last is that of 1 MiB
  resize_safely(image, 6 * kMiB);
}

TEST(ParallelsResize, RefusesWhatCannotBe) {
  ImageInMemory<Image> image;
  ASSERT_TRUE(image.create(sized(kMiB)));
  auto node = image.open();
  const auto large = node->ref().resize(quiet_call(), uint64_t{1} << 62);
  EXPECT_EQ(large.error().message, "Image size is too large for this cluster size");
  const auto metadata = node->ref().resize(quiet_call(), 2 * kMiB, INSTAR_PREALLOCATION_METADATA);
  EXPECT_EQ(metadata.error().message, "Unsupported preallocation mode: metadata");
}

}  // namespace
}  // namespace instar::parallels
