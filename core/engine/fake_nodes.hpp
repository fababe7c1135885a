// SPDX-License-Identifier: Apache-2.0
/** @file fake_nodes.hpp Images in memory and in a scratch file, for the engine's tests. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/block/node.hpp"
#include "sdk/cpp/node.hpp"

namespace instar::engine::fakes {

using block::Node;
using block::NodeKind;
using block::NodePtr;
using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

inline constexpr uint64_t kBlock = 4096;

inline int count_threads() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
    ++count;
  return count;
}

enum class BlockStatus : uint8_t { kData, kZero, kUnallocated };

/** What a memory image holds and what befell it; shared with the test. */
struct Memory {
  explicit Memory(uint64_t size)
      : bytes(size), status((size + kBlock - 1) / kBlock, BlockStatus::kUnallocated) {}

  void set(uint64_t block, BlockStatus kind, uint8_t fill) {
    status[block] = kind;
    const uint64_t end = std::min<uint64_t>((block + 1) * kBlock, bytes.size());
    for (uint64_t i = block * kBlock; i < end; ++i)
      bytes[i] = kind == BlockStatus::kData ? fill : 0;
  }

  std::mutex mutex;
  std::vector<uint8_t> bytes;
  std::vector<BlockStatus> status;
  std::set<uint64_t> bad_reads;   ///< sectors
  std::set<uint64_t> bad_writes;  ///< sectors
  bool bad_status = false;
  std::vector<std::pair<uint64_t, uint64_t>> writes;  ///< in the order that they came
  uint64_t bytes_read = 0;
  uint64_t bytes_told = 0;  ///< whose status was asked for
  uint64_t bytes_zeroed = 0;
  int most_threads = 0;
  std::atomic<int>* cancel_after = nullptr;  ///< writes until *cancelled is set
  int32_t* cancelled = nullptr;
  uint32_t flags = 0;    ///< instar_node_flags
  uint32_t cluster = 0;  ///< bytes
  int together = 0;      ///< writes behind the first that are under way before one goes on
  bool alone = false;    ///< one waited for the others in vain

  void meet() {
    std::unique_lock lock(mutex);
    --together;
    changed.notify_all();
    if (!changed.wait_for(lock, std::chrono::seconds(5), [&] { return together <= 0; }))
      alone = true;
  }
  std::condition_variable changed;
};

class MemoryNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  MemoryNode(std::shared_ptr<Memory> memory, NodePtr backing)
      : memory_(std::move(memory)), backing_(std::move(backing)) {}

  uint64_t size() const { return memory_->bytes.size(); }
  void limits(instar_node_limits& limits) const {
    limits.flags |= memory_->flags;
    limits.cluster_size = memory_->cluster;
  }
  Status read(const Call& call, uint64_t offset, IoVec to) {
    const std::lock_guard lock(memory_->mutex);
    memory_->most_threads = std::max(memory_->most_threads, count_threads());
    if (touches(memory_->bad_reads, offset, to.length())) return fail(EIO, "bad sector");
    to.copy_in(0, memory_->bytes.data() + offset, to.length());
    memory_->bytes_read += to.length();
    const uint64_t end = offset + to.length();
    for (uint64_t at = offset, next = 0; at < end; at = next) {
      next = std::min((at / kBlock + 1) * kBlock, end);
      if (memory_->status[at / kBlock] != BlockStatus::kUnallocated) continue;
      std::vector<uint8_t> below(next - at);
      INSTAR_CHECK(read_below(call, at, below));
      to.copy_in(at - offset, below.data(), below.size());
    }
    return {};
  }
  Status write(const Call& call, uint64_t offset, IoVec from, uint32_t) {
    if (offset != 0) memory_->meet();  // the first one has no other beside it
    const std::lock_guard lock(memory_->mutex);
    if (touches(memory_->bad_writes, offset, from.length())) return fail(ENOSPC, "full");
    INSTAR_CHECK(bring_up(call, offset / kBlock));
    INSTAR_CHECK(bring_up(call, (offset + from.length() - 1) / kBlock));
    from.copy_out(0, memory_->bytes.data() + offset, from.length());
    mark(offset, from.length(), BlockStatus::kData);
    memory_->writes.emplace_back(offset, from.length());
    if (memory_->cancel_after != nullptr && --*memory_->cancel_after == 0)
      __atomic_store_n(memory_->cancelled, 1, __ATOMIC_RELAXED);
    return {};
  }
  Status write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t) {
    const std::lock_guard lock(memory_->mutex);
    INSTAR_CHECK(bring_up(call, offset / kBlock));
    INSTAR_CHECK(bring_up(call, (offset + length - 1) / kBlock));
    std::fill_n(memory_->bytes.begin() + static_cast<ptrdiff_t>(offset), length, uint8_t{0});
    const bool whole = offset % kBlock == 0 && length % kBlock == 0;
    if (whole || backing_ != nullptr)
      mark(offset, length, whole ? BlockStatus::kZero : BlockStatus::kData);
    memory_->bytes_zeroed += length;
    return {};
  }
  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    const std::lock_guard lock(memory_->mutex);
    if (memory_->bad_status) return fail(EIO, "bad metadata");
    const uint64_t end = offset + length;
    size_t count = 0;
    for (; count < max && offset < end; ++count) {
      const BlockStatus kind = memory_->status[offset / kBlock];
      uint64_t next = offset;
      while (next < end && memory_->status[next / kBlock] == kind)
        next = std::min((next / kBlock + 1) * kBlock, end);
      out[count] = {next - offset, 0, flags(kind), 0};
      memory_->bytes_told += next - offset;
      offset = next;
    }
    return count;
  }

 private:
  static uint32_t flags(BlockStatus kind) {
    if (kind == BlockStatus::kData) return INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
    if (kind == BlockStatus::kZero) return INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
    return 0;
  }
  static bool touches(const std::set<uint64_t>& sectors, uint64_t offset, uint64_t length) {
    const auto first = sectors.lower_bound(offset / 512);
    return first != sectors.end() && *first * 512 < offset + length;
  }
  Status read_below(const Call& call, uint64_t offset, std::vector<uint8_t>& to) const {
    const uint64_t size = backing_ != nullptr ? *backing_->size() : 0;
    if (offset >= size) return {};
    return backing_->read(call, offset, to.data(), std::min<uint64_t>(to.size(), size - offset));
  }
  /** A block that is written in part has what the backing file showed in the rest. */
  Status bring_up(const Call& call, uint64_t block) {
    if (backing_ == nullptr || memory_->status[block] != BlockStatus::kUnallocated) return {};
    const uint64_t at = block * kBlock;
    std::vector<uint8_t> below(std::min<uint64_t>(kBlock, memory_->bytes.size() - at));
    INSTAR_CHECK(read_below(call, at, below));
    std::copy(below.begin(), below.end(), memory_->bytes.begin() + static_cast<ptrdiff_t>(at));
    return {};
  }
  void mark(uint64_t offset, uint64_t length, BlockStatus kind) {
    for (uint64_t i = offset / kBlock; i * kBlock < offset + length; ++i)
      memory_->status[i] = kind;
  }

  std::shared_ptr<Memory> memory_;
  NodePtr backing_;
};

/** A protocol node over a scratch file that is gone already. */
class FileNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  FileNode(int fd, bool holes_known) : fd_(fd), holes_known_(holes_known) {}
  ~FileNode() { ::close(fd_); }

  uint64_t size() const { return static_cast<uint64_t>(lseek(fd_, 0, SEEK_END)); }
  Status read(const Call&, uint64_t offset, IoVec to) {
    for (const auto& piece : to) {
      if (pread(fd_, piece.base, piece.len, static_cast<off_t>(offset)) < 0)
        return fail(errno, "pread");
      offset += piece.len;
    }
    return {};
  }
  Status write(const Call&, uint64_t offset, IoVec from, uint32_t) {
    for (const auto& piece : from) {
      if (pwrite(fd_, piece.base, piece.len, static_cast<off_t>(offset)) < 0)
        return fail(errno, "pwrite");
      offset += piece.len;
    }
    return {};
  }
  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t) {
    const off_t data = holes_known_ ? lseek(fd_, static_cast<off_t>(offset), SEEK_DATA)
                                    : static_cast<off_t>(offset);
    const bool hole = data < 0 || static_cast<uint64_t>(data) > offset;
    uint64_t end = offset + length;
    if (hole && data >= 0) end = std::min(end, static_cast<uint64_t>(data));
    if (!hole && holes_known_)
      end = std::min(end, static_cast<uint64_t>(lseek(fd_, data, SEEK_HOLE)));
    const uint32_t content = hole ? INSTAR_EXTENT_ZERO : INSTAR_EXTENT_DATA;
    out[0] = {end - offset, offset, content | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET, 0};
    return size_t{1};
  }
  Status rawfd(instar_rawfd& out) const {
    out.fd = fd_;
    out.base = 0;
    out.direct = out.block_device = 0;
    return {};
  }

 private:
  int fd_;
  bool holes_known_;
};

inline constexpr uint64_t kCluster = 65536;

/** What a clustered image did; shared with the test. */
struct Clusters {
  std::mutex mutex;
  std::map<uint64_t, uint64_t> table;  ///< guest cluster to file offset
  std::map<uint64_t, std::vector<uint8_t>> packed;
  std::vector<uint64_t> allocated;  ///< guest clusters in the order that they got space
  std::vector<uint64_t> stored;
  uint64_t end = kCluster;  ///< of the file
  size_t aborted = 0;
  bool fail_commit = false;
  int64_t prepare_limit = -1;  ///< placements until -ENOTSUP
};

/** A format with a table of clusters over a FileNode; packs runs of one byte. */
class ClusterNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  ClusterNode(NodePtr file, uint64_t size, std::shared_ptr<Clusters> state)
      : file_(std::move(file)), size_(size), state_(std::move(state)) {}

  uint64_t size() const { return size_; }
  void limits(instar_node_limits& limits) const { limits.cluster_size = kCluster; }

  Status read(const Call& call, uint64_t offset, IoVec to) {
    std::vector<uint8_t> bytes(to.length());
    for (uint64_t done = 0; done < bytes.size();) {
      const uint64_t at = (offset + done) % kCluster;
      const uint64_t n = std::min<uint64_t>(kCluster - at, bytes.size() - done);
      const uint64_t cluster = (offset + done) / kCluster;
      const std::lock_guard lock(state_->mutex);
      if (const auto packed = state_->packed.find(cluster); packed != state_->packed.end())
        std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(done), n, packed->second[0]);
      else if (const auto found = state_->table.find(cluster); found != state_->table.end())
        if (auto read = file_->read(call, found->second + at, bytes.data() + done, n); !read)
          return read;
      done += n;
    }
    to.copy_in(0, bytes.data(), bytes.size());
    return {};
  }
  Status write(const Call& call, uint64_t offset, IoVec from, uint32_t) {
    std::vector<uint8_t> bytes(from.length());
    from.copy_out(0, bytes.data(), bytes.size());
    const std::lock_guard lock(state_->mutex);
    for (uint64_t done = 0; done < bytes.size();) {
      const uint64_t at = (offset + done) % kCluster;
      const uint64_t n = std::min<uint64_t>(kCluster - at, bytes.size() - done);
      const uint64_t cluster = (offset + done) / kCluster;
      if (!state_->table.contains(cluster)) state_->table[cluster] = allocate(cluster);
      auto written = file_->write(call, state_->table[cluster] + at, bytes.data() + done, n);
      if (!written) return written;
      done += n;
    }
    return {};
  }
  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    const std::lock_guard lock(state_->mutex);
    size_t count = 0;
    for (uint64_t end = offset + length; count < max && offset < end; ++count) {
      const uint64_t n = std::min(kCluster - offset % kCluster, end - offset);
      const auto found = state_->table.find(offset / kCluster);
      if (found != state_->table.end())
        out[count] = {n, found->second + offset % kCluster,
                      INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET, 0};
      else if (state_->packed.contains(offset / kCluster))
        out[count] = {n, 0, INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_COMPRESSED,
                      0};
      else
        out[count] = {n, 0, 0, 0};
      offset += n;
    }
    return count;
  }

  Result<size_t> prepare_write(const Call&, uint64_t offset, uint64_t length, instar_placement* out,
                               size_t max) {
    const std::lock_guard lock(state_->mutex);
    if (offset % kCluster != 0) return fail(EINVAL, "not at a cluster");
    size_t count = 0;
    for (uint64_t done = 0; done < length && count < max; ++count) {
      const uint64_t n = std::min(kCluster, length - done);
      if (n < kCluster && offset + done + n != size_) return fail(EINVAL, "half a cluster");
      if (state_->prepare_limit == 0) break;
      if (state_->prepare_limit > 0) --state_->prepare_limit;
      const uint64_t place = allocate((offset + done) / kCluster);
      out[count] = {offset + done, n, place, 0, 0, 0};
      done += n;
    }
    return count;
  }
  Status commit_write(const Call&, const instar_placement* places, size_t count) {
    const std::lock_guard lock(state_->mutex);
    if (state_->fail_commit) return fail(EIO, "no");
    for (size_t i = 0; i < count; ++i)
      state_->table[places[i].offset / kCluster] = places[i].child_offset;
    return {};
  }
  void abort_write(const instar_placement*, size_t count) {
    const std::lock_guard lock(state_->mutex);
    state_->aborted += count;
  }

  Result<int64_t> pack(const Call&, sdk::ConstBytes block, sdk::Bytes out) {
    if (block.size() != kCluster) return fail(EINVAL, "half a cluster");
    for (const uint8_t byte : block)
      if (byte != block[0]) return fail(ENOSPC, "not smaller");
    out[0] = block[0];
    return int64_t{1};
  }
  Status store(const Call&, uint64_t offset, size_t, sdk::ConstBytes packed) {
    const std::lock_guard lock(state_->mutex);
    state_->stored.push_back(offset / kCluster);
    state_->packed[offset / kCluster] = {packed.begin(), packed.end()};
    return {};
  }

 private:
  uint64_t allocate(uint64_t cluster) {
    state_->allocated.push_back(cluster);
    return std::exchange(state_->end, state_->end + kCluster);
  }
  NodePtr file_;
  uint64_t size_;
  std::shared_ptr<Clusters> state_;
};

template <class T>
NodePtr make_node(NodeKind kind, const char* driver, std::unique_ptr<T> object,
                  std::vector<block::Child> children = {}) {
  instar_node node{};
  sdk::NodeTable<T>::publish(std::move(object), &node);
  block::NodeNames names;
  names.filename = names.exact_filename = std::string("test.") + driver;
  auto made =
      Node::make(kind, driver, std::move(names), INSTAR_OPEN_WRITE, node, std::move(children));
  if (!made) throw std::runtime_error(made.error().message);
  return *std::move(made);
}

inline NodePtr memory_node(std::shared_ptr<Memory> memory, NodePtr backing = nullptr) {
  std::vector<block::Child> children;
  if (backing != nullptr) children.push_back({"backing", INSTAR_CHILD_BACKING, backing});
  return make_node(NodeKind::kFormat, "memory",
                   std::make_unique<MemoryNode>(std::move(memory), std::move(backing)),
                   std::move(children));
}

inline NodePtr file_node(uint64_t size, bool holes_known = true) {
  const char* folder = getenv("TEST_TMPDIR");
  std::string name = std::string(folder != nullptr ? folder : "/tmp") + "/engine-XXXXXX";
  const int fd = mkstemp(name.data());
  if (fd < 0 || unlink(name.c_str()) != 0 || ftruncate(fd, static_cast<off_t>(size)) != 0)
    throw std::runtime_error("no scratch file");
  return make_node(NodeKind::kProtocol, "file", std::make_unique<FileNode>(fd, holes_known));
}

inline NodePtr cluster_node(uint64_t size, std::shared_ptr<Clusters> state) {
  NodePtr file = file_node(0);
  return make_node(NodeKind::kFormat, "clusters",
                   std::make_unique<ClusterNode>(file, size, std::move(state)),
                   {{"file", INSTAR_CHILD_FILE, file}});
}

/** A call that collects warnings and can be cancelled. */
class TestCall {
 public:
  TestCall() {
    abi_.struct_size = sizeof abi_;
    abi_.opaque = this;
    abi_.warn = [](instar_call* call, const char* text, size_t len) {
      static_cast<TestCall*>(call->opaque)->warnings.emplace_back(text, len);
    };
    abi_.cancelled = &cancelled;
  }
  Call call() { return Call(&abi_); }
  int32_t cancelled = 0;
  std::vector<std::string> warnings;

 private:
  instar_call abi_{};
};

/** Runs of data, zeroes, plain zero bytes and nothing, of many lengths. */
inline std::shared_ptr<Memory> random_memory(uint64_t size, uint32_t seed) {
  auto memory = std::make_shared<Memory>(size);
  std::mt19937 random(seed);
  for (uint64_t block = 0; block < memory->status.size();) {
    const uint64_t length = uint64_t{1} << (random() % 9);
    const uint32_t kind = random() % 8;
    for (uint64_t end = std::min<uint64_t>(block + length, memory->status.size()); block < end;
         ++block) {
      if (kind == 0) memory->set(block, BlockStatus::kZero, 0);
      if (kind == 1) memory->set(block, BlockStatus::kUnallocated, 0);
      if (kind == 2) memory->set(block, BlockStatus::kData, 0);
      if (kind == 3) memory->set(block, BlockStatus::kData, random() % 3 == 0 ? 0 : 7);
      if (kind < 4) continue;
      memory->set(block, BlockStatus::kData, static_cast<uint8_t>(random()));
      const uint64_t begin = block * kBlock;
      for (int i = 0; i < 3; ++i) {
        const uint64_t at = begin + random() % kBlock;
        if (at < size) memory->bytes[at] = static_cast<uint8_t>(random());
      }
    }
  }
  return memory;
}

inline std::vector<uint8_t> content(Node& node) {
  TestCall call;
  std::vector<uint8_t> bytes(*node.size());
  const auto status = node.read(call.call(), 0, bytes.data(), bytes.size());
  if (!status) throw std::runtime_error(status.error().message);
  return bytes;
}

}  // namespace instar::engine::fakes
