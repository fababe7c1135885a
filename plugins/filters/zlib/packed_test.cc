// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/packed.hpp"

#include <zlib.h>

#include "sdk/cpp/testing_packed.hpp"

namespace instar::zlib {
namespace {

using namespace sdk::testing;

Content packed(const Content& content, const char* name = nullptr) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
  gz_header header{};
  if (name != nullptr) {
    header.name = reinterpret_cast<Bytef*>(const_cast<char*>(name));
    deflateSetHeader(&stream, &header);
  }
  Content out(deflateBound(&stream, content.size()) + 100);
  stream.next_in = const_cast<uint8_t*>(content.data());
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(Gzip, IsSound) {
  const Content content = packable_content(700001);
  expect_sound_packing<GzipPacking>(packed(content), content);
}

TEST(Gzip, IsReadForwardWithoutATemporaryFile) {
  Content content = packable_content(1000000);
  content.resize(95000001);  // more than two windows
  expect_reads_forward<GzipPacking>(packed(content), content);
}

TEST(Gzip, MembersAreOneContent) {
  const Content content = packable_content(300000);
  Content file = packed(content, "a name");
  const Content empty = packed({});
  const Content second = packed(content);
  file.insert(file.end(), empty.begin(), empty.end());
  file.insert(file.end(), second.begin(), second.end());
  Content twice = content;
  twice.insert(twice.end(), content.begin(), content.end());
  expect_content<GzipPacking>(file, twice);
  expect_cuts_are_found<GzipPacking>(second);
}

/** What a callee finds where it forgets to write first. */
[[gnu::noinline]] void litter_the_stack(int value) {
  volatile uint8_t litter[4096];
  for (volatile uint8_t& byte : litter)
    byte = static_cast<uint8_t>(value);
}

TEST(Gzip, InputMayComeInAnyPieces) {
  const Content content = packable_content(60000);
  const Content file = packed(content, "name");
  for (const size_t piece : {1, 3, 7}) {
    auto unpacker = *GzipPacking::unpacker();
    Content out(content.size() + 1);
    size_t made = 0;
    bool ended = false;
    for (size_t at = 0; at < file.size();) {
      litter_the_stack(static_cast<int>(at));
      const auto step = unpacker->step({&file[at], std::min(piece, file.size() - at)},
                                       {&out[made], std::min(piece * 5, out.size() - made)});
      ASSERT_TRUE(step) << step.error().message;
      ASSERT_TRUE(step->taken != 0 || step->made != 0);
      at += step->taken;
      made += step->made;
      ended = step->ended;
    }
    while (!ended) {
      const auto step = unpacker->step({}, {&out[made], out.size() - made});
      ASSERT_TRUE(step && (step->made != 0 || step->ended));
      made += step->made;
      ended = step->ended;
    }
    out.resize(made);
    EXPECT_TRUE(out == content);
  }
}

}  // namespace
}  // namespace instar::zlib
