// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/iscsi/scsi.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace instar::iscsi {
namespace {

using Data = std::vector<uint8_t>;

constexpr uint32_t kData = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;
constexpr uint32_t kZero = INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;

Data capacity_answer(uint64_t last, uint32_t block_size, uint8_t provisioning = 0) {
  Data answer(32);
  sdk::store_be(answer.data(), last);
  sdk::store_be(answer.data() + 8, block_size);
  answer[14] = provisioning;
  return answer;
}

TEST(IscsiCapacity, IsTakenFromTheLongAnswer) {
  const auto capacity = parse_capacity_16(capacity_answer((uint64_t{1} << 40) - 1, 4096, 0xc0));
  ASSERT_TRUE(capacity);
  EXPECT_EQ(capacity->bytes(), uint64_t{1} << 52);
  EXPECT_TRUE(capacity->thin);
  EXPECT_TRUE(capacity->reads_zero);
  EXPECT_FALSE(parse_capacity_16(capacity_answer(1, 512))->thin);
}

TEST(IscsiCapacity, RefusesBlocksOfNoUse) {
  for (const uint32_t size : {0u, 1u, 256u, 520u, 1536u, 131072u, 0xffffffffu}) {
    const auto capacity = parse_capacity_16(capacity_answer(1, size));
    ASSERT_FALSE(capacity) << size;
    EXPECT_EQ(capacity.error().message,
              sdk::cat("iSCSI: the target returned an invalid block size of ", size, "."));
  }
}

TEST(IscsiCapacity, RefusesMoreThanThereCanBe) {
  EXPECT_EQ(parse_capacity_16(capacity_answer(INT64_MAX / 512 - 1, 512))->bytes(),
            uint64_t{INT64_MAX} - 511);
  for (const uint64_t last : {uint64_t{INT64_MAX} / 512, uint64_t{1} << 60, UINT64_MAX})
    EXPECT_FALSE(parse_capacity_16(capacity_answer(last, 512))) << last;
}

TEST(IscsiCapacity, IsTakenFromTheShortAnswer) {
  EXPECT_EQ(parse_capacity_10(Data{0, 0, 0, 9, 0, 0, 8, 0})->bytes(), 20480u);
  EXPECT_FALSE(parse_capacity_10(Data{0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0}));
}

TEST(IscsiCapacity, RefusesAnswersThatEndTooSoon) {
  EXPECT_FALSE(parse_capacity_16(Data(15)));
  EXPECT_FALSE(parse_capacity_10(Data(7)));
}

TEST(IscsiMode, KnowsTheCache) {
  const Mode with_cache =
      parse_mode(Data{15, 0, 0x90, 0, 0x01, 1, 0, 0x88, 8, 4, 0, 0, 0, 0, 0, 0});
  EXPECT_TRUE(with_cache.write_protected);
  EXPECT_TRUE(with_cache.fua);
  Data answer{21, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x48, 1, 0, 2, 9, 9, 0x08, 2, 0x00, 0};
  EXPECT_FALSE(parse_mode(answer).write_cache);
  EXPECT_FALSE(parse_mode(answer).write_protected);
  answer[20] = 0x04;
  EXPECT_TRUE(parse_mode(answer).write_cache);
}

TEST(IscsiMode, ExpectsACacheWhereNothingIsSaid) {
  EXPECT_TRUE(parse_mode({}).write_cache);
  EXPECT_TRUE(parse_mode(Data{255, 0, 0, 255, 0x08, 2, 0, 0}).write_cache);
  EXPECT_TRUE(parse_mode(Data{7, 0, 0, 0, 0x41, 1, 0xff, 0xff, 0x08, 2, 0, 0}).write_cache);
  EXPECT_TRUE(parse_mode(Data{3, 0, 0, 0, 0x08, 2, 0, 0}).write_cache);
}

TEST(IscsiPages, AreTakenAsFarAsTheyGo) {
  Data page(64);
  page[1] = kBlockLimitsPage;
  page[11] = 8;
  page[23] = 7;
  page[31] = 6;
  page[43] = 5;
  const BlockLimits limits = parse_block_limits(page);
  EXPECT_EQ(limits.max_transfer, 8u);
  EXPECT_EQ(limits.max_unmap, 7u);
  EXPECT_EQ(limits.unmap_granularity, 6u);
  EXPECT_EQ(limits.max_write_same, 5u);
  page.resize(43);
  EXPECT_EQ(parse_block_limits(page).max_write_same, 0u);
  page[1] = kProvisioningPage;
  EXPECT_EQ(parse_block_limits(page).max_transfer, 0u);
  page[5] = 0xc0;
  EXPECT_TRUE(parse_provisioning(page).unmap);
  EXPECT_TRUE(parse_provisioning(page).write_same_unmap);
  EXPECT_FALSE(parse_provisioning(Data(5)).unmap);
}

/** A descriptor of block status. */
struct Blocks {
  uint64_t first;
  uint32_t count;
  uint8_t status;
};

Data status_answer(const std::vector<Blocks>& all) {
  Data answer(8);
  for (const Blocks& one : all) {
    Data descriptor(16);
    sdk::store_be(descriptor.data(), one.first);
    sdk::store_be(descriptor.data() + 8, one.count);
    descriptor[12] = one.status;
    answer.insert(answer.end(), descriptor.begin(), descriptor.end());
  }
  sdk::store_be(answer.data(), static_cast<uint32_t>(answer.size() - 4));
  return answer;
}

const Capacity kThin{1 << 20, 512, true, true};

/** Of the blocks [10, 20): pairs of a length and flags. "error" is an empty list. */
std::vector<std::pair<uint64_t, uint32_t>> extents_of(const Data& answer, size_t max = 8,
                                                      const Capacity& capacity = kThin) {
  std::vector<instar_extent> out(max);
  const auto count = parse_lba_status(answer, capacity, 10, 10, out.data(), max);
  std::vector<std::pair<uint64_t, uint32_t>> found;
  uint64_t at = 5120;
  for (size_t i = 0; count && i < *count; ++i) {
    EXPECT_EQ(out[i].child_offset, at);
    at += out[i].length;
    found.emplace_back(out[i].length / 512, out[i].flags);
  }
  EXPECT_LE(at, 10240u);
  return found;
}

using Found = std::vector<std::pair<uint64_t, uint32_t>>;

TEST(IscsiBlockStatus, BecomesExtents) {
  EXPECT_EQ(extents_of(status_answer({{10, 4, 0}, {14, 2, 1}, {16, 100, 2}})),
            (Found{{4, kData}, {2, kZero}, {4, kZero}}));
  EXPECT_EQ(extents_of(status_answer({{0, 12, 1}, {12, 1, 0}})), (Found{{2, kZero}, {1, kData}}));
  EXPECT_EQ(extents_of(status_answer({{10, 4, 0}, {14, 6, 1}}), 1), (Found{{4, kData}}));
  EXPECT_EQ(extents_of(status_answer({{10, 10, 1}}), 8, {1 << 20, 512, true, false}),
            (Found{{10, 0}}));
}

TEST(IscsiBlockStatus, IsUsedAsFarAsItFits) {
  EXPECT_EQ(extents_of(status_answer({{10, 4, 0}, {13, 4, 1}})), (Found{{4, kData}}));
  EXPECT_EQ(extents_of(status_answer({{10, 4, 0}, {15, 4, 1}})), (Found{{4, kData}}));
  EXPECT_EQ(extents_of(status_answer({{10, 4, 0}, {14, 0, 1}, {14, 6, 1}})), (Found{{4, kData}}));
  EXPECT_EQ(extents_of(status_answer({{10, 4, 0}, {UINT64_MAX, 4, 1}})), (Found{{4, kData}}));
  Data cut = status_answer({{10, 4, 0}, {14, 6, 1}});
  cut.resize(cut.size() - 1);
  EXPECT_EQ(extents_of(cut), (Found{{4, kData}}));
}

TEST(IscsiBlockStatus, HasToCoverWhereItBegins) {
  for (const Blocks& one :
       {Blocks{11, 4, 0}, Blocks{10, 0, 0}, Blocks{2, 8, 0}, Blocks{UINT64_MAX, 4, 0}})
    EXPECT_EQ(extents_of(status_answer({one})), Found()) << one.first;
  EXPECT_EQ(extents_of({}), Found());
  EXPECT_EQ(extents_of(Data(8)), Found());
  Data says_nothing = status_answer({{10, 4, 0}});
  sdk::store_be(says_nothing.data(), uint32_t{4});
  EXPECT_EQ(extents_of(says_nothing), Found());
}

TEST(IscsiSense, BecomesAnErrno) {
  EXPECT_EQ(errno_of_sense(3, 0x1100), EIO);
  EXPECT_EQ(errno_of_sense(5, 0x2000), EINVAL);
  EXPECT_EQ(errno_of_sense(5, 0x2100), ENOSPC);
  EXPECT_EQ(errno_of_sense(7, 0x2700), EACCES);
  EXPECT_EQ(errno_of_sense(7, 0x2707), ENOSPC);
  EXPECT_EQ(errno_of_sense(11, 0x2000), EIO);
}

}  // namespace
}  // namespace instar::iscsi
