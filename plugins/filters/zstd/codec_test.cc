// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zstd/codec.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace instar::zstd {
namespace {

using Block = std::vector<uint8_t>;

std::unique_ptr<ZstdCodec> open(int level = 0, uint32_t window_bits = 0, uint64_t max_output = 0) {
  const instar_codec_params params{sizeof params, INSTAR_FRAMING_DEFAULT, level, window_bits,
                                   max_output};
  auto codec = ZstdCodec::open(params);
  EXPECT_TRUE(codec) << codec.error().message;
  return std::move(*codec);
}

Block pack(ZstdCodec& codec, const Block& in) {
  Block out(ZstdCodec::bound(in.size()));
  const auto length = codec.compress(in, out);
  EXPECT_TRUE(length);
  EXPECT_GT(*length, 0);
  out.resize(static_cast<size_t>(std::max<int64_t>(*length, 0)));
  return out;
}

// Half text, half noise, so that there are matches and literals.
Block mixed(size_t size, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Block block(size);
  for (size_t i = 0; i < size; ++i)
    block[i] = static_cast<uint8_t>(i / 512 % 2 == 0 ? random() : "lorem ipsum dolor "[i % 18]);
  return block;
}

TEST(ZstdCodec, RoundTrip) {
  for (const int level : {-5, 0, 1, 3, 9, 19})
    for (const size_t size : {0, 1, 511, 512, 65536, 65537, 2 << 20}) {
      const auto codec = open(level);
      const Block in = mixed(size);
      const Block packed = pack(*codec, in);
      Block out(in.size());
      const auto length = codec->decompress(packed, out);
      ASSERT_TRUE(length) << length.error().message;
      EXPECT_EQ(static_cast<size_t>(*length), size);
      EXPECT_EQ(out, in);
    }
}

TEST(ZstdCodec, FrameHasItsSizeAndOneFrame) {
  const Block in = mixed(65536);
  const Block packed = pack(*open(), in);
  EXPECT_EQ(ZSTD_getFrameContentSize(packed.data(), packed.size()), in.size());
  EXPECT_EQ(ZSTD_findFrameCompressedSize(packed.data(), packed.size()), packed.size());
}

TEST(ZstdCodec, ResultDoesNotDependOnEarlierBlocks) {
  const auto used = open();
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Block in = mixed(4096 << (seed % 5), seed);
    EXPECT_EQ(pack(*used, in), pack(*open(), in));
  }
}

TEST(ZstdCodec, NoSpace) {
  const auto codec = open();
  const Block in = mixed(65536);
  const Block packed = pack(*codec, in);
  for (const size_t room : {size_t{0}, size_t{1}, packed.size() / 2, packed.size() - 1}) {
    Block out(room);
    const auto length = codec->compress(in, out);
    ASSERT_TRUE(length) << length.error().message;
    EXPECT_EQ(*length, -ENOSPC);
  }
}

TEST(ZstdCodec, IgnoresWhatFollowsTheFrame) {
  const auto codec = open();
  const Block in = mixed(65536);
  for (const uint8_t filler : {0x00, 0xee}) {
    Block packed = pack(*codec, in);
    packed.resize(packed.size() + 511, filler);
    Block out(in.size() + 100);
    const auto length = codec->decompress(packed, out);
    ASSERT_TRUE(length) << length.error().message;
    EXPECT_EQ(static_cast<size_t>(*length), in.size());
  }
}

TEST(ZstdCodec, StopsWhenTheOutputIsFull) {
  const auto codec = open();
  const Block in = mixed(65536);
  const Block packed = pack(*codec, in);
  for (const size_t room : {size_t{1}, size_t{512}, in.size() - 1}) {
    Block out(room + 1, 0xa5);
    const auto length = codec->decompress(packed, sdk::Bytes(out).first(room));
    ASSERT_TRUE(length) << length.error().message;
    EXPECT_EQ(static_cast<size_t>(*length), room);
    EXPECT_TRUE(std::equal(out.begin(), out.end() - 1, in.begin()));
    EXPECT_EQ(out[room], 0xa5);
    Block whole(in.size());
    ASSERT_TRUE(codec->decompress(packed, whole));
    EXPECT_EQ(whole, in);
  }
}

TEST(ZstdCodec, SeveralFramesAreOneBlock) {
  const auto codec = open();
  const Block in = mixed(40000);
  const Block first(in.begin(), in.begin() + 10000);
  const Block second(in.begin() + 10000, in.end());
  Block packed = pack(*codec, first);
  const Block more = pack(*codec, second);
  packed.insert(packed.end(), more.begin(), more.end());
  Block out(in.size());
  const auto length = codec->decompress(packed, out);
  ASSERT_TRUE(length);
  EXPECT_EQ(out, in);
}

TEST(ZstdCodec, MaxOutputRefusesMore) {
  const Block in = mixed(5000);
  const Block packed = pack(*open(), in);
  Block out(8192);
  EXPECT_TRUE(open(0, 0, 5000)->decompress(packed, out));
  EXPECT_FALSE(open(0, 0, 4999)->decompress(packed, out));
  // Also when the output has no room for more either.
  Block full(4999);
  EXPECT_FALSE(open(0, 0, 4999)->decompress(packed, full));
}

TEST(ZstdCodec, MaxOutputIsForAllFrames) {
  Block packed = pack(*open(), mixed(3000));
  packed.insert(packed.end(), packed.begin(), packed.end());
  Block out(5000);
  EXPECT_FALSE(open(0, 0, 5000)->decompress(packed, out));
  out.resize(6000);
  EXPECT_TRUE(open(0, 0, 6000)->decompress(packed, out));
}

TEST(ZstdCodec, ContentOfUnknownLengthIsWrittenOtherwiseThanTheLargestLength) {
  // One segment of 2^64 - 1 bytes, as its header says, with a block of one repeated byte.
  Block frame = {0x28, 0xb5, 0x2f, 0xfd, 0xe0};
  frame.insert(frame.end(), 8, 0xff);
  for (const uint8_t byte : {0x03, 0x80, 0x00, 0x72})  // the last block, 4096 times 'r'
    frame.push_back(byte);
  Block out(4096);
  EXPECT_FALSE(open(0, 0, 4096)->decompress(frame, out));
}

TEST(ZstdCodec, WideWindowIsRefusedInsteadOfAllocated) {
  // A frame of unknown size with a window of 128 MiB: streaming it would take that much memory.
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> writer(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(writer.get(), ZSTD_c_windowLog, 27);
  const Block in = mixed(70000);
  Block packed(ZSTD_compressBound(in.size()) + 100);
  ZSTD_outBuffer output{packed.data(), packed.size(), 0};
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  ASSERT_FALSE(ZSTD_isError(ZSTD_compressStream2(writer.get(), &output, &input, ZSTD_e_continue)));
  ASSERT_EQ(ZSTD_compressStream2(writer.get(), &output, &input, ZSTD_e_end), 0u);
  packed.resize(output.pos);
  Block whole(in.size());
  ASSERT_TRUE(open()->decompress(packed, whole));
  EXPECT_EQ(whole, in);
  Block part(4096);
  const auto refused = open()->decompress(packed, part);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EIO);
}

TEST(ZstdCodec, RefusesParameters) {
  for (const instar_codec_params& params :
       {instar_codec_params{24, INSTAR_FRAMING_RAW, 0, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_DEFAULT, 1000, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_DEFAULT, 0, 64, 0}}) {
    const auto codec = ZstdCodec::open(params);
    ASSERT_FALSE(codec);
    EXPECT_EQ(codec.error().code, EINVAL);
  }
}

TEST(ZstdCodec, DamagedFrames) {
  std::mt19937_64 random(7);
  const auto codec = open();
  for (int round = 0; round < 5000; ++round) {
    const Block in = mixed(1 + random() % 20000, static_cast<uint64_t>(round));
    Block packed = pack(*codec, in);
    if (random() % 2 == 0) packed.resize(random() % packed.size());
    for (uint64_t changes = random() % 8; changes > 0 && !packed.empty(); --changes)
      packed[random() % packed.size()] = static_cast<uint8_t>(random());
    Block out(in.size());
    const auto length = codec->decompress(packed, out);
    const bool sane =
        length ? static_cast<size_t>(*length) <= out.size() : length.error().code == EIO;
    EXPECT_TRUE(sane);
  }
}

}  // namespace
}  // namespace instar::zstd
