// SPDX-License-Identifier: Apache-2.0
// What the conformance kit can't know; it has the rest.
#include "plugins/filters/xz/codec.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace instar::xz {
namespace {

using Block = std::vector<uint8_t>;

Block text(size_t size) {
  Block block(size);
  for (size_t i = 0; i < size; ++i)
    block[i] = static_cast<uint8_t>("lorem ipsum dolor "[i % 18] + i / 5000 % 7);
  return block;
}

TEST(XzCodec, MaxOutputRefusesMore) {
  const auto open = [](uint64_t max_output) {
    return *XzCodec::open({sizeof(instar_codec_params), INSTAR_FRAMING_DEFAULT, 0, 0, max_output});
  };
  const Block in = text(100000);
  Block packed(XzCodec::bound(in.size()));
  const auto length = open(0)->compress(in, packed);
  ASSERT_TRUE(length);
  ASSERT_GT(*length, 0);
  EXPECT_LT(*length, 20000);
  packed.resize(static_cast<size_t>(*length));
  Block out(in.size() + 100);
  EXPECT_EQ(*open(in.size())->decompress(packed, out), 100000);
  EXPECT_TRUE(std::equal(in.begin(), in.end(), out.begin()));
  const auto refused = open(in.size() - 1)->decompress(packed, out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EIO);
  packed.resize(packed.size() / 2);
  EXPECT_EQ(open(0)->decompress(packed, out).error().message, "the xz stream is damaged");
}

TEST(XzCodec, RefusesParameters) {
  for (const instar_codec_params& params :
       {instar_codec_params{24, INSTAR_FRAMING_RAW, 0, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_DEFAULT, 10, 0, 0},
        instar_codec_params{24, INSTAR_FRAMING_DEFAULT, 0, 15, 0}}) {
    const auto codec = XzCodec::open(params);
    ASSERT_FALSE(codec);
    EXPECT_EQ(codec.error().code, EINVAL);
  }
}

}  // namespace
}  // namespace instar::xz
