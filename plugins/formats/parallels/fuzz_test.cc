// SPDX-License-Identifier: Apache-2.0
// Random damage: an error or some content, never a crash, a hang or much memory; what was repaired is
// in order.
#include <cstdlib>
#include <random>

#include "plugins/formats/parallels/testing.hpp"

namespace instar::parallels::testing {
namespace {

constexpr size_t kLargest = 1u << 20;  // clusters and tables of images that may grow
constexpr int kRounds = sdk::testing::kSanitized ? 500 : 5000;

std::vector<uint8_t> image(std::string_view magic) {
  Disk disk;
  EXPECT_TRUE(disk.create());
  auto node = disk.open();
  for (uint8_t i = 0; i < 6; ++i)
    write(*node, i * 2 * kCluster, kCluster, i + 1);
  EXPECT_TRUE(node->close());
  Header header = disk.header();
  magic.copy(header.magic, sizeof header.magic);
  disk.set_header(header);
  if (magic == kMagicSectors)
    for (size_t i = 0; i < kClusters; ++i)
      disk.set_entry(i, disk.entry(i) * header.tracks);
  return disk.bytes();
}

/** Mostly the header and the table. */
void damage(std::vector<uint8_t>& bytes, std::mt19937_64& random) {
  if (random() % 8 == 0) bytes.resize(random() % bytes.size());
  if (bytes.size() < 200) return;
  for (uint64_t n = 1 + random() % 6; n > 0; --n) {
    const uint64_t range = random() % 4 == 0 ? bytes.size() - 8 : 64 + 4 * kClusters;
    const uint64_t at = random() % (range / 4) * 4;
    switch (random() % 5) {
      case 0:
        bytes[at + random() % 4] = static_cast<uint8_t>(random());
        break;
      case 1:
        sdk::store_le(&bytes[at], random());
        break;
      case 2:
        sdk::store_le(&bytes[at], kInUse);
        break;
      default:
        sdk::store_le(&bytes[at], static_cast<uint32_t>(random() % 130));
    }
  }
}

/** Uses an image in every way; results do not matter. */
void exercise(const OwnedNode& node, bool writes, std::mt19937_64& random) {
  const auto size = node.ref().size();
  ASSERT_TRUE(size);
  std::vector<instar_extent> extents(64);
  if (*size != 0) (void)node.ref().extents(quiet_call(), 0, *size, extents.data(), extents.size());
  std::vector<uint8_t> buffer(std::min<uint64_t>(*size, 20000));
  for (int i = 0; i < 4 && !buffer.empty(); ++i) {
    const uint64_t at = random() % (*size - buffer.size() + 1) / kSector * kSector;
    (void)node.ref().read(quiet_call(), at, buffer.data(), buffer.size());
    if (writes && i % 2 == 0)
      (void)node.ref().write(quiet_call(), at, buffer.data(), buffer.size());
    if (writes && i % 2 == 1) (void)node.ref().write_zeroes(quiet_call(), at, buffer.size(), 0);
  }
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const std::vector<uint8_t> seeds[] = {image(kMagicSectors), image(kMagicClusters)};
  const char* longer = std::getenv("INSTAR_FUZZ_ROUNDS");
  const int rounds = longer != nullptr ? std::atoi(longer) : kRounds;
  std::mt19937_64 random(1);
  int repaired = 0;
  for (int round = 0; round < rounds; ++round) {
    Disk disk(seeds[round % 2]);
    damage(disk.bytes(), random);
    if (!disk.open(INSTAR_OPEN_CHECK)) continue;
    (void)disk.check();
    const Header header = disk.header();
    const bool small = std::max(header.cluster_bytes(), header.bat_end() * kSector) <= kLargest;
    const bool writes = small && random() % 2 == 0;
    if (const auto node = disk.open(writes ? uint32_t{INSTAR_OPEN_WRITE} : 0u); node)
      exercise(*node, writes, random);
    if (!small) continue;
    const auto fixed = disk.check(kFixAll);
    if (fixed.status != 0) continue;
    ++repaired;
    const auto again = disk.check();
    ASSERT_EQ(again.messages, "") << "round " << round << ": " << fixed.messages;
  }
  EXPECT_GT(repaired, rounds / 4);
}

}  // namespace
}  // namespace instar::parallels::testing
