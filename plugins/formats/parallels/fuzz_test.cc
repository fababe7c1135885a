// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/parallels/testing.hpp"
#include "sdk/cpp/testing_repair.hpp"

namespace instar::parallels::testing {
namespace {

std::vector<uint8_t> image(std::string_view magic) {
  Disk disk;
  EXPECT_TRUE(disk.create());
  auto node = disk.open();
  for (uint8_t i = 0; i < 6; ++i)
    write(*node, i * 2 * kCluster, kCluster, i + 1);
  EXPECT_TRUE(node->close());
  Header header = disk.header();
  magic.copy(header.magic, sizeof header.magic);
  header.in_use = magic == kMagicSectors ? kInUse : 0;
  disk.set_header(header);
  if (magic == kMagicSectors)
    for (size_t i = 0; i < kClusters; ++i)
      disk.set_entry(i, disk.entry(i) * header.tracks);
  return disk.bytes();
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const sdk::testing::DamageTest test{.format = FormatTable<Image>::ops(),
                                      .images = {image(kMagicSectors), image(kMagicClusters)},
                                      .tables = {0, sizeof(Header)},
                                      .repairs_all = true};
  EXPECT_EQ(test.run(4000), "");
}

}  // namespace
}  // namespace instar::parallels::testing
