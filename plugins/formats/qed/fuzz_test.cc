// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "plugins/formats/qed/image.hpp"
#include "sdk/cpp/testing_repair.hpp"

namespace instar::qed {
namespace {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;

constexpr uint64_t kCluster = 4096;

/** With clusters of data and zeroes, and two L2 tables. */
std::vector<uint8_t> image(uint64_t table_size) {
  const auto disk = std::make_shared<MemoryDisk>();
  const auto file = sdk::testing::memory_node(disk);
  FakeHost host;
  host.children["file"] = file.abi();
  const uint64_t span = table_size * kCluster / sizeof(uint64_t) * kCluster;  // of an L2 table
  const auto options = OptionList()
                           .number("size", 2 * span)
                           .number("cluster_size", kCluster)
                           .number("table_size", table_size);
  EXPECT_TRUE(host.create(FormatTable<Image>::ops(), "disk.qed", options));
  auto node = host.open(FormatTable<Image>::ops(), "disk.qed", INSTAR_OPEN_WRITE);
  const std::vector<uint8_t> data(3 * kCluster, 'x');
  for (const uint64_t at : {uint64_t{0}, 8 * kCluster, span})
    EXPECT_TRUE(node->ref().write(quiet_call(), at, data.data(), data.size()));
  EXPECT_TRUE(node->ref().write_zeroes(quiet_call(), 4 * kCluster, 2 * kCluster));
  EXPECT_TRUE(node->close());
  return disk->bytes;
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const sdk::testing::DamageTest test{.format = FormatTable<Image>::ops(),
                                      .images = {image(1), image(2)},
                                      .tables = {0, kCluster, 2 * kCluster, 3 * kCluster}};
  EXPECT_EQ(test.run(2000), "");
}

}  // namespace
}  // namespace instar::qed
