// SPDX-License-Identifier: Apache-2.0
/**
 * @file reference_gate.hpp
 * The one place that decides whether a name found inside an image (backing file, data file, extent)
 * may be opened. Nothing named by an image is opened past it.
 */
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"

namespace instar::block {

enum class ReferencePolicy {
  kAll,         ///< QEMU's behaviour; the default under the name qemu-img
  kSameFolder,  ///< plain names of regular files or block devices in the folder of the image that
                ///< names them
  kNone
};

/** Longest chain of references; QEMU has no limit but file descriptors. */
inline constexpr int kMaxChainDepth = 200;

/** The files that lie above in a chain, by device and inode, to find cycles. */
class ReferenceChain {
 public:
  /** Fails when the same file is there already, or the chain is too deep. */
  Status enter(const std::string& filename);
  int depth() const { return static_cast<int>(seen_.size()); }

 private:
  std::vector<std::pair<uint64_t, uint64_t>> seen_;
};

class ReferenceGate {
 public:
  explicit ReferenceGate(ReferencePolicy policy) : policy_(policy) {}
  /**
   * @param image the plain file name of the image that holds the reference (may be empty)
   * @param reference as resolved against it: a plain name, a name with a protocol, or json:
   * The error says which image, which reference and which policy, with a hint how to allow it.
   */
  Status admit(const std::string& image, const std::string& reference) const;
  ReferencePolicy policy() const { return policy_; }

 private:
  ReferencePolicy policy_;
};

}  // namespace instar::block
