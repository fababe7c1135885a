// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/bzip2/packed.hpp"

#include <bzlib.h>

#include "sdk/cpp/testing_packed.hpp"

namespace instar::bzip2 {
namespace {

using namespace sdk::testing;

Content packed(const Content& content) {
  Content out(content.size() + content.size() / 50 + 1000);
  auto length = static_cast<unsigned>(out.size());
  auto* in = reinterpret_cast<char*>(const_cast<uint8_t*>(content.data()));
  EXPECT_EQ(BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(out.data()), &length, in,
                                     static_cast<unsigned>(content.size()), 1, 0, 0),
            BZ_OK);
  out.resize(length);
  return out;
}

TEST(Bzip2, IsSound) {
  const Content content = packable_content(300001);
  expect_sound_packing<Bzip2Packing>(packed(content), content, 60);
}

TEST(Bzip2, StreamsAreOneContent) {
  const Content content = packable_content(100000);
  Content file = packed(content);
  const Content second = packed(content);
  file.insert(file.end(), second.begin(), second.end());
  Content twice = content;
  twice.insert(twice.end(), content.begin(), content.end());
  expect_content<Bzip2Packing>(file, twice);
}

TEST(Bzip2, StreamsAreReadAnywhere) {
  const Content content = packable_content(2000001);
  Content file;
  for (size_t at = 0; at < content.size(); at += 300000) {
    const auto begin = content.begin() + static_cast<ptrdiff_t>(at);
    const Content one = packed(
        {begin, begin + static_cast<ptrdiff_t>(std::min<size_t>(300000, content.size() - at))});
    file.insert(file.end(), one.begin(), one.end());
  }
  expect_sound_packing<Bzip2Packing>(file, content, 30);
  const NoTemporaryFiles none;
  expect_random_access<Bzip2Packing>(file, content);
}

/** What looks like a stream's beginning. */
TEST(Bzip2, StreamsThatBeginNowhere) {
  const Content content = packable_content(300001);
  Content file = packed(content);
  const Content beginning(file.begin(), file.begin() + 10);
  file.insert(file.end(), beginning.begin(), beginning.end());
  EXPECT_FALSE(unpacked<Bzip2Packing>(file));
  file = packed(content);
  std::copy(beginning.begin(), beginning.end(), file.begin() + 5000);
  EXPECT_FALSE(unpacked<Bzip2Packing>(file));
}

TEST(Bzip2, MuchInOneStream) {
  Content content(100u << 20);
  content.back() = 1;
  const Content file = packed(content);
  ASSERT_LT(file.size(), 1u << 20);
  expect_content<Bzip2Packing>(file, content);
}

}  // namespace
}  // namespace instar::bzip2
