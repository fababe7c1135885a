// SPDX-License-Identifier: Apache-2.0
#include "core/engine/compare.hpp"

#include <gtest/gtest.h>

#include "core/engine/fake_nodes.hpp"

namespace instar::engine {
namespace {

using fakes::BlockStatus;
using fakes::Memory;
using fakes::TestCall;

constexpr uint64_t kSize = 9 * 1024 * 1024;

struct Outcome {
  bool ok;
  Error error;
  instar_compare_result result;
};

Outcome run(const block::NodePtr& a, const block::NodePtr& b, bool strict = false,
            uint32_t workers = 4) {
  CompareJob job;
  job.a = a.get();
  job.b = b.get();
  job.strict = strict;
  job.workers = workers;
  TestCall call;
  Outcome outcome{};
  const auto status = compare(call.call(), job, &outcome.result);
  outcome.ok = static_cast<bool>(status);
  if (!status) outcome.error = status.error();
  return outcome;
}

TEST(Compare, FindsTheFirstSectorThatDiffers) {
  std::mt19937 random(3);
  for (uint32_t seed = 0; seed < 60; ++seed) {
    const auto a = fakes::random_memory(kSize, seed);
    const auto b = std::make_shared<Memory>(kSize);
    b->bytes = a->bytes;  // the same content in another layout
    for (size_t i = 0; i < b->status.size(); ++i)
      b->status[i] = a->status[i] == BlockStatus::kData ? BlockStatus::kData
                     : seed % 2 == 0                    ? BlockStatus::kZero
                                                        : BlockStatus::kData;
    uint64_t expected = UINT64_MAX;
    for (uint32_t i = 0; i < seed % 4; ++i) {
      const uint64_t at = random() % kSize;
      b->bytes[at] ^= 1;
      b->status[at / fakes::kBlock] = BlockStatus::kData;
      expected = std::min(expected, at / 512 * 512);
    }
    const auto outcome = run(fakes::memory_node(a), fakes::memory_node(b));
    ASSERT_TRUE(outcome.ok);
    if (expected == UINT64_MAX) {
      EXPECT_EQ(outcome.result.verdict, INSTAR_COMPARE_EQUAL);
    } else {
      EXPECT_EQ(outcome.result.verdict, INSTAR_COMPARE_CONTENT);
      EXPECT_EQ(outcome.result.offset, expected) << seed;
    }
    EXPECT_EQ(outcome.result.size_differs, 0u);
  }
}

TEST(Compare, TheRestOfTheLargerOneMustBeZero) {
  const auto a = fakes::random_memory(kSize, 1);
  const auto b = std::make_shared<Memory>(kSize + (4 << 20));
  std::copy(a->bytes.begin(), a->bytes.end(), b->bytes.begin());
  for (auto& status : b->status)
    status = BlockStatus::kData;
  auto outcome = run(fakes::memory_node(a), fakes::memory_node(b));
  EXPECT_EQ(outcome.result.verdict, INSTAR_COMPARE_EQUAL);
  EXPECT_EQ(outcome.result.size_differs, 1u);

  b->bytes[kSize + 3000001] = 1;
  outcome = run(fakes::memory_node(b), fakes::memory_node(a));
  EXPECT_EQ(outcome.result.verdict, INSTAR_COMPARE_CONTENT);
  EXPECT_EQ(outcome.result.offset, (kSize + 3000001) / 512 * 512);
  EXPECT_EQ(outcome.result.size_differs, 1u);

  b->bytes[5] ^= 1;
  outcome = run(fakes::memory_node(b), fakes::memory_node(a));
  EXPECT_EQ(outcome.result.offset, 0u);
  EXPECT_EQ(outcome.result.size_differs, 0u);
  outcome = run(fakes::memory_node(b), fakes::memory_node(a), true);
  EXPECT_EQ(outcome.result.verdict, INSTAR_COMPARE_SIZE);
}

TEST(Compare, StrictSeesStatus) {
  const auto a = std::make_shared<Memory>(kSize);
  const auto b = std::make_shared<Memory>(kSize);
  EXPECT_EQ(run(fakes::memory_node(a), fakes::memory_node(b), true).result.verdict,
            INSTAR_COMPARE_EQUAL);
  for (const auto& memory : {a, b})
    memory->set(0, BlockStatus::kData, 5);
  b->set(256, BlockStatus::kData, 0);
  for (uint64_t i = 300; i < b->status.size(); ++i)
    for (const auto& memory : {a, b})
      memory->set(i, BlockStatus::kData, 5);
  auto outcome = run(fakes::memory_node(a), fakes::memory_node(b), true);
  EXPECT_EQ(outcome.result.verdict, INSTAR_COMPARE_STATUS);
  EXPECT_EQ(outcome.result.offset, 256 * fakes::kBlock);
  EXPECT_EQ(run(fakes::memory_node(a), fakes::memory_node(b)).result.verdict, INSTAR_COMPARE_EQUAL);
}

/** A run that ends the image is another status than one that goes on: so it is for qemu-img. */
TEST(Compare, StrictSeesTheEndOfTheImage) {
  const auto a = std::make_shared<Memory>(kSize);
  const auto b = std::make_shared<Memory>(kSize);
  a->set(256, BlockStatus::kZero, 0);
  const auto outcome = run(fakes::memory_node(a), fakes::memory_node(b), true);
  EXPECT_EQ(outcome.result.verdict, INSTAR_COMPARE_STATUS);
  EXPECT_EQ(outcome.result.offset, 0u);
}

TEST(Compare, TwoHolesAreNotRead) {
  const auto a = std::make_shared<Memory>(kSize);
  const auto b = std::make_shared<Memory>(kSize);
  for (const auto& memory : {a, b})
    memory->set(7, BlockStatus::kData, 9);
  run(fakes::memory_node(a), fakes::memory_node(b));
  EXPECT_EQ(a->bytes_read, fakes::kBlock);
  EXPECT_EQ(b->bytes_read, fakes::kBlock);
}

TEST(Compare, ReadErrors) {
  for (const int bad : {1, 2}) {
    const auto a = std::make_shared<Memory>(8 << 20);
    const auto b = std::make_shared<Memory>(8 << 20);
    for (const auto& memory : {a, b})
      for (uint64_t i = 0; i < memory->status.size(); ++i)
        memory->set(i, BlockStatus::kData, 5);
    (bad == 1 ? a : b)->bad_reads = {6150};
    auto outcome = run(fakes::memory_node(a), fakes::memory_node(b));
    ASSERT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error.code, EIO);
    EXPECT_EQ(outcome.error.message,
              "Error while reading offset 2097152 of test.memory: Input/output error");
    EXPECT_EQ(outcome.result.failed_image, static_cast<uint32_t>(bad));
    EXPECT_EQ(outcome.result.offset, 2097152u);

    a->bytes[100] = 6;  // an earlier difference is what counts
    outcome = run(fakes::memory_node(a), fakes::memory_node(b));
    ASSERT_TRUE(outcome.ok);
    EXPECT_EQ(outcome.result.offset, 0u);
  }
}

TEST(Compare, StatusErrors) {
  const auto a = std::make_shared<Memory>(8192);
  const auto b = std::make_shared<Memory>(8192);
  b->bad_status = true;
  const auto outcome = run(fakes::memory_node(a), fakes::memory_node(b));
  ASSERT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.code, ENODATA);
  EXPECT_EQ(outcome.error.message, "Sector allocation test failed for test.memory");
  EXPECT_EQ(outcome.result.failed_image, 2u);
}

TEST(Compare, ThroughDescriptors) {
  const auto a = fakes::file_node(kSize);
  const auto b = fakes::file_node(kSize);
  TestCall call;
  const auto data = fakes::random_memory(kSize, 8);
  for (const auto& node : {a, b})
    ASSERT_TRUE(node->write(call.call(), 0, data->bytes.data(), data->bytes.size()));
  EXPECT_EQ(run(a, b).result.verdict, INSTAR_COMPARE_EQUAL);
  EXPECT_EQ(run(a, a).result.verdict, INSTAR_COMPARE_EQUAL);
  data->bytes[5000000] ^= 1;
  ASSERT_TRUE(b->write(call.call(), 5000000, &data->bytes[5000000], 1));
  EXPECT_EQ(run(a, b).result.offset, 5000000 / 512 * 512);
}

/** Islands of data in holes, with zeroes as data or as holes in either file, and behind the end. */
TEST(Compare, DescriptorsWithHoles) {
  constexpr uint64_t kPiece = 64 << 10;
  std::mt19937 random(9);
  TestCall call;
  const std::vector<uint8_t> zeroes(kPiece), ones(kPiece, 1);
  for (int round = 0; round < 40; ++round) {
    const auto a = fakes::file_node(kSize);
    const auto b = fakes::file_node(kSize);
    uint64_t expected = UINT64_MAX;
    for (uint64_t at = 0; at < kSize; at += kPiece) {
      const bool data = random() % 4 == 0;
      const bool differs = random() % 256 == 0;
      for (const auto& node : {a, b}) {
        const bool filled = data && !(differs && node == b);
        if (!filled && random() % 4 != 0) continue;
        const auto& bytes = filled ? ones : zeroes;
        ASSERT_TRUE(node->write(call.call(), at, bytes.data(), bytes.size()));
      }
      if (data && differs) expected = std::min(expected, at);
    }
    const auto outcome = run(a, b);
    ASSERT_TRUE(outcome.ok);
    EXPECT_EQ(outcome.result.verdict,
              expected == UINT64_MAX ? INSTAR_COMPARE_EQUAL : INSTAR_COMPARE_CONTENT);
    if (expected != UINT64_MAX) {
      EXPECT_EQ(outcome.result.offset, expected);
    }
  }
}

}  // namespace
}  // namespace instar::engine
