// SPDX-License-Identifier: Apache-2.0
/** @file pipe_source.hpp A source that can only be read forward, and tells its length by ending. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/result.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::engine {

class PipeSource {
 public:
  /** @param fd the caller's */
  explicit PipeSource(int fd) : fd_(fd) {}

  /** Fills the buffer; less than that only at the end. Waits, but not when the call is cancelled. */
  Result<size_t> read(const sdk::Call& call, uint8_t* to, size_t length);
  bool ended() const { return ended_; }

 private:
  int fd_;
  bool ended_ = false;
};

}  // namespace instar::engine
