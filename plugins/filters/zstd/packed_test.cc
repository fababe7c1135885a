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

/** Frames of `piece` bytes, one behind another. */
Content frames(const Content& content, size_t piece, bool tells_length = true) {
  Content file;
  for (size_t at = 0; at < content.size(); at += piece)
    append(file, packed({&content[at], std::min(piece, content.size() - at)}, tells_length));
  return file;
}

void append_skippable(Content& file, const Content& inside) {
  append_number(file, 0x184d2a50);
  append_number(file, inside.size());
  append(file, inside);
}

/** As pzstd makes them: each frame's length in a skippable frame before it. */
Content pzstd_frames(const Content& content, size_t piece) {
  Content file;
  for (size_t at = 0; at < content.size(); at += piece) {
    const Content frame = packed({&content[at], std::min(piece, content.size() - at)}, false);
    Content length;
    append_number(length, frame.size());
    append_skippable(file, length);
    append(file, frame);
  }
  return file;
}

/** Without a temporary file, and without being unpacked twice. */
void expect_pieces(const Content& file, const Content& content) {
  const NoTemporaryFiles none;
  expect_random_access<ZstdPacking>(file, content);
  PackedDisk<ZstdPacking> disk(file);
  const auto node = disk.open();
  ASSERT_TRUE(node);
  const auto got = read_forward(node->ref(), 700001);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(*got == content);
}

TEST(Zstd, FramesOfKnownLength) {
  const Content content = packable_content(5000001);
  for (const size_t piece : {60000, 1500000}) {
    const Content file = frames(content, piece);
    expect_sound_packing<ZstdPacking>(file, content, 100);
    expect_pieces(file, content);
  }
}

TEST(Zstd, FramesOfPzstd) {
  const Content content = packable_content(5000001);
  const Content file = pzstd_frames(content, 1500000);
  expect_sound_packing<ZstdPacking>(file, content, 100);
  expect_pieces(file, content);
  for (size_t zeroes = 1; zeroes < 20; zeroes += 5) {
    Content padded = file;
    padded.resize(file.size() + zeroes);
    expect_pieces(padded, content);
  }
}

TEST(Zstd, LengthsAreFoundWithoutUnpacking) {
  constexpr size_t kFrame = 16u << 20;
  std::mt19937 random(3);
  Content content(4 * kFrame);
  for (auto& byte : content)
    byte = static_cast<uint8_t>(random());
  PackedDisk<ZstdPacking> disk(frames(content, kFrame));
  const auto node = disk.open();
  ASSERT_TRUE(node);
  ASSERT_TRUE(find_size(node->ref(), true));
  EXPECT_EQ(node->ref().size().operator*(), content.size());
  EXPECT_LT(disk.memory->reads, 100u) << "large reads";
}

TEST(Zstd, SkippableFramesAreSkipped) {
  const Content content = packable_content(3000000);
  for (const size_t length : {2, 4, 100, 100000, 3000000}) {
    Content file;
    append_skippable(file, Content(length, 'x'));
    append(file, frames({content.begin(), content.begin() + 1700000}, 500000));
    append_skippable(file, Content(length, 'x'));
    append(file, frames({content.begin() + 1700000, content.end()}, 500000));
    append_skippable(file, Content(length, 'x'));
    expect_content<ZstdPacking>(file, content);
    expect_pieces(file, content);
    expect_cuts_are_found<ZstdPacking>(file);
  }
  // Nothing but that, very often.
  Content endless;
  for (int i = 0; i < 1000000; ++i)
    append_skippable(endless, {});
  expect_content<ZstdPacking>(endless, {});
  append(endless, packed(content));
  expect_content<ZstdPacking>(endless, content);
}

TEST(Zstd, WhatPzstdMayNotHaveWrittenIsNotTrusted) {
  const Content content = packable_content(3000000);
  const Content file = pzstd_frames(content, 1000000);
  for (const uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{5000}, uint64_t{0xffffffff},
                                sdk::load_le<uint32_t>(&file[8]) + uint64_t{1}}) {
    Content lying;
    append_number(lying, length);
    Content other = file;
    std::copy(lying.begin(), lying.end(), other.begin() + 8);
    expect_content<ZstdPacking>(other, content);
  }
  // It leads from one to another, but not along the frames.
  const Content bait = pzstd_frames(packable_content(1000), 1000);
  Content lying;
  append_number(lying, 20);
  Content other;
  append_skippable(other, lying);
  append(other, packed(bait, false));  // stored as it is: what is led to is in there
  append(other, file);
  const auto got = unpacked<ZstdPacking>(other);
  Content wanted = bait;
  append(wanted, content);
  if (got) {
    EXPECT_TRUE(*got == wanted);
  }
}

TEST(Zstd, FramesThatLieAboutTheirLengthAreErrors) {
  const Content content = packable_content(300);
  for (const int more : {-1, 1}) {
    Content file = frames(content, 100);
    ASSERT_EQ(file[5], 100);  // of the first frame's content
    file[5] = static_cast<uint8_t>(100 + more);
    EXPECT_FALSE(unpacked<ZstdPacking>(file));
    EXPECT_FALSE(unpacked<ZstdPacking>(file, OptionList().flag("spool", true)));
  }
}

TEST(Zstd, PiecesMayEndBeforeTheFileDoes) {
  const Content content = packable_content(2000000);
  Content file = frames(content, 600000);
  Content wanted = content;
  for (int i = 0; i < 2; ++i) {
    append(file, packed(content, false));  // of unknown length
    append(wanted, content);
  }
  expect_content<ZstdPacking>(file, wanted);
  expect_random_access<ZstdPacking>(file, wanted);
  expect_cuts_are_found<ZstdPacking>(file);
  PackedDisk<ZstdPacking> disk(file);
  const auto node = disk.open();
  ASSERT_TRUE(node);
  const auto got = read_forward(node->ref(), 700001);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(*got == wanted);
  append(file, {'x'});
  EXPECT_FALSE(unpacked<ZstdPacking>(file));
}

/** A frame that is no piece: too much would have to be held. */
TEST(Zstd, LargeFrames) {
  Content content = packable_content(700000);
  content.resize(60u << 20);
  Content file = pzstd_frames(content, content.size());
  append(file, pzstd_frames(content, 8u << 20));
  Content wanted = content;
  append(wanted, content);
  expect_content<ZstdPacking>(file, wanted);
  // Its length is trusted, as looking for its end would take long.
  file = packed(content);
  append(file, packed(content));
  EXPECT_FALSE(unpacked<ZstdPacking>(file));
  expect_content<ZstdPacking>(file, wanted, OptionList().flag("spool", true));
}

}  // namespace
}  // namespace instar::zstd
