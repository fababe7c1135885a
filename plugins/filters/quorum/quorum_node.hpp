// SPDX-License-Identifier: Apache-2.0
/** @file quorum_node.hpp Several copies of one image as one node. */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "sdk/cpp/driver.hpp"

namespace instar::quorum {

struct Settings {
  uint64_t threshold = 0;
  bool tells_differences = false;  ///< blkverify
  bool rewrites = false;
  bool one_after_another = false;  ///< read-pattern=fifo
};

/** Thread-safe. */
class QuorumNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<QuorumNode>> open(sdk::OpenContext& context);
  QuorumNode(std::vector<sdk::NodeRef> copies, const Settings& settings)
      : copies_(std::move(copies)), settings_(settings) {}

  sdk::Result<uint64_t> size() const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) const;
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length,
                           uint32_t flags) const;
  sdk::Status flush(const sdk::Call& call) const;
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) const;

 private:
  /** What some of the copies gave. */
  struct Answer {
    std::vector<uint8_t> bytes;
    size_t votes = 0;
  };

  sdk::Status read_first(const sdk::Call& call, uint64_t offset, const sdk::IoVec& to) const;
  sdk::Result<std::vector<Answer>> read_all(const sdk::Call& call, uint64_t offset,
                                            uint64_t length) const;
  sdk::Status repair(const sdk::Call& call, uint64_t offset, const Answer& winner) const;
  sdk::Status on_all(const std::function<sdk::Status(const sdk::NodeRef&)>& request) const;

  const std::vector<sdk::NodeRef> copies_;
  const Settings settings_;
};

}  // namespace instar::quorum
