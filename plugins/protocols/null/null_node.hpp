// SPDX-License-Identifier: Apache-2.0
/** @file null_node.hpp A disk of a size that keeps nothing. */
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sdk/cpp/driver.hpp"

namespace instar::null {

/** Thread-safe: it has no state. */
class NullNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  static constexpr uint64_t kDefaultSize = 1 << 30;

  struct Settings {
    uint64_t size = kDefaultSize;
    uint64_t latency_ns = 0;
    bool read_zeroes = false;
  };
  static sdk::Result<Settings> parse_settings(const sdk::Options& options);
  explicit NullNode(const Settings& settings) : settings_(settings) {}

  uint64_t size() const { return settings_.size; }
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags) const;
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length,
                           uint32_t flags) const;
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length) const;
  sdk::Status flush(const sdk::Call& call) const;
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) const;
  void info(sdk::JsonWriter& json) const { json.begin_object().end_object(); }
  sdk::Result<uint64_t> allocated_size() const { return uint64_t{0}; }

 private:
  sdk::Status wait(const sdk::Call& call) const;
  const Settings settings_;
};

/** The driver under its two names; requests are the same here, since every node is synchronous. */
template <bool asynchronous>
struct NullDriver : NullNode {
  using NullNode::NullNode;
  static sdk::Result<std::unique_ptr<NullDriver>> open(sdk::OpenContext& context) {
    INSTAR_TRY(const Settings settings, parse_settings(context.options()));
    return std::make_unique<NullDriver>(settings);
  }
  /** The name's only form is the scheme with "//". */
  static sdk::Result<std::string> parse_filename(std::string_view filename) {
    constexpr std::string_view kOnly = asynchronous ? "null-aio://" : "null-co://";
    if (filename == kOnly) return std::string("{}");
    return sdk::fail(EINVAL, "The only allowed filename for this driver is '", kOnly, "'");
  }
};

using NullCo = NullDriver<false>;
using NullAio = NullDriver<true>;

}  // namespace instar::null
