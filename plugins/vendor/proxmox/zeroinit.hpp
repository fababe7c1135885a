// SPDX-License-Identifier: Apache-2.0
/** @file zeroinit.hpp The filter zeroinit: a disk that is known to read as zeroes where nothing was
 * written yet, such as a new volume whose driver can't say so itself. */
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::proxmox {

/** Thread-safe. Zeroes beyond all that was written since opening are not written. */
class ZeroInit : public sdk::PassThrough {
 public:
  static sdk::Result<std::string> parse_filename(std::string_view filename);
  static sdk::Result<std::unique_ptr<ZeroInit>> open(sdk::OpenContext& context);
  ZeroInit(sdk::NodeRef below, bool zero_init) : PassThrough(below), zero_init_(zero_init) {}

  void limits(instar_node_limits& limits) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);

 private:
  void note(uint64_t end);

  const bool zero_init_;
  std::atomic<uint64_t> written_{0};  ///< nothing was written from this offset on
};

}  // namespace instar::proxmox
