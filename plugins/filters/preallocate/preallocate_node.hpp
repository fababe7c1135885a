// SPDX-License-Identifier: Apache-2.0
/** @file preallocate_node.hpp A file that is made longer in large steps. */
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::preallocate {

struct Settings {
  uint64_t align = 1u << 20;
  uint64_t step = 128u << 20;
};

/**
 * Thread-safe. The file below may be longer than what was written while the node is open; close cuts
 * it.
 */
class PreallocateNode : public sdk::PassThrough {
 public:
  static sdk::Result<std::unique_ptr<PreallocateNode>> open(sdk::OpenContext& context);
  PreallocateNode(sdk::NodeRef below, const Settings& settings, uint64_t size)
      : PassThrough(below), settings_(settings), data_end_(size), file_end_(size) {}

  sdk::Result<uint64_t> size() const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  sdk::Status close(const sdk::Call& call);

 private:
  sdk::Status reach(const sdk::Call& call, uint64_t end);
  void note_data(uint64_t end);

  const Settings settings_;
  mutable std::mutex mutex_;
  uint64_t data_end_;     ///< what users see
  uint64_t file_end_;     ///< what is set aside
  bool refused_ = false;  ///< the file can't: no more tries
};

}  // namespace instar::preallocate
