// SPDX-License-Identifier: Apache-2.0
/** @file copy_on_read_node.hpp A node whose reads bring the backing file's content into the image. */
#pragma once

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <utility>

#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::copy_on_read {

/** Thread-safe: nobody writes while something is copied. */
class CopyOnReadNode : public sdk::PassThrough {
 public:
  static sdk::Result<std::unique_ptr<CopyOnReadNode>> open(sdk::OpenContext& context);
  CopyOnReadNode(sdk::NodeRef below, uint64_t unit, std::string bottom)
      : PassThrough(below), unit_(unit), bottom_(std::move(bottom)) {}

  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);

 private:
  sdk::Status copy(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status copy_part(const sdk::Call& call, uint64_t offset, uint64_t length);

  sdk::Result<instar_extent> held(const sdk::Call& call, uint64_t offset, uint64_t length) const;

  const uint64_t unit_;       ///< bytes that are copied together: a cluster of the image
  const std::string bottom_;  ///< of the chain, the lowest node that is copied from; empty: all
  std::shared_mutex mutex_;
};

}  // namespace instar::copy_on_read
