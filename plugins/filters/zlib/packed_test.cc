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

/** A member as bgzip makes them: its length is in its header. */
Content block(const Content& content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  Content out(18 + deflateBound(&stream, content.size()) + 8);
  stream.next_in = const_cast<uint8_t*>(content.data());
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = out.data() + 18;
  stream.avail_out = static_cast<uInt>(out.size() - 18);
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(18 + stream.total_out + 8);
  deflateEnd(&stream);
  const size_t last = out.size() - 1;
  const Content head = {0x1f,
                        0x8b,
                        8,
                        4,
                        0,
                        0,
                        0,
                        0,
                        0,
                        0xff,
                        6,
                        0,
                        'B',
                        'C',
                        2,
                        0,
                        static_cast<uint8_t>(last),
                        static_cast<uint8_t>(last >> 8)};
  std::copy(head.begin(), head.end(), out.begin());
  const uLong sum = crc32(0, content.data(), static_cast<uInt>(content.size()));
  for (size_t i = 0; i < 4; ++i) {
    out[last - 7 + i] = static_cast<uint8_t>(sum >> 8 * i);
    out[last - 3 + i] = static_cast<uint8_t>(content.size() >> 8 * i);
  }
  return out;
}
Content blocks(const Content& content, bool end = true) {
  constexpr size_t kBlock = 65280;
  Content file;
  for (size_t at = 0; at < content.size(); at += kBlock) {
    const size_t n = std::min(kBlock, content.size() - at);
    const Content one = block({content.begin() + static_cast<ptrdiff_t>(at),
                               content.begin() + static_cast<ptrdiff_t>(at + n)});
    file.insert(file.end(), one.begin(), one.end());
  }
  const Content last = block({});
  if (end) file.insert(file.end(), last.begin(), last.end());
  return file;
}

TEST(Gzip, BlocksAreReadAnywhere) {
  const Content content = packable_content(7000001);
  for (const bool end : {false, true}) {
    const Content file = blocks(content, end);
    expect_sound_packing<GzipPacking>(file, content, 100);
    const NoTemporaryFiles none;
    expect_random_access<GzipPacking>(file, content);
    PackedDisk<GzipPacking> disk(file);
    const auto node = disk.open();
    ASSERT_TRUE(node);
    const auto got = read_forward(node->ref(), 700001);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(*got == content);
    EXPECT_LT(disk.memory->reads, 100u) << "large reads";
  }
}

TEST(Gzip, BlocksThatLieAreErrors) {
  const Content content = packable_content(50000);
  const Content first = block(content);
  const Content second = block(packable_content(100));
  const auto with = [&](size_t at, int more) {
    Content file = first;
    file[at] = static_cast<uint8_t>(file[at] + more);
    file.insert(file.end(), second.begin(), second.end());
    file.insert(file.end(), second.begin(), second.end());
    return file;
  };
  const Content sound = *unpacked<GzipPacking>(with(0, 0));
  for (const int more : {-1, 1}) {
    EXPECT_FALSE(unpacked<GzipPacking>(with(first.size() - 4, more))) << "its content's length";
    // What gzip reads, or nothing.
    for (const size_t at : {16, 17})
      if (const auto got = unpacked<GzipPacking>(with(at, more))) {
        EXPECT_TRUE(*got == sound);
      }
  }
}

TEST(Gzip, BlocksAndOtherMembers) {
  const Content content = packable_content(3000000);
  Content file = blocks(content);
  const Content other = packed(content);
  file.insert(file.end(), other.begin(), other.end());
  Content twice = content;
  twice.insert(twice.end(), content.begin(), content.end());
  expect_content<GzipPacking>(file, twice);
  expect_random_access<GzipPacking>(file, twice);
  file.pop_back();
  EXPECT_FALSE(unpacked<GzipPacking>(file));
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
