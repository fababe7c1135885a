// SPDX-License-Identifier: Apache-2.0
/** @file raw_node.hpp A raw image: the bytes of a file, or of a window into it. */
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sdk/cpp/driver.hpp"

namespace instar::raw {

/** Thread-safe: it keeps nothing but the window. */
class RawNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<RawNode>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);
  static sdk::Status stream(sdk::Host host, const sdk::Call& call, const sdk::Options& options,
                            const sdk::StreamSource& source, const instar_content& out);

  sdk::Result<uint64_t> size() const;
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) const;
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length,
                           uint32_t flags) const;
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length) const;
  sdk::Status flush(const sdk::Call& call) const;
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) const;

  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress) const;
  void info(sdk::JsonWriter& json) const;
  sdk::Result<std::string> snapshot_list() const;
  sdk::Status snapshot_create(const sdk::Call& call, std::string_view name, int64_t sec,
                              int32_t nsec) const;
  sdk::Status snapshot_apply(const sdk::Call& call, std::string_view id) const;
  sdk::Status snapshot_remove(const sdk::Call& call, std::string_view id,
                              std::string_view name) const;
  sdk::Status snapshot_load(const sdk::Call& call, std::string_view id) const;
  sdk::Status rawfd(instar_rawfd& out) const;
  sdk::Result<size_t> prepare_write(const sdk::Call& call, uint64_t offset, uint64_t length,
                                    instar_placement* out, size_t max) const;
  sdk::Status commit_write(const sdk::Call& call, const instar_placement* placements,
                           size_t count) const;
  void abort_write(const instar_placement* placements, size_t count) const;
  bool offers(std::string_view id) const;

 private:
  RawNode(sdk::NodeRef file, uint64_t offset, std::optional<uint64_t> fixed_size);
  uint32_t passed_on(const instar_extent& answer, uint64_t position) const;
  bool inside(uint64_t offset, uint64_t length) const;
  template <class Function>
  sdk::Status with_snapshots(const sdk::Call* call, Function function) const;

  const sdk::NodeRef file_;
  const sdk::DebugEvents events_;
  const bool over_filter_;
  const uint64_t offset_;
  const std::optional<uint64_t> fixed_size_;
};

}  // namespace instar::raw
