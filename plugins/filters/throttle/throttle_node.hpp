// SPDX-License-Identifier: Apache-2.0
/** @file throttle_node.hpp A node that lets requests through at the rate of its group. */
#pragma once

#include <cstdint>
#include <memory>

#include "plugins/filters/throttle/group.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::throttle {

/**
 * Thread-safe. Reads, writes, write_zeroes and discard count; flush, extents and resize do not.
 * It offers neither instar.map/1 nor instar.rawfd/1, so that no byte goes around it.
 */
class ThrottleNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<ThrottleNode>> open(sdk::OpenContext& context);
  ThrottleNode(sdk::NodeRef below, std::shared_ptr<Group> group)
      : below_(below), group_(std::move(group)) {}

  sdk::Result<uint64_t> size() const { return below_.size(); }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) const;
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length,
                           uint32_t flags) const;
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length) const;
  sdk::Status flush(const sdk::Call& call) const { return below_.flush(call); }
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) const;
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress) const;
  void info(sdk::JsonWriter& json) const;

 private:
  sdk::Status wait(const sdk::Call& call, Direction direction, uint64_t bytes) const;

  const sdk::NodeRef below_;
  const std::shared_ptr<Group> group_;
};

}  // namespace instar::throttle
