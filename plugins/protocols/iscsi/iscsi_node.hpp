// SPDX-License-Identifier: Apache-2.0
/** @file iscsi_node.hpp A logical unit of an iSCSI target as a node. */
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "plugins/protocols/iscsi/lun.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::iscsi {

/** Thread-safe. Each call is one command, and all of them are in flight at once. */
class IscsiNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<IscsiNode>> open(sdk::OpenContext& context);
  /** The unit is there already: it has to be large enough, and loses what looks like a format. */
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<std::string> parse_filename(std::string_view filename);

  uint64_t size() const { return about().capacity.bytes(); }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status flush(const sdk::Call& call);
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  void info(sdk::JsonWriter& json) const;
  /** Only options say it. */
  std::string filename() const { return {}; }

 private:
  static sdk::Result<std::unique_ptr<IscsiNode>> connect(const sdk::Call& call,
                                                         const sdk::Host& host, const Place& place,
                                                         bool writable);
  explicit IscsiNode(std::unique_ptr<Lun> lun)
      : lun_(std::move(lun)), zero_block_(about().capacity.block_size) {}

  const About& about() const { return lun_->about(); }
  uint32_t block_size() const { return about().capacity.block_size; }
  uint32_t cluster_size() const;
  /** Whether the last block has too high an address for the commands of 10 bytes. */
  bool is_large() const { return about().capacity.blocks > uint64_t{UINT32_MAX} + 1; }
  sdk::Status clear_head(const sdk::Call& call);
  sdk::Status write_bytes(const sdk::Call& call, uint64_t offset, sdk::ConstBytes from, bool fua);

  const std::unique_ptr<Lun> lun_;
  const std::vector<uint8_t> zero_block_;
  std::atomic<bool> can_write_same_{true};  ///< the target has not refused it
};

}  // namespace instar::iscsi
