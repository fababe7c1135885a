// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow/image.hpp"
#include "sdk/cpp/testing_check.hpp"

namespace instar::qcow {
namespace {

using sdk::testing::Findings;
using sdk::testing::OptionList;

constexpr uint64_t kCluster = 4096;
constexpr uint64_t kL1 = sizeof(Header);

/** Clusters 0, 1 and 600 are written, so that there are two tables. */
class QcowCheck : public sdk::testing::CheckTest<Image> {
 protected:
  QcowCheck() : CheckTest(OptionList().number("size", 1024 * kCluster), {0, 1, 600}, kCluster) {}

  uint64_t number(size_t offset) { return sdk::load_be<uint64_t>(&image_.disk->bytes[offset]); }
  void set(size_t offset, uint64_t value) { sdk::store_be(&image_.disk->bytes[offset], value); }

  const uint64_t l2_ = number(kL1);
};

TEST_F(QcowCheck, ASoundImage) {
  const Findings found = check();
  EXPECT_TRUE(found.checked);
  EXPECT_EQ(found.text, "");
  EXPECT_EQ(found.counts.corruptions, 0);
  EXPECT_EQ(found.counts.total_clusters, 1024);
  EXPECT_EQ(found.counts.allocated_clusters, 3);
  EXPECT_EQ(found.counts.compressed_clusters, 0);
  EXPECT_FALSE(check(INSTAR_FIX_ERRORS).checked);
}

TEST_F(QcowCheck, PackedClustersMayLieSideBySide) {
  const uint64_t end = image_.disk->bytes.size();
  image_.disk->bytes.resize(end + 100);
  constexpr unsigned kShift = 63 - 12;
  set(l2_ + 16, kEntryPacked | uint64_t{40} << kShift | end);
  set(l2_ + 24, kEntryPacked | uint64_t{60} << kShift | (end + 40));
  Findings found = check();
  EXPECT_EQ(found.text, "");
  EXPECT_EQ(found.counts.compressed_clusters, 2);
  set(l2_ + 24, kEntryPacked | uint64_t{60} << kShift | number(l2_));
  found = check();
  EXPECT_EQ(found.text, "ERROR: cluster 3 overlaps something else\n");
}

TEST_F(QcowCheck, WhatOverlaps) {
  set(l2_ + 16, number(l2_));
  EXPECT_EQ(check().text, "ERROR: cluster 2 overlaps something else\n");
  set(l2_ + 16, l2_);
  EXPECT_EQ(check().text, "ERROR: cluster 2 overlaps something else\n");
  set(l2_ + 16, 0);
  set(kL1 + 8, l2_);
  const Findings found = check();
  EXPECT_EQ(found.text, "ERROR: L2 table 1 overlaps something else\n");
  EXPECT_EQ(found.counts.corruptions, 1);
}

TEST_F(QcowCheck, WhatLiesOutside) {
  set(l2_ + 16, uint64_t{1} << 40);
  set(l2_ + 24, l2_ + 100);
  set(kL1 + 8, uint64_t{1} << 40);
  const Findings found = check();
  EXPECT_EQ(found.text,
            "ERROR: cluster 2 lies behind the end of the file\n"
            "ERROR: cluster 3 does not begin at a sector\n"
            "ERROR: L2 table 1 lies behind the end of the file\n");
  EXPECT_EQ(found.counts.corruptions, 3);
}

}  // namespace
}  // namespace instar::qcow
