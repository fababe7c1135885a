// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/lz4/codec.hpp"

#include <gtest/gtest.h>
#include <lz4.h>

#include <algorithm>
#include <random>
#include <vector>

namespace instar::lz4 {
namespace {

using Block = std::vector<uint8_t>;

std::unique_ptr<Lz4Codec> open(int level = 0, uint64_t max_output = 0) {
  const instar_codec_params params{sizeof params, INSTAR_FRAMING_DEFAULT, level, 0, max_output};
  auto codec = Lz4Codec::open(params);
  EXPECT_TRUE(codec) << codec.error().message;
  return std::move(*codec);
}

Block pack(Lz4Codec& codec, const Block& in) {
  Block out(Lz4Codec::bound(in.size()));
  const auto length = codec.compress(in, out);
  EXPECT_TRUE(length);
  EXPECT_GT(*length, 0);
  out.resize(static_cast<size_t>(std::max<int64_t>(*length, 0)));
  return out;
}

Block mixed(size_t size, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Block block(size);
  for (size_t i = 0; i < size; ++i)
    block[i] = static_cast<uint8_t>(i / 512 % 2 == 0 ? random() : "lorem ipsum dolor "[i % 18]);
  return block;
}

TEST(Lz4Codec, RoundTripAndReadByTheLibrary) {
  for (const int level : {0, 1, 6, 12})
    for (const size_t size : {0, 1, 511, 512, 65536, 65537, 2 << 20}) {
      const auto codec = open(level);
      const Block in = mixed(size);
      const Block packed = pack(*codec, in);
      Block out(in.size());
      const auto length = codec->decompress(packed, out);
      ASSERT_TRUE(length);
      EXPECT_EQ(static_cast<size_t>(*length), size);
      EXPECT_EQ(out, in);
      Block again(in.size() + 1);
      EXPECT_EQ(
          LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()),
                              reinterpret_cast<char*>(again.data()),
                              static_cast<int>(packed.size()), static_cast<int>(again.size())),
          static_cast<int>(size));
    }
}

TEST(Lz4Codec, ResultDoesNotDependOnEarlierBlocks) {
  for (const int level : {0, 9}) {
    const auto used = open(level);
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const Block in = mixed(4096 << (seed % 5), seed);
      EXPECT_EQ(pack(*used, in), pack(*open(level), in));
    }
  }
}

TEST(Lz4Codec, NoSpace) {
  for (const int level : {0, 9}) {
    const auto codec = open(level);
    const Block in = mixed(65536);
    const Block packed = pack(*codec, in);
    for (const size_t room : {size_t{0}, size_t{1}, packed.size() / 2, packed.size() - 1}) {
      Block out(room);
      const auto length = codec->compress(in, out);
      ASSERT_TRUE(length);
      EXPECT_EQ(*length, -ENOSPC);
    }
  }
}

TEST(Lz4Codec, FullOutputEndsTheBlock) {
  const auto codec = open();
  const Block in = mixed(65536);
  Block packed = pack(*codec, in);
  packed.resize(packed.size() + 511, 0xee);
  for (const size_t room : {size_t{0}, size_t{1}, size_t{512}, in.size()}) {
    Block out(room + 1, 0xa5);
    const auto length = codec->decompress(packed, sdk::Bytes(out).first(room));
    ASSERT_TRUE(length);
    EXPECT_EQ(static_cast<size_t>(*length), room);
    EXPECT_TRUE(std::equal(out.begin(), out.end() - 1, in.begin()));
    EXPECT_EQ(out[room], 0xa5);
  }
}

TEST(Lz4Codec, MaxOutputRefusesMore) {
  const Block in = mixed(5000);
  const Block packed = pack(*open(), in);
  Block out(8192);
  EXPECT_TRUE(open(0, 5000)->decompress(packed, out));
  EXPECT_FALSE(open(0, 4999)->decompress(packed, out));
}

TEST(Lz4Codec, RefusesParameters) {
  for (const instar_codec_params& params :
       {instar_codec_params{24, INSTAR_FRAMING_RAW, 0, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_DEFAULT, -1, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_DEFAULT, 13, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_DEFAULT, 0, 12, 0}}) {
    const auto codec = Lz4Codec::open(params);
    ASSERT_FALSE(codec);
    EXPECT_EQ(codec.error().code, EINVAL);
  }
}

TEST(Lz4Codec, DamagedBlocks) {
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
}  // namespace instar::lz4
