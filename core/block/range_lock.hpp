// SPDX-License-Identifier: Apache-2.0
/** @file range_lock.hpp Keeps a read-modify-write apart from the writes that overlap it. */
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>

namespace instar::block {

/** Locks of byte ranges: an exclusive one waits for all that overlap it, a shared one for the
 * exclusive ones only. [any] */
class RangeLocks {
 private:
  struct Range {
    uint64_t begin;
    uint64_t end;
    bool exclusive;
  };
  using Entry = std::list<Range>::iterator;

 public:
  /** Holds [begin, end) while it lives. */
  class Hold {
   public:
    Hold(RangeLocks& locks, uint64_t begin, uint64_t end, bool exclusive)
        : locks_(locks), entry_(locks.enter({begin, end, exclusive})) {}
    ~Hold() { locks_.leave(entry_); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    RangeLocks& locks_;
    Entry entry_;
  };

 private:
  Entry enter(const Range& wanted) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return std::none_of(held_.begin(), held_.end(), [&](const Range& other) {
        return other.begin < wanted.end && wanted.begin < other.end &&
               (other.exclusive || wanted.exclusive);
      });
    });
    return held_.insert(held_.end(), wanted);
  }
  void leave(Entry entry) {
    {
      const std::lock_guard lock(mutex_);
      held_.erase(entry);
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Range> held_;
};

}  // namespace instar::block
