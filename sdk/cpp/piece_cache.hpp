// SPDX-License-Identifier: Apache-2.0
/** @file piece_cache.hpp Packed files whose index tells of pieces that can be unpacked by
 * themselves: several at once, ahead of who reads in order. */
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "unpacker.hpp"

namespace instar::sdk {

/** Bytes; pieces lie one behind another and none is empty. */
struct Piece {
  uint64_t packed_offset = 0;
  uint64_t packed_length = 0;
  uint64_t offset = 0;  ///< of its content
  uint64_t length = 0;
  uint32_t tag = 0;  ///< the packing's own
};

/** Thread-safe. Memory: no more than kMemory, whatever the pieces' lengths. */
class PieceCache {
 public:
  /** Fills `out`, which is as long as the piece; any thread. */
  using Unpack = Status (*)(const Piece& piece, ConstBytes packed, Bytes out);

  static constexpr uint64_t kMemory = 192u << 20;
  /** Two pieces are held at least, and one at work takes twice its length more. */
  static constexpr uint64_t kMostLength = kMemory / 4;

  /** Whether pieces of that length can be had in memory. */
  static bool admits(const Piece& piece) {
    return piece.length <= kMostLength && piece.packed_length <= piece.length + kOverhead;
  }

  PieceCache(PackedFile file, std::vector<Piece> pieces, Unpack unpack, PackingRatio& ratio)
      : file_(std::move(file)), pieces_(std::move(pieces)), unpack_(unpack), ratio_(ratio) {
    uint64_t largest = 1;
    for (const auto& piece : pieces_)
      largest = std::max(largest, piece.length);
    const uint64_t cores = std::max(1u, std::thread::hardware_concurrency());
    // Half of the memory for the pieces, the other half for those who work on them.
    most_threads_ =
        static_cast<size_t>(std::clamp<uint64_t>(kMemory / 2 / (2 * largest), 1, cores));
    most_slots_ =
        static_cast<size_t>(std::clamp<uint64_t>(kMemory / 2 / largest, 2, 2 * most_threads_ + 2));
  }
  ~PieceCache() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      __atomic_store_n(&cancelled_, 1, __ATOMIC_RELAXED);
    }
    changed_.notify_all();
    for (auto& thread : threads_)
      thread.join();
  }
  PieceCache(const PieceCache&) = delete;
  PieceCache& operator=(const PieceCache&) = delete;

  /** [offset, offset + length) into `to` from its byte `position` on; inside of the pieces. */
  Status read(const Call& call, uint64_t offset, const IoVec& to, uint64_t position,
              uint64_t length) {
    while (length > 0) {
      const size_t index = find(offset);
      INSTAR_TRY(const auto slot, get(call, index));
      const uint64_t from = offset - pieces_[index].offset;
      const uint64_t n = std::min(length, pieces_[index].length - from);
      to.copy_in(position, slot->bytes.get() + from, static_cast<size_t>(n));
      offset += n;
      position += n;
      length -= n;
    }
    return {};
  }

 private:
  static constexpr uint64_t kOverhead = 1u << 20;
  static constexpr std::chrono::milliseconds kPatience{100};

  struct Slot {
    std::unique_ptr<uint8_t[]> bytes;
    Status status;
    bool done = false;
    bool damaged = false;
    uint64_t used = 0;  ///< when
  };
  using SlotPtr = std::shared_ptr<Slot>;

  size_t find(uint64_t offset) const {
    const auto after =
        std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                         [](uint64_t wanted, const Piece& piece) { return wanted < piece.offset; });
    return static_cast<size_t>(after - pieces_.begin()) - 1;
  }

  Result<SlotPtr> get(const Call& call, size_t index) {
    std::unique_lock lock(mutex_);
    ++clock_;
    forget_failure(index);
    while (!want(index)) {
      if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      changed_.wait_for(lock, kPatience);
      ++clock_;  // what others used meanwhile is old, too
    }
    const SlotPtr slot = slots_.at(index);
    slot->used = clock_;
    if (index == last_ || index == last_ + 1) look_ahead(index);
    last_ = index;
    while (!slot->done) {
      if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      changed_.wait_for(lock, kPatience);
    }
    if (!slot->status) return slot->status.error();
    return slot;
  }
  /** A defect stays, but reading the file is worth another try. */
  void forget_failure(size_t index) {
    const auto known = slots_.find(index);
    if (known == slots_.end()) return;
    const Slot& slot = *known->second;
    if (slot.done && !slot.status && !slot.damaged) slots_.erase(known);
  }
  /** Who reads in order will want the next ones, too; others who do may be a little behind. */
  void look_ahead(size_t index) {
    if (const auto behind = slots_.find(index - 1); behind != slots_.end())
      behind->second->used = clock_;
    const size_t end = std::min(pieces_.size(), index + most_slots_);
    for (size_t next = index + 1; next < end && want(next); ++next)
      slots_.at(next)->used = clock_;
  }
  /** The piece has a slot, and somebody works on it. False: there is no room at the moment. */
  bool want(size_t index) {
    if (slots_.contains(index)) return true;
    if (slots_.size() >= most_slots_ && !drop_oldest()) return false;
    // First, as it may fail: nobody may wait for a piece that nobody works on.
    if (threads_.size() < std::min(most_threads_, queue_.size() + busy_ + 1))
      threads_.emplace_back([this] { work(); });
    slots_.emplace(index, std::make_shared<Slot>());
    queue_.push_back(index);
    changed_.notify_all();
    return true;
  }
  bool drop_oldest() {
    auto oldest = slots_.end();
    for (auto at = slots_.begin(); at != slots_.end(); ++at)
      if (at->second->done && at->second->used < clock_ &&
          (oldest == slots_.end() || at->second->used < oldest->second->used))
        oldest = at;
    if (oldest == slots_.end()) return false;
    slots_.erase(oldest);
    return true;
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
      if (ending_) return;
      const size_t index = queue_.front();
      queue_.pop_front();
      const SlotPtr slot = slots_.at(index);
      ++busy_;
      lock.unlock();
      auto status = unpack(pieces_[index], *slot);
      lock.lock();
      --busy_;
      slot->status = std::move(status);
      slot->done = true;
      changed_.notify_all();
    }
  }
  Status unpack(const Piece& piece, Slot& slot) {
    instar_call abi{};
    abi.struct_size = sizeof abi;
    abi.cancelled = &cancelled_;
    try {
      // Neither is filled with zeroes first.
      const std::unique_ptr<uint8_t[]> packed(new uint8_t[piece.packed_length]);
      slot.bytes.reset(new uint8_t[piece.length]);
      INSTAR_CHECK(file_.node.read(Call(&abi), piece.packed_offset, packed.get(),
                                   static_cast<size_t>(piece.packed_length)));
      const Bytes out(slot.bytes.get(), static_cast<size_t>(piece.length));
      auto status = unpack_(piece, {packed.get(), static_cast<size_t>(piece.packed_length)}, out);
      if (status) status = ratio_.count(piece.packed_length, out);
      if (status) return {};
      slot.damaged = true;
      return file_.wrong(piece.packed_offset, status.error());
    } catch (const std::bad_alloc&) {
      return fail(ENOMEM, errno_text(ENOMEM));
    }
  }

  const PackedFile file_;
  const std::vector<Piece> pieces_;
  const Unpack unpack_;
  PackingRatio& ratio_;
  size_t most_threads_ = 1;
  size_t most_slots_ = 1;  ///< pieces in memory

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<size_t, SlotPtr> slots_;  ///< by piece
  std::deque<size_t> queue_;         ///< pieces that nobody works on yet
  std::vector<std::thread> threads_;
  size_t busy_ = 0;
  size_t last_ = 0;
  uint64_t clock_ = 0;
  bool ending_ = false;
  int32_t cancelled_ = 0;
};

}  // namespace instar::sdk
