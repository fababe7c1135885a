// SPDX-License-Identifier: Apache-2.0
/** @file luks_node.hpp An encrypted disk: a LUKS header, or one in a file of its own, and behind it
 * the content, which the encryption scheme "luks" works on. */
#pragma once

#include <memory>

#include "sdk/cpp/content_cipher.hpp"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/host_file.hpp"

namespace instar::luks_format {

/** Thread-safe but for amend and resize, which nothing else may overlap. */
class LuksNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<LuksNode>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);

  sdk::Result<uint64_t> size() const;
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status flush(const sdk::Call& call) const { return file_.flush(call); }
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) const;

  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  sdk::Status amend(const sdk::Call& call, const sdk::Options& options, bool force,
                    const instar_progress* progress);
  sdk::Result<std::string> info() const;

 private:
  LuksNode(sdk::HostFile file, sdk::HostFile header, sdk::Encryption scheme)
      : file_(std::move(file)), header_(std::move(header)), cipher_(std::move(scheme)) {}
  uint64_t payload() const { return cipher_.scheme().payload_offset(); }

  sdk::HostFile file_;
  sdk::HostFile header_;  ///< detached; else not open
  sdk::ContentCipher cipher_;
};

}  // namespace instar::luks_format
