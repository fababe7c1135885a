// SPDX-License-Identifier: Apache-2.0
/** @file range_locks.hpp Guest ranges that requests work on, so that a cluster is not allocated
 * twice nor freed under a reader. Guarded by the image's mutex. */
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace instar::sdk {

class RangeLocks {
 public:
  enum class Mode : uint8_t { kShared, kExclusive };

  /** Waits until nobody works on [begin, end) in a way that excludes `mode`. True if it had to
   * wait: what the caller looked up before may be outdated. */
  bool wait(std::unique_lock<std::mutex>& lock, uint64_t begin, uint64_t end, Mode mode) {
    bool waited = false;
    while (conflicts(begin, end, mode)) {
      waited = true;
      ++waiting_;
      changed_.wait(lock);
      --waiting_;
    }
    return waited;
  }
  void add(uint64_t begin, uint64_t end, Mode mode) { held_.push_back({begin, end, mode}); }
  void remove(uint64_t begin, uint64_t end, Mode mode) {
    for (auto& range : held_) {
      if (range.begin != begin || range.end != end || range.mode != mode) continue;
      range = held_.back();
      held_.pop_back();
      break;
    }
    if (waiting_ != 0) changed_.notify_all();
  }
  bool conflicts(uint64_t begin, uint64_t end, Mode mode) const {
    for (const auto& range : held_)
      if (begin < range.end && range.begin < end &&
          (mode == Mode::kExclusive || range.mode == Mode::kExclusive))
        return true;
    return false;
  }

 private:
  struct Range {
    uint64_t begin;
    uint64_t end;
    Mode mode;
  };
  std::vector<Range> held_;
  std::condition_variable changed_;
  size_t waiting_ = 0;
};

}  // namespace instar::sdk
