// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "plugins/formats/vpc/image.hpp"
#include "sdk/cpp/testing_repair.hpp"

namespace instar::vpc {
namespace {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;

constexpr uint64_t kSize = 3 * uint64_t{kDefaultBlockSize};
constexpr uint64_t kTable = sizeof(Footer) + sizeof(DynamicHeader);

std::vector<uint8_t> image(const std::string& subformat) {
  const auto disk = std::make_shared<MemoryDisk>();
  const auto file = sdk::testing::memory_node(disk);
  FakeHost host;
  host.children["file"] = file.abi();
  const auto options =
      OptionList().number("size", kSize).flag("force_size", true).text("subformat", subformat);
  EXPECT_TRUE(host.create(FormatTable<Image>::ops(), "disk.vhd", options));
  auto node = host.open(FormatTable<Image>::ops(), "disk.vhd", INSTAR_OPEN_WRITE);
  EXPECT_TRUE(node->ref().write(quiet_call(), 512, "instar", 6));
  EXPECT_TRUE(node->close());
  return disk->bytes;
}

template <class Structure>
void renew(std::vector<uint8_t>& bytes, size_t at) {
  if (bytes.size() < at + sizeof(Structure)) return;
  Structure structure;
  std::memcpy(&structure, &bytes[at], sizeof structure);
  structure.checksum = checksum_of(structure);
  std::memcpy(&bytes[at], &structure, sizeof structure);
}

void seal(std::vector<uint8_t>& bytes) {
  renew<Footer>(bytes, 0);
  renew<DynamicHeader>(bytes, sizeof(Footer));
  if (bytes.size() >= sizeof(Footer)) renew<Footer>(bytes, bytes.size() - sizeof(Footer));
}

TEST(Fuzz, RandomDamageOfDynamicImagesIsHarmless) {
  const sdk::testing::DamageTest test{.format = FormatTable<Image>::ops(),
                                      .images = {image("dynamic")},
                                      .tables = {0, sizeof(Footer), kTable},
                                      .seal = seal};
  EXPECT_EQ(test.run(300), "");
}

TEST(Fuzz, RandomDamageOfFixedImagesIsHarmless) {
  const sdk::testing::DamageTest test{.format = FormatTable<Image>::ops(),
                                      .images = {image("fixed")},
                                      .tables = {kSize},
                                      .seal = seal};
  EXPECT_EQ(test.run(200), "");
}

}  // namespace
}  // namespace instar::vpc
