// SPDX-License-Identifier: Apache-2.0
/** @file file_node.hpp An open file or device as a node. */
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "plugins/protocols/file/locks.hpp"
#include "plugins/protocols/file/opening.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::file {

/**
 * Thread-safe; every function is one or a few system calls on the descriptor. The size is always a
 * multiple of 512, as QEMU sees files: what stands behind the file's own end reads as zeroes.
 */
class FileNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  FileNode(Kind kind, OpenFile file, ImageLocks locks, Alignment alignment, uint32_t open_flags);

  sdk::Result<uint64_t> size() const;
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status flush(const sdk::Call& call);
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  void info(sdk::JsonWriter& json) const;
  sdk::Result<uint64_t> allocated_size() const;
  sdk::Status rawfd(instar_rawfd& out) const;
  sdk::Status set_permissions(const sdk::Call& call, uint32_t used, uint32_t shared);

 private:
  /** A run of bytes that lie in the file or do not. */
  struct Run {
    uint64_t end;
    bool data;
  };

  int fd() const { return file_.fd.get(); }
  bool writable() const { return (open_flags_ & INSTAR_OPEN_WRITE) != 0; }
  Run find_run(uint64_t offset);
  Run seek_run(uint64_t offset) const;
  void forget_data();
  sdk::Status zero_file(uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status zero_device(uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status extend_to(uint64_t offset, uint64_t end);

  const Kind kind_;
  const OpenFile file_;
  ImageLocks locks_;
  const Alignment alignment_;
  const uint32_t open_flags_;
  /** The errno of a flush that failed: what it should have written may be gone for good. */
  std::atomic<int> flush_error_{0};

  /** The run of data that was found last. Holes are not remembered: others may fill them. */
  std::mutex cache_mutex_;
  uint64_t data_begin_ = 0;
  uint64_t data_end_ = 0;
};

/** The driver of one kind. */
template <Kind kind>
class Driver : public FileNode {
 public:
  using FileNode::FileNode;
  static sdk::Result<std::unique_ptr<Driver>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Status remove(sdk::Host host, const std::string& filename);
  static sdk::Result<std::string> stage(const std::string& filename, uint32_t flags);
  static sdk::Status settle(const std::string& staged, const std::string& filename, uint32_t flags);
};

using FileDriver = Driver<Kind::kFile>;
using HostDeviceDriver = Driver<Kind::kHostDevice>;
using HostCdromDriver = Driver<Kind::kHostCdrom>;

extern template class Driver<Kind::kFile>;
extern template class Driver<Kind::kHostDevice>;
extern template class Driver<Kind::kHostCdrom>;

}  // namespace instar::file
