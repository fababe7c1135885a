// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/lz4/packed.hpp"

#include <lz4frame.h>

#include "sdk/cpp/testing_packed.hpp"

namespace instar::lz4 {
namespace {

using namespace sdk::testing;

Content packed(const Content& content, bool tells_length) {
  LZ4F_preferences_t how{};
  how.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  how.frameInfo.contentSize = tells_length ? content.size() : 0;
  Content out(LZ4F_compressFrameBound(content.size(), &how));
  out.resize(LZ4F_compressFrame(out.data(), out.size(), content.data(), content.size(), &how));
  return out;
}

TEST(Lz4, IsSound) {
  const Content content = packable_content(700001);
  expect_sound_packing<Lz4Packing>(packed(content, false), content);
  expect_sound_packing<Lz4Packing>(packed(content, true), content);
}

TEST(Lz4, FramesAreOneContent) {
  const Content content = packable_content(200000);
  Content file = packed(content, false);
  const Content second = packed(content, false);
  file.insert(file.end(), second.begin(), second.end());
  Content twice = content;
  twice.insert(twice.end(), content.begin(), content.end());
  expect_content<Lz4Packing>(file, twice);
}

/** The first frame's header does not tell of the others: never half of it without an error. */
TEST(Lz4, MoreFramesThanTheHeaderTellsOf) {
  const Content content = packable_content(200000);
  Content file = packed(content, true);
  const Content second = packed(content, true);
  file.insert(file.end(), second.begin(), second.end());
  const auto got = unpacked<Lz4Packing>(file);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().hint.find("spool=on"), std::string::npos);
  Content twice = content;
  twice.insert(twice.end(), content.begin(), content.end());
  expect_content<Lz4Packing>(file, twice, OptionList().flag("spool", true));
}

}  // namespace
}  // namespace instar::lz4
