// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/codec.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

#include "plugins/filters/zlib/clusters.hpp"

namespace instar::zlib {
namespace {

using Block = std::vector<uint8_t>;

std::unique_ptr<ZlibCodec> open(uint32_t framing, int level = 0, uint32_t window_bits = 0,
                                uint64_t max_output = 0) {
  const instar_codec_params params{sizeof params, framing, level, window_bits, max_output};
  auto codec = ZlibCodec::open(params);
  EXPECT_TRUE(codec) << codec.error().message;
  return std::move(*codec);
}

Block pack(ZlibCodec& codec, const Block& in) {
  Block out(ZlibCodec::bound(in.size()));
  const auto length = codec.compress(in, out);
  EXPECT_TRUE(length);
  EXPECT_GT(*length, 0);
  out.resize(static_cast<size_t>(std::max<int64_t>(*length, 0)));
  return out;
}

Block text(size_t size) {
  Block block(size);
  for (size_t i = 0; i < size; ++i)
    block[i] = static_cast<uint8_t>("the quick brown fox "[i % 20] + (i / 640) % 3);
  return block;
}

// zlib itself, as a reader with a window of 2^bits bytes (negative: raw).
bool zlib_reads(const Block& packed, const Block& expected, int bits) {
  z_stream stream{};
  if (inflateInit2(&stream, bits) != Z_OK) return false;
  Block out(expected.size() + 1);
  stream.next_in = const_cast<uint8_t*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  const bool equal = stream.total_out == expected.size() && stream.avail_in == 0 &&
                     std::equal(expected.begin(), expected.end(), out.begin());
  inflateEnd(&stream);
  return result == Z_STREAM_END && equal;
}

TEST(ZlibCodec, EveryFramingLevelAndWindowIsReadByZlib) {
  ClusterMaker maker(1);
  for (const uint32_t framing : {INSTAR_FRAMING_RAW, INSTAR_FRAMING_ZLIB, INSTAR_FRAMING_GZIP})
    for (int level = 0; level <= 12; ++level)
      for (const uint32_t window : {9, 12, 15}) {
        const auto codec = open(framing, level, window);
        const int bits = static_cast<int>(window);
        const int zlib_bits = framing == INSTAR_FRAMING_RAW    ? -bits
                              : framing == INSTAR_FRAMING_ZLIB ? 15
                                                               : 15 + 16;
        for (uint64_t n = 0; n < 12; ++n) {
          const Block in = maker.make(n);
          const Block packed = pack(*codec, in);
          EXPECT_TRUE(zlib_reads(packed, in, zlib_bits))
              << framing << ' ' << level << ' ' << window;
          Block out(in.size());
          const auto length = codec->decompress(packed, out);
          ASSERT_TRUE(length);
          EXPECT_EQ(static_cast<size_t>(*length), in.size());
          EXPECT_EQ(out, in);
        }
      }
}

TEST(ZlibCodec, DenseLevelsAreDenserThanZlib) {
  ClusterMaker maker(5);
  size_t ours = 0, zlibs = 0;
  const auto codec = open(INSTAR_FRAMING_RAW, 1, 12);
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY),
            Z_OK);
  for (uint64_t n = 0; n < 300; ++n) {
    Block in = maker.make(n);
    ours += pack(*codec, in).size();
    Block out(deflateBound(&stream, in.size()));
    deflateReset(&stream);
    stream.next_in = in.data();
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    zlibs += stream.total_out;
  }
  deflateEnd(&stream);
  EXPECT_LE(ours, zlibs);
}

TEST(ZlibCodec, DefaultFramingIsZlib) {
  const Block in = text(5000);
  EXPECT_TRUE(zlib_reads(pack(*open(INSTAR_FRAMING_DEFAULT), in), in, 15));
}

TEST(ZlibCodec, ResultDoesNotDependOnEarlierBlocks) {
  for (const int level : {0, 6}) {
    const auto used = open(INSTAR_FRAMING_RAW, level, 12);
    ClusterMaker maker(2);
    for (uint64_t n = 0; n < 40; ++n) {
      const Block in = maker.make(n);
      EXPECT_EQ(pack(*used, in), pack(*open(INSTAR_FRAMING_RAW, level, 12), in));
    }
  }
}

TEST(ZlibCodec, EmptyBlock) {
  for (const int level : {0, 5}) {
    const auto codec = open(INSTAR_FRAMING_RAW, level, 12);
    const Block packed = pack(*codec, {});
    const auto length = codec->decompress(packed, {});
    ASSERT_TRUE(length);
    EXPECT_EQ(*length, 0);
  }
}

TEST(ZlibCodec, NoSpace) {
  ClusterMaker maker(3);
  for (const int level : {0, 3, 9})
    for (const uint32_t window : {12, 15}) {
      const auto codec = open(INSTAR_FRAMING_RAW, level, window);
      for (uint64_t n = 0; n < 30; ++n) {
        const Block in = maker.make(n);
        const Block packed = pack(*codec, in);
        for (const size_t room : {size_t{0}, size_t{1}, packed.size() / 2, packed.size() - 1}) {
          Block out(room + 16, 0xa5);
          const auto length = codec->compress(in, sdk::Bytes(out).first(room));
          ASSERT_TRUE(length);
          EXPECT_EQ(*length, -ENOSPC);
          EXPECT_TRUE(std::all_of(out.begin() + static_cast<ptrdiff_t>(room), out.end(),
                                  [](uint8_t b) { return b == 0xa5; }));
        }
      }
    }
}

TEST(ZlibCodec, IgnoresWhatFollowsTheStream) {
  const Block in = text(65536);
  for (const uint32_t framing : {INSTAR_FRAMING_RAW, INSTAR_FRAMING_ZLIB, INSTAR_FRAMING_GZIP}) {
    const auto codec = open(framing, 0, 12);
    Block packed = pack(*codec, in);
    packed.resize(packed.size() + 511, 0xee);
    Block out(in.size());
    const auto length = codec->decompress(packed, out);
    ASSERT_TRUE(length);
    EXPECT_EQ(out, in);
  }
}

TEST(ZlibCodec, StopsWhenTheOutputIsFull) {
  const Block in = text(65536);
  const auto codec = open(INSTAR_FRAMING_RAW);
  const Block packed = pack(*codec, in);
  for (const size_t room : {size_t{0}, size_t{1}, size_t{512}, in.size() - 1}) {
    Block out(room + 16, 0xa5);
    const auto length = codec->decompress(packed, sdk::Bytes(out).first(room));
    ASSERT_TRUE(length) << room;
    EXPECT_EQ(static_cast<size_t>(*length), room);
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + static_cast<ptrdiff_t>(room), in.begin()));
    EXPECT_EQ(out[room], 0xa5);
  }
  // What stands behind the last byte that is wanted need not be there.
  Block out(100);
  EXPECT_TRUE(codec->decompress(sdk::ConstBytes(packed).first(packed.size() - 1), out));
}

TEST(ZlibCodec, ShortStreamGivesItsLength) {
  const Block in = text(1000);
  const auto codec = open(INSTAR_FRAMING_RAW);
  Block out(4096);
  const auto length = codec->decompress(pack(*codec, in), out);
  ASSERT_TRUE(length);
  EXPECT_EQ(*length, 1000);
}

TEST(ZlibCodec, MaxOutputRefusesMore) {
  const Block in = text(5000);
  const Block packed = pack(*open(INSTAR_FRAMING_ZLIB), in);
  Block out(8192);
  EXPECT_TRUE(open(INSTAR_FRAMING_ZLIB, 0, 0, 5000)->decompress(packed, out));
  const auto refused = open(INSTAR_FRAMING_ZLIB, 0, 0, 4999)->decompress(packed, out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EIO);
}

TEST(ZlibCodec, RefusesParameters) {
  for (const instar_codec_params& params :
       {instar_codec_params{24, 99, 0, 0, 0}, instar_codec_params{24, INSTAR_FRAMING_RAW, -1, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_RAW, 13, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_RAW, 0, 8, 0},
        instar_codec_params{24, INSTAR_FRAMING_RAW, 0, 16, 0}}) {
    const auto codec = ZlibCodec::open(params);
    ASSERT_FALSE(codec);
    EXPECT_EQ(codec.error().code, EINVAL);
  }
}

TEST(ZlibCodec, DamagedStreams) {
  std::mt19937_64 random(7);
  ClusterMaker maker(4);
  for (const uint32_t framing : {INSTAR_FRAMING_RAW, INSTAR_FRAMING_ZLIB, INSTAR_FRAMING_GZIP}) {
    const auto codec = open(framing, 0, 12);
    for (int round = 0; round < 2000; ++round) {
      const Block in = maker.make(random() % 50);
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
  Block out(512);
  EXPECT_FALSE(open(INSTAR_FRAMING_RAW)->decompress({}, out));
}

}  // namespace
}  // namespace instar::zlib
