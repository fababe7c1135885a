// SPDX-License-Identifier: Apache-2.0
/** @file raw_file.hpp Nodes whose bytes are those of a file descriptor: I/O past the node. */
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "core/block/status.hpp"

namespace instar::engine {

/** A descriptor that a node owns. All offsets are the node's. [any] */
class RawFile {
 public:
  /** nullptr: the node is no descriptor. */
  static std::unique_ptr<RawFile> of(block::Node& node);

  /** Opened with O_DIRECT: only clone is allowed, reads and writes go through the node. */
  bool direct() const { return direct_; }
  /** The same bytes of the same file? */
  bool same_bytes(uint64_t offset, const RawFile& other, uint64_t other_offset) const;

  /** A file, not a device: it may have holes. */
  bool regular() const { return regular_; }
  /** Where the next data begins, at `offset` or behind; UINT64_MAX: nowhere. `offset` itself when that
   * can't be told. */
  uint64_t next_data(uint64_t offset) const;

  /** Negative errno; bytes beyond the end read as zeroes. */
  int read(uint64_t offset, void* to, size_t len) const;
  int write(uint64_t offset, const void* from, size_t len) const;

  /** Regular files on one file system. */
  bool same_file_system(const RawFile& source) const;
  /** Whether that file system lets files share blocks. */
  bool can_clone_from(const RawFile& source) const;
  uint64_t block_size() const { return block_size_; }
  uint64_t base() const { return base_; }
  int clone_from(const RawFile& source, uint64_t source_offset, uint64_t offset,
                 uint64_t len) const;
  int copy_from(const RawFile& source, uint64_t source_offset, uint64_t offset, uint64_t len) const;

 private:
  RawFile() = default;

  int fd_ = -1;
  uint64_t base_ = 0;
  bool direct_ = false;
  bool regular_ = false;
  uint64_t block_size_ = 4096;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/** The descriptors behind the nodes of a job, each looked up once. One thread at a time. */
class RawFiles {
 public:
  const RawFile* find(block::Node& node);
  /** Where a run's bytes may be read past the driver; nullptr: through the node. */
  const RawFile* plain(const block::ChainExtent& extent);

 private:
  struct Known {
    const block::Node* node;
    bool allows_plain_reads;
    std::unique_ptr<RawFile> file;
  };
  Known& look_up(block::Node& node);
  std::vector<std::unique_ptr<Known>> known_;
};

}  // namespace instar::engine
