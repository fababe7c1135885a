// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/unpacker.hpp"

#include <gtest/gtest.h>

namespace instar::sdk {
namespace {

constexpr uint64_t kMiB = 1u << 20;

/** MiB of `byte` that may come out of a byte each, up to three GiB. */
uint64_t admitted(PackingRatio& ratio, uint8_t byte) {
  const std::vector<uint8_t> unpacked(kMiB, byte);
  uint64_t count = 0;
  while (count < 3072 && ratio.count(1024, unpacked))
    ++count;
  return count;
}

TEST(PackingRatio, DataIsLimitedBehindTheFirstGiB) {
  PackingRatio ratio(512);  // of 1024 packed bytes come 512 KiB
  EXPECT_EQ(admitted(ratio, 'x'), 2048u);
  const auto refused = ratio.count(0, std::vector<uint8_t>(kMiB, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EFBIG);
}

TEST(PackingRatio, ZeroesAreNot) {
  PackingRatio ratio(1);
  EXPECT_EQ(admitted(ratio, 0), 3072u);
}

TEST(PackingRatio, ZeroesTakeTime) {
  const std::vector<uint8_t> zeroes(kMiB);
  PackingRatio ratio(250);
  for (int i = 0; i < 16 * 1024; ++i)
    ASSERT_TRUE(ratio.count(0, zeroes)) << i << " MiB";
  EXPECT_FALSE(ratio.count(0, zeroes)) << "beyond 16 GiB";
  // More for each packed byte than zstd makes of it.
  EXPECT_TRUE(ratio.count(100, zeroes));
}

TEST(PackingRatio, NorIsAnythingWithoutALimit) {
  PackingRatio ratio(0);
  EXPECT_EQ(admitted(ratio, 'x'), 3072u);
}

}  // namespace
}  // namespace instar::sdk
