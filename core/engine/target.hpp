// SPDX-License-Identifier: Apache-2.0
/**
 * @file target.hpp
 * Where a copy's data goes: straight into a file descriptor, into places that the format's driver
 * sets aside (instar.map/1), or through the node. Allocation happens in a ticket's turn, moving
 * data does not need it.
 */
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "core/engine/pool.hpp"
#include "core/engine/raw_file.hpp"
#include "sdk/abi/map.h"

namespace instar::engine {

using sdk::Call;

/** Data for [offset, offset + length) of the target. */
struct WriteRun {
  uint64_t offset;
  const uint8_t* data;
  size_t length;
};

/** All functions: [any]; messages as qemu-img words them. */
class Target {
 public:
  /** @param one_writer one worker at a time writes to a file: file systems let no more do it, and who waits for that spins,
   * which takes the processor from a server on this machine */
  explicit Target(block::Node& node, bool one_writer = false);

  block::Node& node() const { return node_; }
  /** Whether writes ascend, for the sake of formats that allocate blocks and of servers. */
  bool takes_turns() const { return ordered_; }
  /** Allocation unit that data should come in; 1 = none. */
  uint64_t cluster() const { return cluster_; }
  /** What is worth filling up with zeroes: a cluster, or a subcluster where there are such. */
  uint64_t grain() const { return grain_; }
  /** The descriptor that the data ends in, or nullptr. */
  const RawFile* file() const { return file_; }

  /** Writes the runs, ascending. Passes the turn as early as may be, unless more is to follow. */
  Status write(const Call& call, Turn& turn, std::span<const WriteRun> runs, bool more = false);
  /** To be called after the node's size changed; nothing else runs meanwhile. */
  void refresh_size();
  /** Makes a range read as zeroes; in the ticket's turn. */
  Status write_zeroes(const Call& call, Turn& turn, uint64_t offset, uint64_t length);
  /**
   * Shares or moves `length` bytes of `source` by the file system. False: it can't; nothing of the
   * range counts as written then.
   */
  Result<bool> offload(const Call& call, Turn& turn, const RawFile& source, uint64_t source_offset,
                       uint64_t offset, uint64_t length, bool clone);

 private:
  struct Placed {
    instar_placement place;
    const uint8_t* data;
  };
  Status write_raw(const Call& call, std::span<const WriteRun> runs) const;
  Status write_node(const Call& call, const WriteRun& run) const;
  Status place(const Call& call, const WriteRun& run, std::vector<Placed>& out);
  Result<size_t> prepare(const Call& call, uint64_t offset, uint64_t length, instar_placement* out,
                         size_t max) const;
  Status fill(const Call& call, const std::vector<Placed>& placed, size_t* next) const;
  Status commit(const Call& call, const std::vector<instar_placement>& places) const;
  void abort(const std::vector<instar_placement>& places) const;
  bool offload_into(const RawFile& source, uint64_t source_offset, uint64_t base,
                    const std::vector<instar_placement>& places, bool clone) const;
  const RawFile* child_file(uint32_t child) const;
  int write_file(const RawFile& file, uint64_t offset, const void* from, size_t length) const;

  enum class Mode { kRaw, kMap, kNode };
  block::Node& node_;
  const bool one_writer_;
  mutable std::mutex writing_;
  Mode mode_ = Mode::kNode;
  bool ordered_ = true;
  uint64_t cluster_ = 1;
  uint64_t grain_ = 1;
  uint64_t size_ = 0;
  const instar_map_ops* map_ = nullptr;
  void* map_self_ = nullptr;
  std::unique_ptr<RawFile> own_file_;
  std::vector<std::unique_ptr<RawFile>> child_files_;  ///< by child id
  const RawFile* file_ = nullptr;
};

/** "error while writing at byte N: …". */
Error write_error(uint64_t offset, int code);

}  // namespace instar::engine
