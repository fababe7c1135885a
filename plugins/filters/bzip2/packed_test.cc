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

}  // namespace
}  // namespace instar::bzip2
