// SPDX-License-Identifier: Apache-2.0
/** @file pipe_source.hpp A source that is read forward, and tells its length by ending. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "sdk/abi/forward.h"
#include "sdk/cpp/call.hpp"

namespace instar::engine {

/** A pipe, or an image with instar.forward/1. */
class PipeSource {
 public:
  /** @param fd the caller's */
  explicit PipeSource(int fd) : fd_(fd) {}
  /** @param image the caller's; ENOTSUP if it has a size. */
  static Result<PipeSource> of(const block::Node& image);

  /** Fills the buffer; less than that only at the end. Waits, but not when the call is cancelled. */
  Result<size_t> read(const sdk::Call& call, uint8_t* to, size_t length);
  bool ended() const { return ended_; }

 private:
  Result<size_t> read_pipe(const sdk::Call& call, uint8_t* to, size_t length);
  Result<size_t> read_image(const sdk::Call& call, uint8_t* to, size_t length);

  int fd_ = -1;
  const instar_forward_ops* image_ = nullptr;  ///< instead of fd_
  void* image_self_ = nullptr;
  uint64_t position_ = 0;
  bool ended_ = false;
};

}  // namespace instar::engine
