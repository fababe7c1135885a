// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/xz/packed.hpp"

#include <lzma.h>

#include "sdk/cpp/testing_packed.hpp"

namespace instar::xz {
namespace {

using namespace sdk::testing;

/** @param block bytes of content in a block; 0: one block. @param preset level 9 has a dictionary of
 * 64 MiB. */
Content packed(const Content& content, size_t block, uint32_t preset = 1,
               lzma_check check = LZMA_CHECK_CRC32) {
  lzma_stream stream = LZMA_STREAM_INIT;
  lzma_mt how{};
  how.threads = 1;
  how.block_size = block != 0 ? block : content.size();
  how.preset = preset;
  how.check = check;
  const bool several = block != 0;
  const auto begun =
      several ? lzma_stream_encoder_mt(&stream, &how) : lzma_easy_encoder(&stream, preset, check);
  EXPECT_EQ(begun, LZMA_OK);
  Content out(content.size() + content.size() / 4 + 4000);
  stream.next_in = content.data();
  stream.avail_in = content.size();
  stream.next_out = out.data();
  stream.avail_out = out.size();
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK)
    result = lzma_code(&stream, LZMA_FINISH);
  EXPECT_EQ(result, LZMA_STREAM_END);
  out.resize(stream.total_out);
  lzma_end(&stream);
  return out;
}

TEST(Xz, IsSound) {
  const Content content = packable_content(700001);
  expect_sound_packing<XzPacking>(packed(content, 0), content, 40);
  expect_sound_packing<XzPacking>(packed(content, 60000), content, 150);
  expect_content<XzPacking>(packed(content, 60000, 0, LZMA_CHECK_SHA256), content);
}

TEST(Xz, StreamsAreOneContent) {
  const Content content = packable_content(200000);
  Content file = packed(content, 60000);
  file.resize(file.size() + 8);  // stream padding
  const Content second = packed(content, 0);
  file.insert(file.end(), second.begin(), second.end());
  Content twice = content;
  twice.insert(twice.end(), content.begin(), content.end());
  expect_content<XzPacking>(file, twice);
  expect_content<XzPacking>(file, twice, OptionList().flag("spool", true));
}

TEST(Xz, OneBlockIsEnough) {
  const Content content = packable_content(700001);
  PackedDisk<XzPacking> disk(packed(content, 60000));
  const auto node = disk.open();
  ASSERT_TRUE(node);
  const uint64_t before = disk.memory->reads;
  uint8_t byte = 0;
  ASSERT_TRUE(node->ref().read(quiet_call(), 650000, &byte, 1));
  EXPECT_EQ(byte, content[650000]);
  EXPECT_EQ(disk.memory->reads, before + 1);
}

/** Blocks too large to be held are unpacked in order. */
TEST(Xz, LargeBlocks) {
  Content content = packable_content(1000000);
  content.resize(60u << 20);
  content.back() = 1;
  expect_content<XzPacking>(packed(content, 50u << 20), content);
}

TEST(Xz, DictionariesAreNoLargerThanBlocks) {
  const Content content = packable_content(2000000);
  const Content file = packed(content, 60000, 9);
  expect_content<XzPacking>(file, content);
}

}  // namespace
}  // namespace instar::xz
