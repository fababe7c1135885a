// SPDX-License-Identifier: Apache-2.0
#include "core/engine/copy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "core/engine/fake_nodes.hpp"

namespace instar::engine {
namespace {

using fakes::BlockStatus;
using fakes::Clusters;
using fakes::Memory;
using fakes::TestCall;

constexpr uint64_t kSize = 11 * 1024 * 1024 + 5 * 512;

CopyJob job_of(block::Node& source, block::Node& target, uint32_t flags = INSTAR_COPY_TARGET_ZERO) {
  CopyJob job;
  job.sources = {&source};
  job.target = &target;
  job.flags = flags;
  return job;
}

std::shared_ptr<Memory> garbage(uint64_t size) {
  auto memory = std::make_shared<Memory>(size);
  for (uint64_t i = 0; i < memory->status.size(); ++i)
    memory->set(i, BlockStatus::kData, 0xee);
  return memory;
}

TEST(Copy, AnyLayoutWithAnySettings) {
  uint32_t seed = 1;
  for (const uint64_t min_sparse :
       {uint64_t{0}, uint64_t{4096}, uint64_t{12288}, uint64_t{1 << 20}})
    for (const uint32_t workers : {1u, 3u, 16u})
      for (const uint32_t order : {0u, uint32_t{INSTAR_COPY_UNORDERED}})
        for (const bool fresh : {true, false}) {
          const auto from = fakes::random_memory(kSize, ++seed);
          const auto to = fresh ? std::make_shared<Memory>(kSize) : garbage(kSize);
          const auto source = fakes::memory_node(from);
          const auto target = fakes::memory_node(to);
          auto job =
              job_of(*source, *target, order | (fresh ? uint32_t{INSTAR_COPY_TARGET_ZERO} : 0u));
          job.min_sparse = min_sparse;
          job.workers = workers;
          TestCall call;
          const auto status = copy(call.call(), job);
          ASSERT_TRUE(status) << status.error().message;
          ASSERT_EQ(from->bytes, to->bytes) << "seed " << seed;
        }
}

TEST(Copy, ReadsNoHolesAndWritesNoZeroes) {
  const auto from = fakes::random_memory(kSize, 99);
  const auto to = std::make_shared<Memory>(kSize);
  const auto source = fakes::memory_node(from);
  const auto target = fakes::memory_node(to);
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job_of(*source, *target)));
  const auto data = std::count(from->status.begin(), from->status.end(), BlockStatus::kData);
  EXPECT_LE(from->bytes_read, static_cast<uint64_t>(data) * fakes::kBlock);
  for (size_t i = 0; i < to->status.size(); ++i) {
    const auto begin = from->bytes.begin() + static_cast<ptrdiff_t>(i * fakes::kBlock);
    const auto end = std::min(begin + fakes::kBlock, from->bytes.end());
    const bool zero = std::all_of(begin, end, [](uint8_t b) { return b == 0; });
    EXPECT_EQ(to->status[i] != BlockStatus::kData, zero) << i;
  }
  EXPECT_EQ(to->bytes_zeroed, 0u);
}

TEST(Copy, OrderedWritesAscend) {
  const auto from = fakes::random_memory(kSize, 5);
  const auto to = std::make_shared<Memory>(kSize);
  const auto source = fakes::memory_node(from);
  const auto target = fakes::make_node(block::NodeKind::kProtocol, "memory",
                                       std::make_unique<fakes::MemoryNode>(to, nullptr));
  auto job = job_of(*source, *target);
  job.workers = 8;
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job));
  EXPECT_TRUE(std::is_sorted(to->writes.begin(), to->writes.end()));
  EXPECT_GT(to->writes.size(), 5u);
}

/** A format that shows the blocks of the file below, as raw does. */
block::NodePtr transparent_node(std::shared_ptr<Memory> memory) {
  auto file = fakes::make_node(block::NodeKind::kProtocol, "memory",
                               std::make_unique<fakes::MemoryNode>(memory, nullptr));
  return fakes::make_node(block::NodeKind::kFormat, "transparent",
                          std::make_unique<fakes::MemoryNode>(memory, nullptr),
                          {{"file", INSTAR_CHILD_FILTERED, std::move(file)}});
}

TEST(Copy, WritesDoNotWaitWhereNothingIsAllocated) {
  const auto source = fakes::memory_node(garbage(8 << 20));
  const auto to = std::make_shared<Memory>(8 << 20);
  to->flags = INSTAR_NODE_REMOTE;
  to->cluster = 4 << 20;
  to->together = 2;
  auto target = transparent_node(to);
  auto job = job_of(*source, *target);
  job.workers = 2;
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job));
  EXPECT_FALSE(to->alone);
}

TEST(Copy, RequestsToServersAreLarge) {
  const auto from = garbage(16 << 20);
  const auto to = std::make_shared<Memory>(16 << 20);
  from->flags = INSTAR_NODE_REMOTE;
  const auto source = fakes::memory_node(from);
  const auto target = fakes::memory_node(to);
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job_of(*source, *target)));
  EXPECT_EQ(to->writes.size(), 16u);
}

TEST(Copy, SmallImagesNeedNoThread) {
  const auto from = std::make_shared<Memory>(2 << 20);
  for (uint64_t i = 0; i < from->status.size(); ++i)
    from->set(i, BlockStatus::kData, 1);
  const auto source = fakes::memory_node(from);
  const auto target = fakes::memory_node(std::make_shared<Memory>(2 << 20));
  const int before = fakes::count_threads();
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job_of(*source, *target)));
  EXPECT_EQ(from->most_threads, before);
}

TEST(Copy, SourcesOneBehindAnother) {
  const auto first = fakes::random_memory(3 * 1024 * 1024 + 100, 21);  // rounded up to sectors
  const auto second = fakes::random_memory(kSize, 22);
  const uint64_t second_at = 3 * 1024 * 1024 + 512;
  const auto a = fakes::memory_node(first);
  const auto b = fakes::memory_node(second);
  const auto to = std::make_shared<Memory>(second_at + kSize);
  const auto target = fakes::memory_node(to);
  auto job = job_of(*a, *target);
  job.sources.push_back(b.get());
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job));
  std::vector<uint8_t> expected = first->bytes;
  expected.resize(second_at);
  expected.insert(expected.end(), second->bytes.begin(), second->bytes.end());
  EXPECT_EQ(to->bytes, expected);
}

TEST(Copy, PartOfASource) {
  const auto from = fakes::random_memory(kSize, 7);
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{513}, uint64_t{1 << 20}, kSize})
    for (const uint64_t length : {uint64_t{0}, uint64_t{100}, uint64_t{3 << 20}, kSize}) {
      const uint64_t bytes = std::min(kSize - offset, length == 0 ? kSize : length);
      const auto to = garbage(kSize);
      const auto source = fakes::memory_node(from);
      const auto target = fakes::memory_node(to);
      auto job = job_of(*source, *target, 0);
      job.source_offset = offset;
      job.length = length;
      TestCall call;
      const auto status = copy(call.call(), job);
      ASSERT_TRUE(status) << status.error().message;
      const auto begin = from->bytes.begin() + static_cast<ptrdiff_t>(offset);
      EXPECT_TRUE(std::equal(begin, begin + static_cast<ptrdiff_t>(bytes), to->bytes.begin()));
      const auto rest = to->bytes.begin() + static_cast<ptrdiff_t>(bytes);
      EXPECT_TRUE(std::all_of(rest, to->bytes.end(), [](uint8_t b) { return b == 0xee; }))
          << offset << ' ' << length;
    }
}

TEST(Copy, PartOfSeveralSourcesIsRefused) {
  const auto source = fakes::memory_node(fakes::random_memory(kSize, 7));
  const auto target = fakes::memory_node(std::make_shared<Memory>(2 * kSize));
  auto job = job_of(*source, *target);
  job.sources.push_back(source.get());
  job.length = 512;
  TestCall call;
  EXPECT_FALSE(copy(call.call(), job));
}

TEST(Copy, TargetTooSmall) {
  const auto source = fakes::memory_node(std::make_shared<Memory>(8192));
  const auto target = fakes::memory_node(std::make_shared<Memory>(4096));
  TestCall call;
  const auto status = copy(call.call(), job_of(*source, *target));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "output file is smaller than input file");
}

TEST(Copy, ThroughDescriptorsWithHoles) {
  TestCall call;
  for (const bool holes_known : {true, false}) {
    const auto from = fakes::random_memory(kSize, 31);
    const auto memory = fakes::memory_node(from);
    const auto source = fakes::file_node(kSize, holes_known);
    ASSERT_TRUE(copy(call.call(), job_of(*memory, *source)));
    EXPECT_EQ(fakes::content(*source), from->bytes);
    const auto target = fakes::file_node(kSize);
    ASSERT_TRUE(copy(call.call(), job_of(*source, *target)));
    EXPECT_EQ(fakes::content(*target), from->bytes);
  }
}

TEST(Copy, ClustersAreAllocatedInGuestOrder) {
  for (const uint32_t order : {0u, uint32_t{INSTAR_COPY_UNORDERED}}) {
    const auto from = fakes::random_memory(kSize, 41);
    const auto state = std::make_shared<Clusters>();
    const auto source = fakes::memory_node(from);
    const auto target = fakes::cluster_node(kSize, state);
    auto job = job_of(*source, *target, order | INSTAR_COPY_TARGET_ZERO);
    job.workers = 6;
    TestCall call;
    const auto status = copy(call.call(), job);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(fakes::content(*target), from->bytes);
    EXPECT_TRUE(order != 0 || std::is_sorted(state->allocated.begin(), state->allocated.end()));
    for (const auto& [cluster, place] : state->table) {
      const auto begin = from->bytes.begin() + static_cast<ptrdiff_t>(cluster * fakes::kCluster);
      const auto end =
          cluster == kSize / fakes::kCluster ? from->bytes.end() : begin + fakes::kCluster;
      EXPECT_TRUE(std::any_of(begin, end, [](uint8_t b) { return b != 0; })) << cluster;
    }
    // And back: out of order in the file, plain for the engine.
    const auto back = fakes::file_node(kSize);
    ASSERT_TRUE(copy(call.call(), job_of(*target, *back)));
    EXPECT_EQ(fakes::content(*back), from->bytes);
  }
}

TEST(Copy, DriverThatRefusesToPlaceIsWrittenThrough) {
  const auto from = fakes::random_memory(kSize, 43);
  const auto state = std::make_shared<Clusters>();
  state->prepare_limit = 20;
  const auto source = fakes::memory_node(from);
  const auto target = fakes::cluster_node(kSize, state);
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job_of(*source, *target)));
  EXPECT_EQ(fakes::content(*target), from->bytes);
}

TEST(Copy, FailedCommitGivesAnError) {
  const auto state = std::make_shared<Clusters>();
  state->fail_commit = true;
  const auto from = std::make_shared<Memory>(kSize);
  from->set(600, BlockStatus::kData, 3);
  const auto source = fakes::memory_node(from);
  const auto target = fakes::cluster_node(kSize, state);
  TestCall call;
  const auto status = copy(call.call(), job_of(*source, *target));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "error while writing at byte 2424832: Input/output error");
}

TEST(Copy, CompressedClustersInOrder) {
  for (const uint32_t order : {0u, uint32_t{INSTAR_COPY_UNORDERED}})
    for (const bool fresh : {true, false}) {
      const auto from = fakes::random_memory(kSize, 51);
      for (uint64_t i = 320; i < 1600; ++i)
        from->set(i, BlockStatus::kData, static_cast<uint8_t>(1 + i / 64));
      from->set(from->status.size() - 1, BlockStatus::kData, 9);  // less than a cluster
      const auto state = std::make_shared<Clusters>();
      const auto source = fakes::memory_node(from);
      const auto target = fakes::cluster_node(kSize, state);
      auto job =
          job_of(*source, *target,
                 order | INSTAR_COPY_COMPRESSED | (fresh ? uint32_t{INSTAR_COPY_TARGET_ZERO} : 0u));
      job.workers = 4;
      TestCall call;
      const auto status = copy(call.call(), job);
      ASSERT_TRUE(status) << status.error().message;
      EXPECT_EQ(fakes::content(*target), from->bytes);
      EXPECT_FALSE(state->stored.empty());
      EXPECT_TRUE(order != 0 || std::is_sorted(state->stored.begin(), state->stored.end()));
    }
}

TEST(Copy, CompressionNeedsATargetThatCan) {
  const auto source = fakes::memory_node(std::make_shared<Memory>(4096));
  const auto target = fakes::memory_node(std::make_shared<Memory>(4096));
  TestCall call;
  const auto status = copy(call.call(), job_of(*source, *target, INSTAR_COPY_COMPRESSED));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "Compression not supported for this file format");
}

/** An overlay and its base: `to` shows the base where nothing is written. */
TEST(Copy, WhatTheBackingFileHasIsLeftOut) {
  const uint64_t base_size = 4 * 1024 * 1024;
  const auto base = garbage(base_size);
  const auto top = fakes::random_memory(kSize, 61);
  const auto base_node = fakes::memory_node(base);
  const auto source = fakes::memory_node(top, base_node);
  const auto expected = fakes::content(*source);
  const auto to = std::make_shared<Memory>(kSize);
  std::copy(base->bytes.begin(), base->bytes.end(), to->bytes.begin());
  const auto target = fakes::memory_node(to);
  auto job = job_of(*source, *target, 0);
  job.target_backing = base_node.get();
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job));
  for (size_t i = 0; i < to->status.size(); ++i) {
    const uint64_t at = i * fakes::kBlock;
    const bool same = std::equal(
        top->bytes.begin() + static_cast<ptrdiff_t>(at),
        std::min(top->bytes.begin() + static_cast<ptrdiff_t>(at + fakes::kBlock), top->bytes.end()),
        to->bytes.begin() + static_cast<ptrdiff_t>(at));
    if (top->status[i] == BlockStatus::kUnallocated) {
      EXPECT_EQ(to->status[i], BlockStatus::kUnallocated) << i;
    } else {
      EXPECT_TRUE(same) << i;
    }
    // Zeroes beyond the base are there already.
    if (at >= base_size && top->status[i] == BlockStatus::kZero) {
      EXPECT_EQ(to->status[i], BlockStatus::kUnallocated) << i;
    }
  }
  EXPECT_GT(to->bytes_zeroed, 0u);
}

TEST(Copy, ReadErrorNamesTheRequest) {
  const auto from = garbage(8 << 20);
  from->bad_reads = {6150};
  const auto source = fakes::memory_node(from);
  const auto target = fakes::memory_node(std::make_shared<Memory>(8 << 20));
  TestCall call;
  const auto status = copy(call.call(), job_of(*source, *target));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "error while reading at byte 2097152: Input/output error");
  EXPECT_EQ(status.error().code, EIO);
}

TEST(Copy, SalvageZeroesBadSectors) {
  for (const uint32_t quiet : {0u, uint32_t{INSTAR_COPY_QUIET}}) {
    const auto from = garbage(8 << 20);
    from->bad_reads = {6150, 6151};
    const auto source = fakes::memory_node(from);
    const auto to = std::make_shared<Memory>(8 << 20);
    const auto target = fakes::memory_node(to);
    TestCall call;
    ASSERT_TRUE(copy(call.call(), job_of(*source, *target,
                                         INSTAR_COPY_TARGET_ZERO | quiet | INSTAR_COPY_SALVAGE)));
    auto expected = from->bytes;
    std::fill_n(expected.begin() + 6150 * 512, 1024, uint8_t{0});
    EXPECT_EQ(to->bytes, expected);
    const std::vector<std::string> lines = {
        "error while reading offset 3148800: Input/output error",
        "error while reading offset 3149312: Input/output error"};
    EXPECT_EQ(call.warnings, quiet != 0 ? std::vector<std::string>{} : lines);
  }
}

TEST(Copy, StatusErrors) {
  const auto from = garbage(64 * 1024);
  from->bad_status = true;
  const auto source = fakes::memory_node(from);
  const auto to = std::make_shared<Memory>(64 * 1024);
  const auto target = fakes::memory_node(to);
  TestCall call;
  const auto status = copy(call.call(), job_of(*source, *target));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "error while reading block status at offset 0: Input/output error");
  ASSERT_TRUE(
      copy(call.call(), job_of(*source, *target, INSTAR_COPY_TARGET_ZERO | INSTAR_COPY_SALVAGE)));
  EXPECT_EQ(to->bytes, from->bytes);
}

TEST(Copy, WriteErrorNamesTheOffsetAndWins) {
  for (const uint32_t workers : {1u, 8u}) {
    const auto source = fakes::memory_node(garbage(32 << 20));
    const auto to = std::make_shared<Memory>(32 << 20);
    to->bad_writes = {3 * 4096};
    const auto target = fakes::memory_node(to);
    auto job = job_of(*source, *target);
    job.workers = workers;
    TestCall call;
    const auto status = copy(call.call(), job);
    ASSERT_FALSE(status);
    const uint64_t window = workers == 1 ? 2 << 20 : 1 << 20;
    EXPECT_EQ(status.error().message,
              sdk::cat("error while writing at byte ", 6291456 / window * window,
                       ": No space left on device"));
  }
}

TEST(Copy, EndsWhenCancelled) {
  const auto source = fakes::memory_node(garbage(64 << 20));
  const auto to = std::make_shared<Memory>(64 << 20);
  const auto target = fakes::memory_node(to);
  TestCall call;
  std::atomic<int> writes{3};
  to->cancel_after = &writes;
  to->cancelled = &call.cancelled;
  const auto status = copy(call.call(), job_of(*source, *target));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ECANCELED);
  EXPECT_LT(to->writes.size(), 10u);
}

TEST(Copy, KeepsToTheRate) {
  const auto source = fakes::memory_node(garbage(8 << 20));
  const auto target = fakes::memory_node(std::make_shared<Memory>(8 << 20));
  auto job = job_of(*source, *target);
  job.rate = 16 << 20;
  TestCall call;
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(copy(call.call(), job));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(took.count(), 0.2);  // half a second less the burst and the last request
}

TEST(Copy, TellsProgress) {
  const auto from = fakes::random_memory(kSize, 71);
  const auto source = fakes::memory_node(from);
  const auto target = fakes::memory_node(std::make_shared<Memory>(kSize));
  std::vector<std::pair<uint64_t, uint64_t>> reports;
  auto job = job_of(*source, *target);
  job.workers = 5;
  job.progress = {&reports, [](void* opaque, uint64_t done, uint64_t total) {
                    static_cast<decltype(reports)*>(opaque)->emplace_back(done, total);
                  }};
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job));
  ASSERT_FALSE(reports.empty());
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
  EXPECT_EQ(reports.back().first, reports.back().second);
  EXPECT_EQ(from->bytes_told, from->bytes.size()) << "not once to count and once to copy";
}

TEST(Copy, TellsProgressOfMorePiecesThanItRemembers) {
  constexpr uint64_t kPieces = 40000;
  const auto from = std::make_shared<Memory>(kPieces * fakes::kBlock);
  for (uint64_t i = 0; i < kPieces; i += 2)
    from->set(i, BlockStatus::kData, static_cast<uint8_t>(1 + i % 255));
  const auto to = std::make_shared<Memory>(from->bytes.size());
  const auto source = fakes::memory_node(from);
  const auto target = fakes::memory_node(to);
  std::pair<uint64_t, uint64_t> last;
  auto job = job_of(*source, *target);
  job.progress = {&last, [](void* opaque, uint64_t done, uint64_t total) {
                    *static_cast<decltype(last)*>(opaque) = {done, total};
                  }};
  TestCall call;
  ASSERT_TRUE(copy(call.call(), job));
  EXPECT_EQ(last, std::pair(from->bytes.size() / 2, from->bytes.size() / 2));
  EXPECT_EQ(from->bytes, to->bytes);
}

}  // namespace
}  // namespace instar::engine
