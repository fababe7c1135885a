// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "plugins/formats/vdi/image.hpp"
#include "sdk/cpp/testing_repair.hpp"

namespace instar::vdi {
namespace {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;

constexpr uint64_t kBlocks = 4;

std::vector<uint8_t> image(bool is_static) {
  const auto disk = std::make_shared<MemoryDisk>();
  const auto file = sdk::testing::memory_node(disk);
  FakeHost host;
  host.children["file"] = file.abi();
  const auto options =
      OptionList().number("size", kBlocks * kBlockSize - 512).flag("static", is_static);
  EXPECT_TRUE(host.create(FormatTable<Image>::ops(), "disk.vdi", options));
  auto node = host.open(FormatTable<Image>::ops(), "disk.vdi", INSTAR_OPEN_WRITE);
  EXPECT_TRUE(node->ref().write(quiet_call(), 2 * kBlockSize, "instar", 6));
  EXPECT_TRUE(node->close());
  return disk->bytes;
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const sdk::testing::DamageTest test{
      .format = FormatTable<Image>::ops(),
      .images = {image(false), image(true)},
      .tables = {offsetof(Header, version), offsetof(Header, cylinders), sizeof(Header)}};
  EXPECT_EQ(test.run(150), "");
}

}  // namespace
}  // namespace instar::vdi
