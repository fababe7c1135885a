// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/map/picture.hpp"

#include <gtest/gtest.h>

namespace instar::map {
namespace {

constexpr uint32_t kPresent = INSTAR_EXTENT_ALLOCATED;
constexpr uint32_t kDataFlags = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_DATA;

instar_map_extent extent(uint64_t start, uint64_t length, uint32_t flags, int depth = 0) {
  return {start, length, 0, flags, depth, nullptr};
}

size_t count(const std::string& text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++n;
  return n;
}

TEST(Picture, SizeIsBounded) {
  constexpr uint64_t kHuge = uint64_t{1} << 62;
  Picture picture("huge", 0, kHuge);
  constexpr uint64_t kRuns = 100'000;
  for (uint64_t i = 0; i < kRuns; ++i)
    picture.add(extent(i * (kHuge / kRuns), kHuge / kRuns, i % 2 != 0 ? kDataFlags : 0));
  EXPECT_LT(picture.svg().size(), 600'000u);
}

TEST(Picture, SmallImagesHaveFewCells) {
  Picture picture("small", 0, 1000);
  picture.add(extent(0, 512, kDataFlags));
  picture.add(extent(512, 488, kPresent | INSTAR_EXTENT_ZERO, 2));
  const std::string svg = picture.svg();
  EXPECT_NE(svg.find("0 + 512 B: data in the image, 100%"), std::string::npos) << svg;
  EXPECT_NE(svg.find("512 + 488 B: zeroes in backing file 2, 100%"), std::string::npos) << svg;
}

TEST(Picture, LittleDataIsSeen) {
  Picture picture("sparse", 0, uint64_t{1} << 40);
  picture.add(extent(0, 65536, kDataFlags, 9));
  picture.add(extent(65536, (uint64_t{1} << 40) - 65536, 0));
  EXPECT_NE(picture.svg().find("data in backing file 5 and below, 0%"), std::string::npos);
}

TEST(Picture, NamesAreText) {
  const Picture picture("<a&\"b\">\x01\xff \xc3\xa4", 0, 512);
  EXPECT_NE(picture.svg().find("<title>&#60;a&#38;&#34;b&#34;&#62;?? &#228;</title>"),
            std::string::npos)
      << picture.svg();
}

TEST(Picture, NeighboursThatLookAlikeAreOne) {
  Picture picture("plain", 0, 64 << 20);
  picture.add(extent(0, 64 << 20, kDataFlags | INSTAR_EXTENT_COMPRESSED));
  EXPECT_EQ(count(picture.svg(), "url(#packed0)"),
            Picture::kRows + 1);  // a row each, and the legend
}

}  // namespace
}  // namespace instar::map
