// SPDX-License-Identifier: Apache-2.0
// Images that are broken at random places: an error or some content, never a crash or a hang.
#include "plugins/formats/vhdx/checksum.hpp"
#include "plugins/formats/vhdx/testing.hpp"
#include "sdk/cpp/testing_damage.hpp"

namespace instar::vhdx::testing {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kHeaders[] = {64 * kKiB, 128 * kKiB};
constexpr uint64_t kRegions[] = {192 * kKiB, 256 * kKiB};

/** So that damage gets past them. */
void renew_checksums(std::vector<uint8_t>& bytes) {
  for (const uint64_t offset : kHeaders)
    if (offset + 4 * kKiB <= bytes.size()) set_checksum(&bytes[offset], 4 * kKiB);
  for (const uint64_t offset : kRegions)
    if (offset + 64 * kKiB <= bytes.size()) set_checksum(&bytes[offset], 64 * kKiB);
}

TEST(Fuzz, RandomDamageIsHarmless) {
  Disk sound;
  ASSERT_TRUE(sound.create());
  std::vector<uint8_t> with_log;
  {
    const auto node = sound.open();
    write(*node, kBlock, 1000, 7);
    write(*node, 4 * kBlock, 1000, 8);
    ASSERT_TRUE(node->ref().flush(quiet_call()));
    with_log = sound.bytes();
  }
  const std::vector<uint64_t> tables = {kHeaders[0], kHeaders[1], kRegions[0], kRegions[1], kMiB,
                                        kMiB + 4096, kBat,        kMetadata,   kItems};
  std::mt19937_64 random(1);
  int opened = 0;
  const int rounds = sdk::testing::damage_rounds(150);
  for (int round = 0; round < rounds; ++round) {
    Disk disk(round % 3 == 0 ? with_log : sound.bytes());
    disk.memory->room = 64 * kMiB;
    sdk::testing::damage(disk.bytes(), random, tables);
    if (random() % 8 != 0) renew_checksums(disk.bytes());
    const bool writes = random() % 2 == 0;
    const auto node = disk.open(writes ? uint32_t{INSTAR_OPEN_WRITE} : 0u);
    if (!node) continue;
    ++opened;
    sdk::testing::exercise(node->ref(), writes, random);
  }
  EXPECT_GT(opened, rounds / 20);
}

}  // namespace
}  // namespace instar::vhdx::testing
