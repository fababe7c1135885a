// SPDX-License-Identifier: Apache-2.0
/** @file packing_line.hpp Blocks that come in order are packed on all processors and leave in order; content is cut into
 * such blocks. */
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "../abi/content.h"
#include "bytes.hpp"
#include "result.hpp"

namespace instar::sdk {

/** One caller; memory is that of a few blocks for each processor. */
class PackingLine {
 public:
  /** Packed length, or -ENOSPC: it does not fit. Any thread. */
  using Pack = std::function<Result<int64_t>(ConstBytes block, Bytes out)>;
  /** Takes the blocks by their numbers, in the order in which they were put. The caller's thread.
   * @param packed empty: it did not fit */
  using Store = std::function<Status(uint64_t number, ConstBytes block, ConstBytes packed)>;

  /** @param block bytes of the longest one @param packed room for what becomes of it */
  PackingLine(size_t block, size_t packed, Pack pack, Store store)
      : most_threads_(std::max(1u, std::thread::hardware_concurrency())),
        slots_(2 * most_threads_ + 2),
        block_(block),
        packed_(packed),
        pack_(std::move(pack)),
        store_(std::move(store)) {}
  ~PackingLine() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    put_.notify_all();
    for (auto& thread : threads_)
      thread.join();
  }
  PackingLine(const PackingLine&) = delete;
  PackingLine& operator=(const PackingLine&) = delete;

  /** Where the next block is to be filled in; what was there before is still there. */
  Result<Bytes> room() {
    if (put_count_ - stored_ == slots_.size()) INSTAR_CHECK(store_oldest());
    Slot& slot = slot_at(put_count_);
    slot.block.resize(block_);
    slot.packed.resize(packed_);
    return Bytes(slot.block);
  }
  /** It is filled, `length` bytes of it. */
  void put(uint64_t number, size_t length) {
    Slot& slot = slot_at(put_count_);
    slot.number = number;
    slot.length = length;
    slot.result.reset();
    {
      const std::lock_guard lock(mutex_);
      ++put_count_;
    }
    try {
      if (threads_.size() < std::min(put_count_, most_threads_))
        threads_.emplace_back(&PackingLine::work, this);
    } catch (const std::system_error&) {
      // The threads that there are do the work, or the caller.
    }
    put_.notify_one();
  }
  /** Until all are stored. */
  Status finish() {
    while (stored_ < put_count_)
      INSTAR_CHECK(store_oldest());
    return {};
  }

 private:
  struct Slot {
    uint64_t number = 0;
    size_t length = 0;
    std::vector<uint8_t> block, packed;
    std::optional<Result<int64_t>> result;  ///< there when it is packed
  };

  Slot& slot_at(size_t count) { return slots_[count % slots_.size()]; }
  static ConstBytes content(const Slot& slot) { return {slot.block.data(), slot.length}; }

  Result<int64_t> packed(Slot& slot) const {
    try {
      return pack_(content(slot), slot.packed);
    } catch (const std::bad_alloc&) {
      return fail(ENOMEM, errno_text(ENOMEM));
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      put_.wait(lock, [&] { return ending_ || taken_ < put_count_; });
      if (ending_) return;
      Slot& slot = slot_at(taken_++);
      lock.unlock();
      auto result = packed(slot);
      lock.lock();
      slot.result = std::move(result);
      packed_one_.notify_one();
    }
  }

  Status store_oldest() {
    Slot& slot = slot_at(stored_);
    {
      std::unique_lock lock(mutex_);
      if (taken_ == stored_) {  // nobody has begun with it
        ++taken_;
        lock.unlock();
        slot.result = packed(slot);
      } else {
        packed_one_.wait(lock, [&] { return slot.result.has_value(); });
      }
    }
    ++stored_;
    if (!*slot.result) return std::move(*slot.result).error();
    const auto length = static_cast<size_t>(std::max<int64_t>(**slot.result, 0));
    return store_(slot.number, content(slot), {slot.packed.data(), length});
  }

  const size_t most_threads_;
  std::vector<Slot> slots_;
  const size_t block_, packed_;
  const Pack pack_;
  const Store store_;
  size_t stored_ = 0;  ///< blocks that have left

  std::mutex mutex_;
  std::condition_variable put_, packed_one_;
  size_t put_count_ = 0;
  size_t taken_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

/** The blocks of a disk's content, but for those of zeroes, packed and stored in order. */
class ContentPacker {
 public:
  /** @param block bytes @param size of all: the last block may be shorter @param packed room for a packed one */
  ContentPacker(size_t block, uint64_t size, size_t packed, PackingLine::Pack pack,
                PackingLine::Store store)
      : block_(block), size_(size), line_(block, packed, std::move(pack), std::move(store)) {}

  /** What comes is kept here until its turn. */
  instar_content receiver() { return {this, &take_data, &take_zeroes}; }
  /** After all of it, whose giver said `given`. */
  Status finish(Status given) {
    // An own error says more than the errno that went through the giver.
    INSTAR_CHECK(std::exchange(status_, Status()));
    INSTAR_CHECK(std::move(given));
    end_block();
    return line_.finish();
  }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;

  static int take_data(void* opaque, const void* bytes, size_t length) noexcept {
    auto& self = *static_cast<ContentPacker*>(opaque);
    try {
      self.status_ = self.take(static_cast<const uint8_t*>(bytes), length);
    } catch (const std::bad_alloc&) {
      self.status_ = fail(ENOMEM, errno_text(ENOMEM));
    }
    return self.status_ ? 0 : -self.status_.error().code;
  }
  static int take_zeroes(void* opaque, uint64_t length) noexcept {
    static_cast<ContentPacker*>(opaque)->position_ += length;
    return 0;
  }

  Status take(const uint8_t* bytes, size_t length) {
    while (length > 0) {
      if (position_ / block_ != number_) INSTAR_CHECK(begin_block());
      const size_t inside = position_ % block_;
      const size_t n = std::min(length, block_ - inside);
      std::memcpy(room_.data() + inside, bytes, n);
      position_ += n;
      bytes += n;
      length -= n;
    }
    return {};
  }
  Status begin_block() {
    end_block();
    if (position_ >= size_) return fail(EIO, "the source is longer than it said");
    INSTAR_TRY(room_, line_.room());
    std::fill(room_.begin(), room_.end(), uint8_t{0});
    number_ = position_ / block_;
    return {};
  }
  void end_block() {
    const uint64_t number = std::exchange(number_, kNone);
    if (number == kNone) return;
    const auto length = static_cast<size_t>(std::min<uint64_t>(block_, size_ - number * block_));
    if (!is_zero(room_.data(), length)) line_.put(number, length);
  }

  const size_t block_;
  const uint64_t size_;
  uint64_t position_ = 0;    ///< in the content
  uint64_t number_ = kNone;  ///< of the block that is being filled, in room_
  Bytes room_;
  Status status_;
  PackingLine line_;
};

}  // namespace instar::sdk
