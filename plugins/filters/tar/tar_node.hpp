// SPDX-License-Identifier: Apache-2.0
/** @file tar_node.hpp A member of a tar archive as a node: a part of the file, read-only. */
#pragma once

#include <memory>
#include <string>

#include "plugins/filters/tar/archive.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::tar {

/** Thread-safe: it keeps nothing but where the member lies. */
class TarNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  static constexpr bool kPlainReads = true;

  static sdk::Result<std::unique_ptr<TarNode>> open(sdk::OpenContext& context);

  uint64_t size() const { return member_.size; }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) const;
  void info(sdk::JsonWriter& json) const;

 private:
  TarNode(sdk::NodeRef file, Member member) : file_(file), member_(std::move(member)) {}

  const sdk::NodeRef file_;
  const Member member_;
};

}  // namespace instar::tar
