// SPDX-License-Identifier: Apache-2.0
/**
 * @file disk.hpp
 * A file in memory that a driver under test stands on. It can be told to fail, and to lose power:
 * what was not flushed is then kept, lost or torn, sector by sector.
 */
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

#include "sdk/abi/node.h"
#include "sdk/cpp/node.hpp"

namespace instar::conformance {

using sdk::Call;
using sdk::Error;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

/** Requests that can be made to fail; to be combined. */
enum DiskRequest : unsigned {
  kDiskRead = 1,
  kDiskWrite = 2,  ///< zeroes, discards and changes of the size too
  kDiskFlush = 4,
};

/** Thread-safe. Shared by the nodes that are opened on it. */
class Disk {
 public:
  static constexpr uint64_t kSector = 512;
  /** A driver that writes further out is told that there is no space. */
  static constexpr uint64_t kMaxSize = uint64_t{256} << 20;

  Disk() = default;
  explicit Disk(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)), durable_(bytes_) {}

  uint64_t size() const;
  std::vector<uint8_t> content() const;
  void replace(std::vector<uint8_t> bytes);

  Status read(uint64_t offset, IoVec to);
  Status write(uint64_t offset, const IoVec& from);
  Status write_zeroes(uint64_t offset, uint64_t length);
  /** Whole sectors are filled with rubbish: what a discarded range reads as is open. */
  Status discard(uint64_t offset, uint64_t length);
  Status flush();
  Status resize(uint64_t size);
  /** Runs of zeroes of 4 KiB are holes. */
  size_t extents(uint64_t offset, uint64_t length, instar_extent* out, size_t max) const;

  /** The requests of those kinds after the next `skip` ones fail with `err`; `count` of them. */
  void fail_requests(unsigned kinds, uint64_t skip, int err, uint64_t count = UINT64_MAX);
  void stop_failing();
  /** How many requests failed so since fail_requests. */
  uint64_t failures() const;
  /** How many writes there were (kDiskWrite). */
  uint64_t writes() const;

  /** From now on unflushed writes are remembered. */
  void watch_power();
  /** After the next `writes` writes every request fails. */
  void cut_power_after(uint64_t writes);
  /** What a power cut may have left: all that was flushed, and of the rest what chance wants. */
  std::vector<uint8_t> after_power_cut(std::mt19937_64& random) const;

 private:
  struct Fault {
    unsigned kinds;
    uint64_t skip;
    uint64_t count;
    int err;
  };
  struct Change {
    uint64_t offset;
    std::vector<uint8_t> bytes;
  };
  Status admit(DiskRequest kind);
  Status reach(uint64_t end);
  void remember(uint64_t offset, uint64_t length);

  mutable std::mutex mutex_;
  std::vector<uint8_t> bytes_;
  std::vector<uint8_t> durable_;
  std::vector<Change> changes_;
  std::optional<Fault> fault_;
  std::optional<uint64_t> writes_until_cut_;
  uint64_t failures_ = 0;
  uint64_t writes_ = 0;
  bool watching_ = false;
};

/** The node of a disk, as sdk::NodeTable wants it. */
class DiskNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  explicit DiskNode(std::shared_ptr<Disk> disk) : disk_(std::move(disk)) {}

  uint64_t size() const { return disk_->size(); }
  void limits(instar_node_limits& limits) const {
    limits.flags |= INSTAR_NODE_ZERO_INIT | INSTAR_NODE_SPARSE_ZERO;
  }
  Status read(const Call&, uint64_t offset, IoVec to) { return disk_->read(offset, to); }
  Status write(const Call&, uint64_t offset, IoVec from, uint32_t flags) {
    INSTAR_CHECK(disk_->write(offset, from));
    if ((flags & INSTAR_WRITE_FUA) != 0) INSTAR_CHECK(disk_->flush());
    return {};
  }
  Status write_zeroes(const Call&, uint64_t offset, uint64_t length, uint32_t) {
    return disk_->write_zeroes(offset, length);
  }
  Status discard(const Call&, uint64_t offset, uint64_t length) {
    return disk_->discard(offset, length);
  }
  Status flush(const Call&) { return disk_->flush(); }
  Status resize(const Call&, uint64_t size, uint32_t, uint32_t, const instar_progress*) {
    return disk_->resize(size);
  }
  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    return disk_->extents(offset, length, out, max);
  }

 private:
  std::shared_ptr<Disk> disk_;
};

}  // namespace instar::conformance
