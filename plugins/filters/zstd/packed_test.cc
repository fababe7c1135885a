// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zstd/packed.hpp"

#include <zstd.h>

#include "sdk/cpp/testing_packed.hpp"

namespace instar::zstd {
namespace {

using namespace sdk::testing;

Content packed(sdk::ConstBytes content, bool tells_length = true) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, tells_length ? 1 : 0);
  Content out(ZSTD_compressBound(content.size()));
  const size_t length =
      ZSTD_compress2(context, out.data(), out.size(), content.data(), content.size());
  EXPECT_FALSE(ZSTD_isError(length));
  ZSTD_freeCCtx(context);
  out.resize(length);
  return out;
}

void append(Content& file, const Content& more) {
  file.insert(file.end(), more.begin(), more.end());
}
void append_number(Content& file, uint64_t number) {
  for (int shift = 0; shift < 32; shift += 8)
    file.push_back(static_cast<uint8_t>(number >> shift));
}

/** Frames of `piece` bytes and the table of them. */
Content seekable(const Content& content, size_t piece, bool checksums) {
  Content file;
  Content table;
  uint32_t count = 0;
  for (size_t at = 0; at < content.size(); at += piece, ++count) {
    const size_t n = std::min(piece, content.size() - at);
    const Content frame = packed({&content[at], n});
    append(file, frame);
    append_number(table, frame.size());
    append_number(table, n);
    if (checksums) append_number(table, 0);
  }
  append_number(file, 0x184d2a5e);
  append_number(file, table.size() + 9);
  append(file, table);
  append_number(file, count);
  file.push_back(checksums ? 0x80 : 0);
  append_number(file, 0x8f92eab1);
  return file;
}

TEST(Zstd, IsSound) {
  const Content content = packable_content(700001);
  expect_sound_packing<ZstdPacking>(packed(content), content);
  expect_sound_packing<ZstdPacking>(packed(content, false), content);
}

TEST(Zstd, SeekTables) {
  const Content content = packable_content(700001);
  for (const bool checksums : {false, true}) {
    const Content file = seekable(content, 60000, checksums);
    expect_sound_packing<ZstdPacking>(file, content);
    PackedDisk<ZstdPacking> disk(file);
    const auto node = disk.open();
    ASSERT_TRUE(node);
    const uint64_t before = disk.memory->reads;
    uint8_t byte = 0;
    ASSERT_TRUE(node->ref().read(quiet_call(), 650000, &byte, 1));
    EXPECT_EQ(disk.memory->reads, before + 1) << "one frame is enough";
  }
}

TEST(Zstd, MoreFramesThanTheHeaderTellsOf) {
  const Content content = packable_content(200000);
  Content file = packed(content);
  append(file, packed(content));
  EXPECT_FALSE(unpacked<ZstdPacking>(file));
  Content twice = content;
  append(twice, content);
  expect_content<ZstdPacking>(file, twice, OptionList().flag("spool", true));
  // A skippable frame first, as pzstd writes them: nothing tells the length.
  Content skippable = {0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'a', 'b'};
  append(skippable, file);
  expect_content<ZstdPacking>(skippable, twice);
}

}  // namespace
}  // namespace instar::zstd
