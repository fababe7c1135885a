// SPDX-License-Identifier: Apache-2.0
// A copy that leaves out what lies in a base and below: the work of a commit.
#include <gtest/gtest.h>

#include "core/engine/copy.hpp"
#include "core/engine/fake_nodes.hpp"

namespace instar::engine {
namespace {

using fakes::BlockStatus;
using fakes::Memory;
using fakes::TestCall;

constexpr uint64_t kSize = 3 * 1024 * 1024 + 5 * 512;

/** The base once more, for writing; it may have grown meanwhile. */
std::shared_ptr<Memory> again(const Memory& base, uint64_t size) {
  auto memory = std::make_shared<Memory>(std::max<uint64_t>(size, base.bytes.size()));
  std::copy(base.bytes.begin(), base.bytes.end(), memory->bytes.begin());
  std::copy(base.status.begin(), base.status.end(), memory->status.begin());
  return memory;
}

CopyJob job_of(block::Node& top, block::Node& base, block::Node& target) {
  CopyJob job;
  job.sources = {&top};
  job.base = &base;
  job.target = &target;
  job.min_sparse = 0;
  return job;
}

TEST(Commit, TheBaseReadsAsTheTopDid) {
  for (uint32_t seed = 1; seed <= 20; ++seed)
    for (const uint32_t workers : {1u, 3u, 16u}) {
      const uint64_t sizes[] = {kSize, kSize - 999 * 512, kSize + 777 * 512};
      const auto base_memory = fakes::random_memory(sizes[seed % 3], seed * 10);
      const auto base = fakes::memory_node(base_memory);
      const auto middle =
          fakes::memory_node(fakes::random_memory(sizes[seed / 3 % 3], seed * 10 + 1), base);
      const auto top = fakes::memory_node(fakes::random_memory(kSize, seed * 10 + 2), middle);
      const auto target = fakes::memory_node(again(*base_memory, kSize));
      auto expected = fakes::content(*top);
      auto job = job_of(*top, *base, *target);
      job.workers = workers;
      TestCall call;
      const auto status = copy(call.call(), job);
      ASSERT_TRUE(status) << status.error().message;
      auto got = fakes::content(*target);
      got.resize(kSize);  // a larger base keeps what lies behind
      ASSERT_EQ(got, expected) << "seed " << seed;
    }
}

TEST(Commit, WhatNoLayerAboveHoldsIsNeitherReadNorWritten) {
  const auto base_memory = fakes::random_memory(kSize, 7);
  const auto base = fakes::memory_node(base_memory);
  const auto top_memory = std::make_shared<Memory>(kSize);
  top_memory->set(100, BlockStatus::kData, 1);
  top_memory->set(500, BlockStatus::kZero, 0);
  const auto top = fakes::memory_node(top_memory, base);
  const auto to = again(*base_memory, kSize);
  const auto target = fakes::memory_node(to);
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job_of(*top, *base, *target)));
  ASSERT_EQ(to->writes.size(), 1u);
  EXPECT_EQ(to->writes[0], std::make_pair(100 * fakes::kBlock, fakes::kBlock));
  EXPECT_EQ(to->bytes_zeroed, fakes::kBlock);
  EXPECT_EQ(top_memory->bytes_read, fakes::kBlock);
  EXPECT_EQ(base_memory->bytes_read, 0u);
}

TEST(Commit, WriteErrorsStopIt) {
  const auto base_memory = std::make_shared<Memory>(kSize);
  const auto base = fakes::memory_node(base_memory);
  const auto top = fakes::memory_node(fakes::random_memory(kSize, 8), base);
  const auto to = again(*base_memory, kSize);
  for (uint64_t sector = 2048; sector < 4096; ++sector)
    to->bad_writes.insert(sector);
  const auto target = fakes::memory_node(to);
  TestCall call;
  const auto status = copy(call.call(), job_of(*top, *base, *target));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ENOSPC);
}

}  // namespace
}  // namespace instar::engine
