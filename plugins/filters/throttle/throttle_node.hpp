// SPDX-License-Identifier: Apache-2.0
/** @file throttle_node.hpp A node that lets requests through at the rate of its group. */
#pragma once

#include <cstdint>
#include <memory>

#include "plugins/filters/throttle/group.hpp"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::throttle {

/**
 * Thread-safe. Reads, writes, write_zeroes and discard count; flush, extents and resize do not.
 */
class ThrottleNode : public sdk::PassThrough {
 public:
  static sdk::Result<std::unique_ptr<ThrottleNode>> open(sdk::OpenContext& context);
  ThrottleNode(sdk::NodeRef below, std::shared_ptr<Group> group)
      : PassThrough(below), group_(std::move(group)) {}

  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) const;
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length,
                           uint32_t flags) const;
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length) const;

 private:
  sdk::Status wait(const sdk::Call& call, Direction direction, uint64_t bytes) const;

  const std::shared_ptr<Group> group_;
};

}  // namespace instar::throttle
