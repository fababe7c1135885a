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
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "piece_walk.hpp"
#include "unpacker.hpp"

namespace instar::sdk {

/** Thread-safe. Memory: no more than kMemory, whatever the pieces' lengths. */
class PieceCache {
 public:
  /** Fills `out`, which is as long as the piece; of a piece of unknown length, what there is of it.
   * Returns the bytes made; any thread. kNoRoom: there is more than `out` can take. Whatever else is
   * wrong with the packed bytes, and bytes behind the last unit, are EIO. */
  using Unpack = Result<size_t> (*)(const Piece& piece, ConstBytes packed, Bytes out);
  static constexpr int kNoRoom = ENOBUFS;

  static constexpr uint64_t kMemory = 192u << 20;
  /** Two pieces are held at least, and one at work takes twice its length more. */
  static constexpr uint64_t kMostLength = kMemory / 4;
  static_assert(PieceWalk::kMostLength <= kMostLength);

  /** Whether pieces of that length can be had in memory. */
  static bool admits(const Piece& piece) {
    return piece.length <= kMostLength && piece.packed_length <= piece.length + kOverhead;
  }

  /** All that there are. */
  PieceCache(PackedFile file, std::vector<Piece> pieces, Unpack unpack, PackingRatio& ratio)
      : file_(std::move(file)), unpack_(unpack), ratio_(ratio), pieces_(std::move(pieces)) {
    for (const auto& piece : pieces_)
      make_room_for(piece);
    known_ = pieces_.size();
    if (!pieces_.empty()) end_ = pieces_.back().offset + pieces_.back().length;
  }
  /** Those that a walk finds. @param first that it has found already */
  PieceCache(PackedFile file, PieceWalk walk, const Piece& first, Unpack unpack,
             PackingRatio& ratio)
      : file_(std::move(file)), unpack_(unpack), ratio_(ratio), walk_(std::move(walk)) {
    walk_ended_ = false;
    add(first);
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

  /** [offset, offset + length) into `to` from its byte `position` on. Returns the bytes read: fewer
   * where the pieces end. */
  Result<uint64_t> read(const Call& call, uint64_t offset, const IoVec& to, uint64_t position,
                        uint64_t length) {
    uint64_t done = 0;
    while (done < length) {
      Piece piece;
      INSTAR_TRY(const auto slot, get(call, offset + done, piece));
      if (slot == nullptr) break;
      const uint64_t from = offset + done - piece.offset;
      const uint64_t n = std::min(length - done, piece.length - from);
      to.copy_in(position + done, slot->bytes.get() + from, static_cast<size_t>(n));
      done += n;
    }
    return done;
  }

  /** Where the pieces end. */
  struct End {
    bool all = true;             ///< nothing follows them
    uint64_t packed_offset = 0;  ///< of what does
    uint64_t offset = 0;
  };
  /** Walks there, and unpacks what has to be. */
  Result<End> find_end(const Call& call) {
    std::unique_lock lock(mutex_);
    INSTAR_CHECK(reach(call, lock, UINT64_MAX));
    return End{walk_ended_at_end_, walk_end_, end_};
  }

 private:
  static constexpr uint64_t kOverhead = 1u << 20;
  static constexpr std::chrono::milliseconds kPatience{100};

  struct Slot {
    std::unique_ptr<uint8_t[]> bytes;
    std::vector<uint8_t> packed;  ///< if the walk had it already
    Status status;
    bool done = false;
    bool damaged = false;
    bool withdrawn = false;  ///< nobody works on it any more
    uint64_t used = 0;       ///< when
  };
  using SlotPtr = std::shared_ptr<Slot>;

  /** Half of the memory is for pieces, the other half for those who work on them. */
  void make_room_for(const Piece& piece) {
    largest_ = std::max({largest_, piece.packed_length, piece.sized ? piece.length : guess_});
    const uint64_t cores = std::max(1u, std::thread::hardware_concurrency());
    most_threads_ =
        static_cast<size_t>(std::clamp<uint64_t>(kMemory / 2 / (2 * largest_), 1, cores));
    most_slots_ =
        static_cast<size_t>(std::clamp<uint64_t>(kMemory / 2 / largest_, 2, 2 * most_threads_ + 2));
  }
  /** By a byte of the content in front of end_. */
  size_t find(uint64_t offset) const {
    const auto end = pieces_.begin() + static_cast<ptrdiff_t>(known_);
    const auto after =
        std::upper_bound(pieces_.begin(), end, offset,
                         [](uint64_t wanted, const Piece& piece) { return wanted < piece.offset; });
    return static_cast<size_t>(after - pieces_.begin()) - 1;
  }

  /** nullptr: the pieces end in front of it. */
  Result<SlotPtr> get(const Call& call, uint64_t offset, Piece& piece) {
    std::unique_lock lock(mutex_);
    INSTAR_CHECK(reach(call, lock, offset));
    if (offset >= end_) return SlotPtr();
    const size_t index = find(offset);
    ++clock_;
    forget_failure(index);
    SlotPtr slot;
    while (slot == nullptr || !slot->done) {
      if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      if (slot == nullptr) slot = begin(index);
      if (slot != nullptr && slot->done) break;
      changed_.wait_for(lock, kPatience);
      if (slot == nullptr) ++clock_;  // what others used meanwhile is old, too
    }
    piece = pieces_[index];
    if (!slot->status) return slot->status.error();
    return slot;
  }
  /** nullptr: there is no room at the moment. */
  SlotPtr begin(size_t index) {
    if (!want(index)) return nullptr;
    SlotPtr slot = slots_.at(index);
    slot->used = clock_;
    if (index == last_ || index == last_ + 1) look_ahead(index);
    last_ = index;
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
    walk_to(index + most_slots_);
    const size_t end = std::min(pieces_.size(), index + most_slots_);
    for (size_t next = index + 1; next < end && want(next); ++next)
      slots_.at(next)->used = clock_;
  }
  /** The piece has a slot, and somebody works on it. False: there is no room at the moment. */
  bool want(size_t index) {
    if (slots_.contains(index)) return true;
    while (slots_.size() >= most_slots_)
      if (!drop_oldest()) return false;
    // First, as it may fail: nobody may wait for a piece that nobody works on.
    if (threads_.size() < std::min(most_threads_, queue_.size() + busy_ + walking_ + 1))
      add_thread();
    slots_.emplace(index, std::make_shared<Slot>());
    queue_.push_back(index);
    changed_.notify_all();
    return true;
  }
  void add_thread() {
    threads_.emplace_back([this] { work(); });
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

  /** Until that byte's place is known, or that there is none. */
  Status reach(const Call& call, std::unique_lock<std::mutex>& lock, uint64_t offset) {
    if (std::exchange(walk_error_, {})) changed_.notify_all();  // worth another try
    while (end_ <= offset && !(walk_ended_ && known_ == pieces_.size())) {
      if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      if (walk_error_) return *walk_error_;
      ++clock_;
      press_on(offset == UINT64_MAX);
      changed_.wait_for(lock, kPatience);
    }
    return {};
  }
  /** The next pieces are found, and their lengths. */
  void press_on(bool all) {
    counting_ = counting_ || all;
    walk_to(all ? SIZE_MAX : known_ + most_slots_);
    for (size_t next = known_; next < pieces_.size() && next < known_ + most_slots_; ++next) {
      if (!pieces_[next].sized && !want(next)) return;
      if (const auto slot = slots_.find(next); slot != slots_.end()) slot->second->used = clock_;
    }
  }
  void walk_to(size_t count) {
    if (walk_ended_ || count <= walk_goal_) return;
    if (threads_.empty()) add_thread();
    walk_goal_ = count;
    changed_.notify_all();
  }
  /** No farther ahead than unpacking is. */
  bool may_walk() const {
    return !walk_ended_ && !walking_ && !walk_error_ && pieces_.size() < walk_goal_ &&
           pieces_.size() - known_ < most_slots_;
  }
  bool may_unpack() const { return !queue_.empty() && busy_ < most_threads_; }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || may_walk() || may_unpack(); });
      if (ending_) return;
      may_walk() ? walk_on(lock) : unpack_next(lock);
      changed_.notify_all();
    }
  }
  void walk_on(std::unique_lock<std::mutex>& lock) {
    walking_ = true;
    Piece piece;
    std::vector<uint8_t> packed;
    const auto room = guarded([&](const Call&) { return make_place(); });
    lock.unlock();
    const auto found = guarded([&](const Call& call) -> Result<PieceWalk::Found> {
      if (!room) return room.error();
      return walk_->next(call, piece, packed);
    });
    lock.lock();
    walking_ = false;
    if (walk_ended_ || ending_) return;
    if (!found) {
      walk_error_ = found.error();
    } else if (*found != PieceWalk::Found::kPiece) {
      end_walk(*found == PieceWalk::Found::kEnd, walk_->position());
    } else {
      add(piece);
      hand_over(std::move(packed));
    }
  }
  /** So that a piece that was found is never lost. */
  Status make_place() {
    if (pieces_.size() == pieces_.capacity()) pieces_.reserve(2 * pieces_.size());
    return {};
  }
  void add(const Piece& piece) {
    pieces_.push_back(piece);
    make_room_for(piece);
    place_pieces();
  }
  /** The last piece is worked on while its bytes are here, if somebody will want it. */
  void hand_over(std::vector<uint8_t> packed) {
    const size_t index = pieces_.size() - 1;
    if (counting_ ? pieces_[index].sized : index > last_ + most_slots_) return;
    try {
      if (!want(index)) return;
      slots_.at(index)->packed = std::move(packed);
      slots_.at(index)->used = clock_;
    } catch (const std::exception&) {
      return;  // no thread to be had: who waits for it tries again
    }
  }
  void place_pieces() {
    for (; known_ < pieces_.size() && pieces_[known_].sized; ++known_) {
      pieces_[known_].offset = end_;
      end_ += pieces_[known_].length;
    }
  }
  void end_walk(bool at_end, uint64_t packed_offset) {
    walk_ended_ = true;
    walk_ended_at_end_ = at_end;
    walk_end_ = packed_offset;
  }

  void unpack_next(std::unique_lock<std::mutex>& lock) {
    const size_t index = queue_.front();
    queue_.pop_front();
    const SlotPtr slot = slots_.at(index);
    Piece piece = pieces_[index];
    const bool sized = piece.sized;
    if (!sized) piece.length = guess_;
    ++busy_;
    lock.unlock();
    const auto made = guarded([&](const Call& call) { return unpack(call, piece, *slot); });
    lock.lock();
    --busy_;
    if (slot->withdrawn) return;
    if (sized) {
      if (!made) slot->status = made.error();
      slot->done = true;
    } else {
      measured(index, *slot, piece.length, made);
    }
  }
  /** A piece of unknown length was unpacked, or could not be. */
  void measured(size_t index, Slot& slot, uint64_t room, const Result<size_t>& made) {
    if (made) {
      pieces_[index].length = *made;
      pieces_[index].sized = true;
      slot.done = true;
      place_pieces();
    } else if (made.error().code == kNoRoom && room < PieceWalk::kMostLength) {
      withdraw_from(index);
      guess_ = std::max(guess_, std::min(2 * room, PieceWalk::kMostLength));
      make_room_for(pieces_[index]);
      while (slots_.size() > most_slots_ && drop_oldest()) {
      }
    } else if (slot.damaged) {
      // Whatever is wrong with it: who unpacks in order will tell.
      end_walk(false, pieces_[index].packed_offset);
      withdraw_from(index);
      pieces_.resize(index);
    } else {
      walk_error_ = made.error();
      withdraw_from(index);
    }
  }
  /** Nobody works on those pieces any more. */
  void withdraw_from(size_t index) {
    std::erase_if(queue_, [&](size_t queued) { return queued >= index; });
    for (auto at = slots_.lower_bound(index); at != slots_.end();) {
      const bool kept = at->second->done && at->first < pieces_.size() && pieces_[at->first].sized;
      at->second->withdrawn = !kept;
      at = kept ? std::next(at) : slots_.erase(at);
    }
  }

  template <class Work>
  auto guarded(Work work) -> decltype(work(std::declval<const Call&>())) {
    instar_call abi{};
    abi.struct_size = sizeof abi;
    abi.cancelled = &cancelled_;
    try {
      return work(Call(&abi));
    } catch (const std::bad_alloc&) {
      return fail(ENOMEM, errno_text(ENOMEM));
    }
  }
  /** Bytes made; no more than the piece's length. */
  Result<size_t> unpack(const Call& call, const Piece& piece, Slot& slot) {
    const auto packed_length = static_cast<size_t>(piece.packed_length);
    // Neither is filled with zeroes first.
    std::unique_ptr<uint8_t[]> read;
    if (slot.packed.empty()) {
      read.reset(new uint8_t[packed_length]);
      INSTAR_CHECK(file_.node.read(call, piece.packed_offset, read.get(), packed_length));
    }
    const ConstBytes packed(read != nullptr ? read.get() : slot.packed.data(), packed_length);
    slot.bytes.reset(new uint8_t[piece.length]);
    const Bytes out(slot.bytes.get(), static_cast<size_t>(piece.length));
    auto made = unpack_(piece, packed, out);
    if (made && piece.sized && *made != out.size())
      made = fail(EIO, "there is less in it than the file tells of");
    if (made)
      if (auto status = ratio_.count(packed_length, out.first(*made)); !status)
        made = status.error();
    slot.packed = {};
    if (made) return made;
    slot.damaged = true;
    if (!piece.sized && made.error().code == kNoRoom) return made;
    Error why = made.error();
    if (why.code == kNoRoom) why = fail(EIO, "there is more in it than the file tells of");
    return file_.wrong(piece.packed_offset, why);
  }

  const PackedFile file_;
  const Unpack unpack_;
  PackingRatio& ratio_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Piece> pieces_;
  size_t known_ = 0;      ///< pieces whose offsets are known
  uint64_t end_ = 0;      ///< of their content
  uint64_t largest_ = 1;  ///< bytes of a piece, packed or not
  size_t most_threads_ = 1;
  size_t most_slots_ = 1;            ///< pieces in memory
  uint64_t guess_ = 1u << 20;        ///< bytes for a piece of unknown length
  std::map<size_t, SlotPtr> slots_;  ///< by piece
  std::deque<size_t> queue_;         ///< pieces that nobody works on yet
  std::vector<std::thread> threads_;
  size_t busy_ = 0;
  size_t last_ = 0;
  uint64_t clock_ = 0;
  bool ending_ = false;
  int32_t cancelled_ = 0;

  std::optional<PieceWalk> walk_;  ///< used by one at a time, without the mutex
  bool walking_ = false;
  bool walk_ended_ = true;
  bool walk_ended_at_end_ = true;
  uint64_t walk_end_ = 0;            ///< packed byte behind the pieces
  size_t walk_goal_ = 0;             ///< so many pieces are wanted
  bool counting_ = false;            ///< somebody wants all lengths, not the content
  std::optional<Error> walk_error_;  ///< in reading
};

}  // namespace instar::sdk
