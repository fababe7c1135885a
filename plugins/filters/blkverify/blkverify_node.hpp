// SPDX-License-Identifier: Apache-2.0
/** @file blkverify_node.hpp An image and a raw copy of it that are compared with every read. */
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::blkverify {

/** Stands on the raw copy; thread-safe. */
class BlkverifyNode : public sdk::PassThrough {
 public:
  static sdk::Result<std::unique_ptr<BlkverifyNode>> open(sdk::OpenContext& context);
  /** "blkverify:RAW:IMAGE"; without the scheme all of it is the image. */
  static sdk::Result<std::string> parse_filename(std::string_view filename);

  BlkverifyNode(sdk::NodeRef raw, sdk::NodeRef test) : PassThrough(raw), test_(test) {}

  sdk::Result<uint64_t> size() const { return test_.size(); }
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) const;
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length,
                           uint32_t flags) const;
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length) const;
  /** The raw copy is for comparing only. */
  sdk::Status flush(const sdk::Call& call) const { return test_.flush(call); }
  /** Unknown, as QEMU has it. */
  sdk::Result<uint64_t> allocated_size() const { return sdk::fail(ENOTSUP, "unknown"); }
  bool offers(std::string_view id) const { return id != INSTAR_RESIZE_ID; }

 private:
  const sdk::NodeRef test_;
};

}  // namespace instar::blkverify
