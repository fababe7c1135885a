// SPDX-License-Identifier: Apache-2.0
/** @file compress_node.hpp A node through which all writes are packed. */
#pragma once

#include <cstdint>
#include <memory>

#include "sdk/abi/compress.h"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::compress {

/** Thread-safe, as far as the node below is. Writes come as whole clusters of the node below. */
class CompressNode : public sdk::PassThrough {
 public:
  static sdk::Result<std::unique_ptr<CompressNode>> open(sdk::OpenContext& context);
  CompressNode(sdk::NodeRef below, uint32_t cluster_size)
      : PassThrough(below),
        cluster_size_(cluster_size),
        packer_(below.interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &packer_self_)) {}

  void limits(instar_node_limits& limits) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) const;

 private:
  const uint32_t cluster_size_;
  void* packer_self_ = nullptr;
  const instar_compress_ops* const packer_;  ///< nullptr where nothing may be written
};

}  // namespace instar::compress
