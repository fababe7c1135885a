// SPDX-License-Identifier: Apache-2.0
/** @file blkdebug_node.hpp A node that fails by rules. */
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/filters/blkdebug/rules.hpp"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::blkdebug {

/** What the user wants of requests, in bytes; 0: nothing. */
struct Constraints {
  uint32_t align = 0;
  uint32_t max_transfer = 0;
  uint32_t opt_write_zero = 0;
  uint32_t max_write_zero = 0;
  uint32_t opt_discard = 0;
  uint32_t max_discard = 0;

  /** In QEMU's words: those that are no multiples of the alignment. */
  static sdk::Result<Constraints> read(const sdk::Options& options);
};

/** Thread-safe. */
class BlkdebugNode : public sdk::PassThrough {
 public:
  static sdk::Result<std::unique_ptr<BlkdebugNode>> open(sdk::OpenContext& context);
  /** "blkdebug:CONFIG:IMAGE"; without the scheme all of it is the image. */
  static sdk::Result<std::string> parse_filename(std::string_view filename);

  BlkdebugNode(sdk::NodeRef below, const Constraints& constraints)
      : PassThrough(below), constraints_(constraints) {}

  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status flush(const sdk::Call& call);
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max);
  void debug_event(std::string_view name) { rules_.event(name); }
  /** Unknown, as QEMU has it. */
  sdk::Result<uint64_t> allocated_size() const { return sdk::fail(ENOTSUP, "unknown"); }

 private:
  sdk::Status check(RequestKind kind, uint64_t offset, uint64_t length);

  const Constraints constraints_;
  Rules rules_;
};

}  // namespace instar::blkdebug
