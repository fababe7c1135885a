// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/hash/digest.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace instar::hash {
namespace {

std::string digest(const std::string& algorithm, const std::string& text, uint64_t zeroes = 0) {
  Digest digest;
  EXPECT_TRUE(digest.start(algorithm));
  if (!text.empty()) {
    std::memcpy(digest.block(), text.data(), text.size());
    digest.add(text.size());
  }
  digest.add_zeroes(zeroes);
  return digest.finish();
}

// FIPS 180-2, appendix B; RFC 7693, appendix A.
TEST(Digest, KnownAnswers) {
  EXPECT_EQ(digest("sha256", "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("sha1", "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(
      digest("blake2b-512", "abc"),
      "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de45"
      "33cc9518d38aa8dbf1925ab92386edd4009923");
}

TEST(Digest, EveryAlgorithmIsThere) {
  const std::string names = algorithm_names();
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = std::min(names.find(' ', begin), names.size());
    Digest digest;
    EXPECT_TRUE(digest.start(names.substr(begin, end - begin))) << names.substr(begin, end - begin);
    begin = end + 1;
  }
}

TEST(Digest, ZeroesAreBytesLikeOthers) {
  Digest digest;
  ASSERT_TRUE(digest.start("sha256"));
  constexpr uint64_t kBlocks = 9;  // more than are in use at a time
  for (uint64_t i = 0; i < kBlocks; ++i) {
    std::memset(digest.block(), 0, Digest::kBlock);
    digest.add(Digest::kBlock);
  }
  EXPECT_EQ(digest.finish(), hash::digest("sha256", "", kBlocks * Digest::kBlock));
}

TEST(Digest, UnknownNames) {
  Digest digest;
  const auto status = digest.start("sha257");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "Unknown hash algorithm 'sha257'");
  EXPECT_NE(status.error().hint.find("sha256"), std::string::npos);
}

}  // namespace
}  // namespace instar::hash
