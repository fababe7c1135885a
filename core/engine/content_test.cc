// SPDX-License-Identifier: Apache-2.0
// What goes through a copy, or is only read, reaches its receiver once and in order.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "core/engine/copy.hpp"
#include "core/engine/fake_nodes.hpp"
#include "core/engine/read_content.hpp"

namespace instar::engine {
namespace {

using fakes::BlockStatus;
using fakes::Memory;
using fakes::TestCall;

constexpr uint64_t kSize = 11 * 1024 * 1024 + 5 * 512;

/** Puts together what it is given. */
struct Receiver {
  std::vector<uint8_t> bytes;
  uint64_t fail_at = UINT64_MAX;

  instar_content abi() {
    return {this,
            [](void* opaque, const void* bytes, size_t len) {
              auto& self = *static_cast<Receiver*>(opaque);
              if (self.bytes.size() >= self.fail_at) return -ENOSPC;
              const auto* begin = static_cast<const uint8_t*>(bytes);
              if (begin != nullptr)
                self.bytes.insert(self.bytes.end(), begin, begin + len);
              else
                self.bytes.resize(self.bytes.size() + len, 0xff);
              return 0;
            },
            [](void* opaque, uint64_t len) {
              auto& self = *static_cast<Receiver*>(opaque);
              self.bytes.resize(self.bytes.size() + len);
              return 0;
            }};
  }
};

TEST(Content, ACopyShowsWhatItRead) {
  uint32_t seed = 100;
  for (const uint64_t min_sparse : {uint64_t{0}, uint64_t{4096}})
    for (const uint32_t workers : {1u, 3u, 16u})
      for (const uint32_t flags : {0u, uint32_t{INSTAR_COPY_UNORDERED},
                                   INSTAR_COPY_UNORDERED | uint32_t{INSTAR_COPY_TARGET_ZERO}}) {
        const auto from = fakes::random_memory(kSize, ++seed);
        const auto to = std::make_shared<Memory>(kSize);
        const auto source = fakes::memory_node(from);
        const auto target = fakes::memory_node(to);
        Receiver receiver;
        CopyJob job;
        job.sources = {source.get()};
        job.target = target.get();
        job.flags = flags;
        job.min_sparse = min_sparse;
        job.workers = workers;
        job.content = receiver.abi();
        TestCall call;
        const auto status = copy(call.call(), job);
        ASSERT_TRUE(status) << status.error().message;
        ASSERT_EQ(from->bytes, to->bytes) << seed;
        ASSERT_EQ(from->bytes, receiver.bytes) << seed;
      }
}

/** What the target's backing file shows is not written, but it is content all the same. */
TEST(Content, WhatABackingFileShowsIsContentToo) {
  const auto backing = fakes::memory_node(fakes::random_memory(kSize, 1));
  const auto source = fakes::memory_node(fakes::random_memory(kSize, 2), backing);
  const auto to = std::make_shared<Memory>(kSize);
  const auto target = fakes::memory_node(to, backing);
  Receiver receiver;
  CopyJob job;
  job.sources = {source.get()};
  job.target = target.get();
  job.target_backing = backing.get();
  job.workers = 3;
  job.content = receiver.abi();
  TestCall call;
  const auto status = copy(call.call(), job);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(receiver.bytes, fakes::content(*source));
  EXPECT_EQ(fakes::content(*target), fakes::content(*source));
  EXPECT_NE(std::count(to->status.begin(), to->status.end(), BlockStatus::kUnallocated), 0);
}

TEST(Content, ReadingHandsOverAllOfIt) {
  for (const uint32_t workers : {1u, 4u}) {
    const auto a = fakes::random_memory(kSize, 7);
    const auto b = fakes::random_memory(3 * 512, 8);
    const auto first = fakes::memory_node(a);
    const auto second = fakes::memory_node(b);
    Receiver receiver;
    ReadJob job;
    job.sources = {first.get(), second.get()};
    job.workers = workers;
    job.content = receiver.abi();
    TestCall call;
    ASSERT_TRUE(read_content(call.call(), job));
    auto expected = a->bytes;
    expected.insert(expected.end(), b->bytes.begin(), b->bytes.end());
    EXPECT_EQ(receiver.bytes, expected);
    const auto data = std::count(a->status.begin(), a->status.end(), BlockStatus::kData);
    EXPECT_LE(a->bytes_read, static_cast<uint64_t>(data) * fakes::kBlock);
  }
}

TEST(Content, StatusAloneReadsNothingAndAgrees) {
  const auto memory = fakes::random_memory(kSize, 9);
  const auto node = fakes::memory_node(memory);
  Receiver receiver;
  ReadJob job;
  job.sources = {node.get()};
  job.content = receiver.abi();
  job.status_only = true;
  TestCall call;
  ASSERT_TRUE(read_content(call.call(), job));
  EXPECT_EQ(memory->bytes_read, 0u);
  ASSERT_EQ(receiver.bytes.size(), kSize);
  for (uint64_t i = 0; i < kSize; ++i)
    ASSERT_EQ(receiver.bytes[i] != 0, memory->status[i / fakes::kBlock] == BlockStatus::kData) << i;
}

TEST(Content, AReceiverThatFailsEndsTheWork) {
  const auto node = fakes::memory_node(fakes::random_memory(kSize, 10));
  Receiver receiver;
  receiver.fail_at = 1 << 20;
  ReadJob job;
  job.sources = {node.get()};
  job.workers = 4;
  job.content = receiver.abi();
  TestCall call;
  const auto status = read_content(call.call(), job);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ENOSPC);
}

/** Bytes that come through a pipe. */
class Pipe {
 public:
  explicit Pipe(std::vector<uint8_t> bytes) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    out_ = ends[0];
    signal(SIGPIPE, SIG_IGN);
    writer_ = std::thread([in = ends[1], bytes = std::move(bytes)] {
      for (size_t done = 0; done < bytes.size();) {
        const ssize_t n = ::write(in, bytes.data() + done, bytes.size() - done);
        if (n <= 0) break;
        done += static_cast<size_t>(n);
      }
      ::close(in);
    });
  }
  ~Pipe() {
    ::close(out_);
    writer_.join();
  }
  int fd() const { return out_; }

 private:
  int out_ = -1;
  std::thread writer_;
};

TEST(Content, APipeFillsATargetThatIsLargeEnough) {
  for (const size_t length :
       {size_t{0}, size_t{1}, size_t{512}, size_t{2 << 20}, static_cast<size_t>(kSize - 100)}) {
    auto bytes = fakes::random_memory(kSize, 11)->bytes;
    bytes.resize(length);
    const auto to = std::make_shared<Memory>(kSize);
    const auto target = fakes::memory_node(to);
    Receiver receiver;
    const Pipe pipe(bytes);
    CopyJob job;
    job.target = target.get();
    job.flags = INSTAR_COPY_STREAM | INSTAR_COPY_TARGET_ZERO;
    job.source_fd = pipe.fd();
    job.workers = 3;
    job.content = receiver.abi();
    TestCall call;
    const auto status = copy(call.call(), job);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(receiver.bytes.size(), sdk::round_up(length, size_t{512}));
    bytes.resize(kSize);
    receiver.bytes.resize(kSize);
    EXPECT_EQ(to->bytes, bytes) << length;
    EXPECT_EQ(receiver.bytes, bytes) << length;
  }
}

TEST(Content, APipeThatIsTooLong) {
  const auto target = fakes::memory_node(std::make_shared<Memory>(1 << 20));
  const Pipe pipe(std::vector<uint8_t>((1 << 20) + 1, 5));
  CopyJob job;
  job.target = target.get();
  job.flags = INSTAR_COPY_STREAM;
  job.source_fd = pipe.fd();
  TestCall call;
  const auto status = copy(call.call(), job);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "output file is smaller than input file");
}

}  // namespace
}  // namespace instar::engine
