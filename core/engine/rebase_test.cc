// SPDX-License-Identifier: Apache-2.0
#include "core/engine/rebase.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/engine/fake_nodes.hpp"

namespace instar::engine {
namespace {

using fakes::BlockStatus;
using fakes::Clusters;
using fakes::Memory;
using fakes::TestCall;

constexpr uint64_t kSize = 3 * 1024 * 1024 + 5 * 512;

std::shared_ptr<Memory> filled(uint64_t size, uint8_t fill) {
  auto memory = std::make_shared<Memory>(size);
  for (uint64_t i = 0; i < memory->status.size(); ++i)
    memory->set(i, BlockStatus::kData, fill);
  return memory;
}

TEST(Rebase, TheContentStays) {
  for (uint32_t seed = 1; seed <= 20; ++seed)
    for (const uint32_t workers : {1u, 3u, 16u}) {
      const uint64_t sizes[] = {kSize, kSize - 999 * 512, kSize + 777 * 512};
      const auto base = fakes::memory_node(fakes::random_memory(sizes[seed % 3], seed * 10));
      const auto old =
          fakes::memory_node(fakes::random_memory(sizes[seed / 3 % 3], seed * 10 + 1), base);
      const auto fresh = fakes::memory_node(
          fakes::random_memory(sizes[(seed + 1) % 3], seed * 10 + seed % 2), nullptr);
      const auto memory = fakes::random_memory(kSize, seed * 10 + 3);
      const auto image = fakes::memory_node(memory, old);
      const auto expected = fakes::content(*image);
      RebaseJob job;
      job.image = image.get();
      job.workers = workers;
      if (seed % 5 != 0) job.new_backing = fresh.get();
      if (seed % 7 == 0) job.new_backing = job.common = base.get();
      TestCall call;
      const auto status = rebase(call.call(), job);
      ASSERT_TRUE(status) << status.error().message;
      ASSERT_EQ(fakes::content(*image), expected) << "with the old one, seed " << seed;
      block::NodePtr below = fresh;
      if (job.common != nullptr) below = base;
      if (job.new_backing == nullptr) below = nullptr;
      ASSERT_EQ(fakes::content(*fakes::memory_node(memory, below)), expected) << "seed " << seed;
    }
}

TEST(Rebase, WhatIsTheSameIsNotWritten) {
  const auto old_memory = fakes::random_memory(kSize, 3);
  const auto old = fakes::memory_node(old_memory);
  const auto fresh = fakes::memory_node(fakes::random_memory(kSize, 3));
  const auto memory = std::make_shared<Memory>(kSize);
  const auto image = fakes::memory_node(memory, old);
  RebaseJob job;
  job.image = image.get();
  job.new_backing = fresh.get();
  TestCall call;
  ASSERT_TRUE(rebase(call.call(), job));
  EXPECT_TRUE(memory->writes.empty());
  EXPECT_EQ(memory->bytes_zeroed, 0u);
}

TEST(Rebase, WhatTheCommonImageHasIsNotRead) {
  const auto base_memory = fakes::random_memory(kSize, 5);
  const auto base = fakes::memory_node(base_memory);
  const auto middle_memory = std::make_shared<Memory>(kSize);
  middle_memory->set(77, BlockStatus::kData, 200);
  const auto middle = fakes::memory_node(middle_memory, base);
  const auto memory = std::make_shared<Memory>(kSize);
  const auto image = fakes::memory_node(memory, middle);
  RebaseJob job;
  job.image = image.get();
  job.new_backing = job.common = base.get();
  TestCall call;
  ASSERT_TRUE(rebase(call.call(), job));
  EXPECT_LE(base_memory->bytes_read, 512u << 10);  // of the window at hand
  ASSERT_EQ(memory->writes.size(), 1u);
  EXPECT_EQ(memory->writes[0], std::make_pair(77 * fakes::kBlock, fakes::kBlock));
}

TEST(Rebase, CompressedClusters) {
  const auto old = fakes::memory_node(filled(kSize, 6));
  const auto state = std::make_shared<Clusters>();
  const auto file = fakes::file_node(0);
  const auto image =
      fakes::make_node(block::NodeKind::kFormat, "clusters",
                       std::make_unique<fakes::ClusterNode>(file, kSize, state),
                       {{"file", INSTAR_CHILD_FILE, file}, {"backing", INSTAR_CHILD_BACKING, old}});
  RebaseJob job;
  job.image = image.get();
  job.compressed = true;
  TestCall call;
  const auto status = rebase(call.call(), job);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(fakes::content(*image), fakes::content(*old));
  EXPECT_EQ(state->stored.size(), kSize / fakes::kCluster);  // the last one is not of one byte
  EXPECT_TRUE(std::is_sorted(state->stored.begin(), state->stored.end()));
}

TEST(Rebase, ErrorsSayWhichSide) {
  enum class Side { kOld, kNew, kImage };
  const std::pair<Side, std::string> cases[] = {
      {Side::kOld, "error while reading from old backing file"},
      {Side::kNew, "error while reading from new backing file"},
      {Side::kImage, "Error while writing to COW image: No space left on device"}};
  for (const auto& [side, message] : cases) {
    const auto old_memory = filled(kSize, 1);
    const auto new_memory = filled(kSize, 2);
    const auto memory = std::make_shared<Memory>(kSize);
    if (side == Side::kOld) old_memory->bad_reads = {3000};
    if (side == Side::kNew) new_memory->bad_reads = {3000};
    if (side == Side::kImage) memory->bad_writes = {3000};
    const auto old = fakes::memory_node(old_memory);
    const auto fresh = fakes::memory_node(new_memory);
    const auto image = fakes::memory_node(memory, old);
    RebaseJob job;
    job.image = image.get();
    job.new_backing = fresh.get();
    TestCall call;
    const auto status = rebase(call.call(), job);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, message);
  }
}

TEST(Rebase, EndsWhenCancelled) {
  const auto old = fakes::memory_node(filled(64 << 20, 1));
  const auto memory = std::make_shared<Memory>(64 << 20);
  const auto image = fakes::memory_node(memory, old);
  TestCall call;
  std::atomic<int> writes{3};
  memory->cancel_after = &writes;
  memory->cancelled = &call.cancelled;
  RebaseJob job;
  job.image = image.get();
  const auto status = rebase(call.call(), job);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ECANCELED);
  EXPECT_LT(memory->writes.size(), 20u);
}

}  // namespace
}  // namespace instar::engine
