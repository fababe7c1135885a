// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/digest/digest.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "sdk/cpp/digest.hpp"

namespace instar::digest {
namespace {

template <int kAlgorithm>
const instar_digest_ops* table() {
  return sdk::DigestTable<DigestOf<kAlgorithm>>::ops();
}

std::string hex_of(const instar_digest_ops* ops, const std::string& text) {
  void* context = nullptr;
  EXPECT_EQ(ops->open(nullptr, nullptr, &context), 0);
  ops->update(context, text.data(), text.size() / 2);
  ops->update(context, text.data() + text.size() / 2, text.size() - text.size() / 2);
  std::array<uint8_t, 64> out{};
  EXPECT_EQ(ops->finish(context, out.data(), 4), -ENOSPC);
  const int64_t length = ops->finish(context, out.data(), out.size());
  ops->close(context);
  std::string hex;
  for (int64_t i = 0; i < length; ++i)
    for (const int shift : {4, 0})
      hex += "0123456789abcdef"[out[static_cast<size_t>(i)] >> shift & 15];
  return hex;
}

// FIPS 180-2, appendix B; RFC 7693, appendix A.
TEST(Digest, KnownAnswers) {
  EXPECT_EQ(hex_of(table<GCRY_MD_SHA256>(), "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of(table<GCRY_MD_SHA1>(), "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_of(table<GCRY_MD_MD5>(), "abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(
      hex_of(table<GCRY_MD_BLAKE2B_512>(), "abc"),
      "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de45"
      "33cc9518d38aa8dbf1925ab92386edd4009923");
}

TEST(Digest, WhatTheLibraryLacks) {
  const auto none = Digest::begin(GCRY_MD_NONE + 12345);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ENOTSUP);
}

}  // namespace
}  // namespace instar::digest
