// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vpc/image.hpp"
#include "sdk/cpp/testing_check.hpp"

namespace instar::vpc {
namespace {

using sdk::testing::Findings;
using sdk::testing::OptionList;

constexpr uint64_t kTable = sizeof(Footer) + sizeof(DynamicHeader);

/** An image of four blocks: 0, 2 and 1 are written, in this order. */
class VpcCheck : public sdk::testing::CheckTest<Image> {
 protected:
  VpcCheck()
      : CheckTest(OptionList().number("size", 4 * kDefaultBlockSize).flag("force_size", true),
                  {0, 2, 1}, kDefaultBlockSize) {}

  uint32_t entry(size_t block) { return sdk::load_be<uint32_t>(at(block)); }
  void set_entry(size_t block, uint32_t sector) { sdk::store_be(at(block), sector); }

 private:
  uint8_t* at(size_t block) { return &image_.disk->bytes[kTable + 4 * block]; }
};

TEST_F(VpcCheck, ASoundImage) {
  const Findings found = check();
  EXPECT_TRUE(found.checked);
  EXPECT_EQ(found.text, "");
  EXPECT_EQ(found.counts.corruptions, 0);
  EXPECT_EQ(found.counts.total_clusters, 4);
  EXPECT_EQ(found.counts.allocated_clusters, 3);
  EXPECT_EQ(found.counts.fragmented_clusters, 2);
  EXPECT_FALSE(check(INSTAR_FIX_ERRORS).checked);
}

TEST_F(VpcCheck, BlocksThatOverlap) {
  set_entry(1, entry(0) + 1);
  const Findings found = check();
  EXPECT_EQ(found.counts.corruptions, 2);  // with what follows, too
  EXPECT_EQ(found.text, "ERROR: block 1 overlaps block 0\nERROR: block 2 overlaps block 1\n");
  set_entry(1, entry(0));
  EXPECT_EQ(check().text, "ERROR: block 1 overlaps block 0\n");
}

TEST_F(VpcCheck, ABlockInTheTable) {
  set_entry(3, 1);
  const Findings found = check();
  EXPECT_EQ(found.counts.corruptions, 2);
  EXPECT_EQ(found.text,
            "ERROR: block 3 overlaps the block table\nERROR: block 0 overlaps block 3\n");
}

TEST_F(VpcCheck, TheFooterAndItsCopy) {
  image_.disk->bytes.back() = 1;
  const Findings found = check();
  EXPECT_EQ(found.counts.corruptions, 1);
  EXPECT_EQ(found.text, "ERROR: the footer and its copy at the beginning differ\n");
}

}  // namespace
}  // namespace instar::vpc
