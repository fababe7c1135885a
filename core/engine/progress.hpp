// SPDX-License-Identifier: Apache-2.0
/** @file progress.hpp Counts what is done and tells it in steps of at least a hundredth. */
#pragma once

#include <cstdint>
#include <mutex>

#include "sdk/abi/types.h"

namespace instar::engine {

class Progress {
 public:
  Progress(const instar_progress& sink, uint64_t total) : sink_(sink), total_(total) {}

  bool wanted() const { return sink_.report != nullptr; }
  /** Reports are made one at a time, in rising order. [any] */
  void add(uint64_t bytes) {
    if (!wanted()) return;
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    if (done_ > total_) done_ = total_;
    if (done_ == told_ || (done_ - told_ < total_ / 100 && done_ != total_)) return;
    told_ = done_;
    sink_.report(sink_.opaque, done_, total_);
  }

 private:
  instar_progress sink_;
  uint64_t total_;
  std::mutex mutex_;
  uint64_t done_ = 0;
  uint64_t told_ = 0;
};

}  // namespace instar::engine
