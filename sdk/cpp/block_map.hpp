// SPDX-License-Identifier: Apache-2.0
/**
 * @file block_map.hpp
 * The node of a format in which a table says, block by block, where in a file the guest's bytes lie.
 * A format's class derives from BlockMap<Table> (or has several of them, one for each extent) and
 * adds open, create, info and check. Table is what is special about the format:
 *
 *     HostFile& file()                                            where the blocks lie
 *     Result<Block> lookup(const Call&, uint64_t block)
 * and, if it can be written to,
 *     Result<BlockSpace> allocate(const Call&, uint64_t block, uint64_t count)
 *                     space for the data of `block` and up to count - 1 that follow it; nothing in
 *                     the file refers to it yet
 *     Status store(const Call&, uint64_t block, const Block&)     what lookup says from now on
 *     bool dirty() const                                          changes that are not in the file
 *     bool crowded() const                                        … so many that they have to be
 *     Status write_back(const Call&)                              after a barrier, and before one
 * and may have
 *     bool release(uint64_t block, uint64_t offset)               what allocate gave is not used.
 *                                                                 False: others may be in use behind
 *                                                                 it; it is asked again when they are
 *                                                                 not
 *     uint64_t end() const                                        with release: byte of the file behind
 *                                                                 all that is in use, where the file
 *                                                                 is cut off when something was
 *                                                                 released
 *     static constexpr bool kBacked = true                        absent blocks show a backing file
 *     bool knows_holes() const                                    false: the file below may know more
 *     static constexpr bool kRebased = true                       one may come where there is none
 *     bool stores_zeroes() const                                  store takes Kind::kZero
 *     Status check_backing() const                                whether absent blocks may be read
 *     Status start_writing(const Call&)                           before anything is changed
 *     Status end_writing(const Call&)                             all is written; before close
 *     Status unpack(const Call&, uint64_t block, const Block&, Bytes out)
 *                     for Kind::kPacked. Called without the lock, from any thread
 *     Status touch(const Call&, uint64_t block, uint64_t count)   data that is there already is about
 *                                                                 to be written
 *     ContentCipher* cipher()         Kind::kData is encrypted, sectors numbered by guest offset;
 *                                     nullptr: it is not. The same from open to close
 * and, where a block may hold some sectors while others show what is below,
 *     Result<BlockPart> part(const Call&, uint64_t block, uint64_t begin)
 *                     for Kind::kPartial: what is there from byte `begin` of the block on
 *     bool in_parts() const                                       new blocks are of this kind; requests
 *                                                                 are aligned to sectors then
 *     Status mark(const Call&, uint64_t block, uint64_t begin, uint64_t end)
 *                     bytes [begin, end) of a Kind::kPartial block were written, and are there
 * These are called one at a time, under the map's lock, unless it says otherwise here.
 *
 * The map gives reading and writing with the rest of a new block filled from below, block status
 * over many blocks at a time, zeroes, instar.map/1 (so that the engine moves the data past the
 * driver) and flush. Threads: any calls at once; data moves outside of the lock.
 *
 * Crash safety: what allocate gave is written before store says so, and tables stay in memory until
 * write_back, which has a barrier before it. A block never moves and is never given back, so that
 * readers need no locks: a power cut leaves at most space that nothing refers to.
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "../abi/compress.h"
#include "../abi/map.h"
#include "../abi/open.h"
#include "buffer_pool.hpp"
#include "content_cipher.hpp"
#include "host_file.hpp"
#include "range_locks.hpp"

namespace instar::sdk {

/** What a table says of a block. */
struct Block {
  enum class Kind : uint8_t {
    kAbsent,  ///< the backing file's content, or zeroes
    kZero,
    kData,     ///< plainly in the file
    kPacked,   ///< what Table::unpack makes of it
    kPartial,  ///< in the file what Table::part says, else absent
    kBroken    ///< it cannot be known
  };
  Kind kind = Kind::kAbsent;
  uint64_t offset = 0;  ///< in the file; kData, kPacked, kPartial
  uint64_t length = 0;  ///< kPacked: bytes in the file
  uint64_t count = 1;   ///< blocks that this is said of; data of one lies behind that of the other
};

/** Space for `count` blocks, one behind another from byte `offset` of the file on. */
struct BlockSpace {
  uint64_t offset = 0;
  uint64_t count = 1;
  bool zeroes = false;  ///< that is what it reads as; what lies beyond the file's end is known to
};

/** The beginning of a Kind::kPartial block's rest that is there, or is not, as a whole. */
struct BlockPart {
  bool present = false;
  uint64_t end = 0;  ///< byte of the block
};

/** Which guest bytes a map covers. */
struct BlockGeometry {
  uint64_t block_size = 0;  ///< bytes; any multiple of 512
  uint64_t size = 0;        ///< bytes from `begin` on
  uint64_t begin = 0;       ///< guest offset of block 0
};

template <class Table>
class BlockMap {
  static constexpr bool kWritable = requires { &Table::allocate; };

 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  static constexpr bool kPlainReads = true;

  /** @param flags enum instar_open_flags; @param table what Table is made of. */
  template <class... Arguments>
  BlockMap(const BlockGeometry& geometry, uint32_t flags, Arguments&&... table)
      : geometry_(geometry),
        size_(geometry.size),
        flags_(flags),
        table_(std::forward<Arguments>(table)...),
        fill_(std::min(geometry.block_size, kMostFill)),
        blocks_(geometry.block_size) {}

  uint64_t size() const { return size_.load(std::memory_order_relaxed); }
  HostFile& host_file() { return table_.file(); }
  void limits(instar_node_limits& limits) const {
    limits.cluster_size = static_cast<uint32_t>(geometry_.block_size);
    limits.optimal_transfer =
        static_cast<uint32_t>(std::clamp<uint64_t>(geometry_.block_size, kMostFill, 1u << 30));
    if (cipher() != nullptr) limits.request_alignment = cipher()->scheme().sector_size();
    if (!backing_) limits.flags |= INSTAR_NODE_ZERO_INIT | INSTAR_NODE_SPARSE_ZERO;
  }
  bool offers(std::string_view id) const {
    return id != INSTAR_MAP_ID || (!table_.file().is_watched() && cipher() == nullptr);
  }

  Status read(const Call& call, uint64_t offset, IoVec to) {
    const uint64_t end = offset + to.length();
    for (uint64_t at = offset; at < end;) {
      Run run;
      {
        const std::lock_guard lock(mutex_);
        INSTAR_TRY(run, next_run(call, at, end));
      }
      INSTAR_CHECK(read_run(call, run, to, at - offset));
      at = run.end;
    }
    return {};
  }

  Status write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) requires kWritable {
    const uint64_t end = offset + from.length();
    for (uint64_t at = offset; at < end;) {
      INSTAR_TRY(const Run run, plan(call, at, end));
      Status written = fill_around(call, run);
      if (written) written = write_data(call, run, from, at - offset);
      INSTAR_CHECK(finish(call, run, std::move(written)));
      at = run.end;
    }
    if ((flags & INSTAR_WRITE_FUA) != 0) return flush(call);
    return {};
  }

  Status write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                      uint32_t flags) requires kWritable {
    const uint64_t end = offset + length;
    for (uint64_t at = offset; at < end;) {
      Run run;
      {
        const std::lock_guard lock(mutex_);
        INSTAR_TRY(run, next_run(call, at, whole_blocks(at, end)));
      }
      INSTAR_CHECK(zero_run(call, run, flags));
      at = run.end;
    }
    if ((flags & INSTAR_WRITE_FUA) != 0) return flush(call);
    return {};
  }

  Status flush(const Call& call) requires kWritable {
    if (!writable()) return {};
    {
      const std::lock_guard lock(mutex_);
      if (table_.dirty()) return write_tables(call);
    }
    return table_.file().flush(call);
  }

  Result<size_t> extents(const Call& call, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (uint64_t at = offset; at < offset + length && count < max; ++count) {
      auto run = next_run(call, at, offset + length);
      if (!run && count > 0) break;  // what lies before it is known
      if (!run) return run.error();
      // Where the backing file ends, another layer is the one that makes zeroes of nothing.
      const uint64_t below = round_up(backing_size(), 512);
      if (run->block.kind == Block::Kind::kAbsent && at < below)
        run->end = std::min(run->end, below);
      out[count] = {run->end - at, 0, 0, 0};
      describe(*run, out[count]);
      at = run->end;
    }
    return count;
  }

  /** Whole blocks only; those that others are working on go through write, which waits. */
  Result<size_t> prepare_write(const Call& call, uint64_t offset, uint64_t length,
                               instar_placement* out, size_t max) requires kWritable {
    const uint64_t end = offset + length;
    size_t count = 0;
    std::unique_lock lock(mutex_);
    INSTAR_CHECK(begin_change(call));
    for (uint64_t at = offset; at < end && count < max; ++count) {
      Run run;
      const auto prepared = prepare_run(call, at, end, run);
      if (!prepared && count == 0) return prepared.error();
      if (!prepared || !*prepared) break;  // what was placed before it is the caller's
      out[count] = {at, run.end - at, run.block.offset, token_of(run), table_.file().id(), 0};
      at = run.end;
    }
    return count;
  }
  Status commit_write(const Call& call, const instar_placement* placements,
                      size_t count) requires kWritable {
    Status result;
    for (size_t i = 0; i < count; ++i) {
      table_.file().note_end(placements[i].child_offset + placements[i].length);
      Status stored = finish(call, placed(placements[i]), {});
      if (!stored) result = std::move(stored);
    }
    return result;
  }
  void abort_write(const instar_placement* placements, size_t count) requires kWritable {
    for (size_t i = 0; i < count; ++i) {
      table_.file().note_end(placements[i].child_offset + placements[i].length);
      (void)finish(Call(nullptr), placed(placements[i]), fail(ECANCELED, errno_text(ECANCELED)));
    }
  }

  Status close(const Call& call) requires kWritable {
    if (!writable() || !changed_) return {};
    const std::lock_guard lock(mutex_);
    INSTAR_CHECK(write_tables(call));
    INSTAR_CHECK(cut_off(call));
    if constexpr (requires { &Table::end_writing; }) {
      INSTAR_CHECK(table_.end_writing(call));
      return table_.file().flush(call);
    }
    return {};
  }

 protected:
  /** What absent blocks show. Before the first request. */
  void set_backing(HostFile backing) { backing_ = std::move(backing); }
  bool has_backing() const { return static_cast<bool>(backing_); }
  uint64_t backing_size() const { return backing_ ? backing_.size() : 0; }
  bool writable() const { return (flags_ & INSTAR_OPEN_WRITE) != 0; }
  Table& table() { return table_; }
  const Table& table() const { return table_; }
  /** The table's, or nullptr. */
  ContentCipher* cipher() const {
    if constexpr (requires { &Table::cipher; }) return table_.cipher();
    return nullptr;
  }
  /** Guards the table. */
  std::mutex& mutex() { return mutex_; }
  /** The image grew, or shrank; what it knows of blocks stays. */
  void set_size(uint64_t size) {
    size_ = size;
    released_.clear();  // blocks may have moved
  }
  /** Before it grows: what the last block holds behind the guest's end, if that is a sector's, is
   * zeroes. Not of a packed block. The lock is held. */
  Status clear_rest(const Call& call) requires kWritable {
    const uint64_t end = guest_end();
    if (end == block_end(end)) return {};
    INSTAR_TRY(const Run run, next_run(call, end - 1, end));
    return run.block.kind == Block::Kind::kData ? fill_zeroes(call, run, end, block_end(end))
                                                : Status{};
  }
  /** Gives all of [begin, end), which reads as zeroes, blocks of its own. The lock is not held.
   * @param mode enum instar_preallocation: OFF does nothing, METADATA leaves holes */
  Status reserve(const Call& call, uint64_t begin, uint64_t end, uint32_t mode) requires kWritable {
    if (mode == INSTAR_PREALLOCATION_OFF) return {};
    if (mode == INSTAR_PREALLOCATION_FULL) return write_plain_zeroes(call, begin, end);
    const uint32_t flags =
        mode == INSTAR_PREALLOCATION_METADATA ? uint32_t{INSTAR_WRITE_MAY_UNMAP} : 0u;
    for (uint64_t at = begin; at < end;) {
      INSTAR_TRY(const Run run, plan(call, at, end));
      const uint64_t last = run.fresh ? locked_end(run) : run.end;
      Status written;
      if (run.fresh) written = fill(call, run, block_begin(run.begin), run.begin);
      if (written)
        written = table_.file().write_zeroes(call, run.block.offset, last - run.begin, flags);
      INSTAR_CHECK(finish(call, run, std::move(written)));
      at = run.end;
    }
    return {};
  }
  /** There are no blocks any more; the file ends where it does. The lock is held. */
  void forget_blocks() {
    blocks_end_ = 0;
    released_.clear();
  }
  /** Tables reach the file, in order. The lock is held. */
  Status write_tables(const Call& call) requires kWritable {
    // Others may want to read the last block as a whole.
    if (table_.file().size() < blocks_end_) INSTAR_CHECK(table_.file().resize(call, blocks_end_));
    blocks_end_ = 0;
    Status written = table_.file().flush(call);
    if (written) written = table_.write_back(call);
    if (written) written = table_.file().flush(call);
    return written;
  }
  /** Called, with the lock held, before a change of the format's own. */
  Status begin_change(const Call& call) requires kWritable {
    if (!writable()) return fail(EACCES, errno_text(EACCES));
    if (!changed_) {
      if constexpr (requires { &Table::start_writing; }) INSTAR_CHECK(table_.start_writing(call));
      changed_ = true;
    }
    return table_.crowded() ? write_tables(call) : Status{};
  }

 private:
  static constexpr uint64_t kMostFill = 1 << 20;
  static constexpr uint64_t kLongestRun = 1 << 30;
  using Locks = RangeLocks;

  /** Guest bytes [begin, end) of equal kind; blocks of data that lie one behind another. `block` is
   * that of the first byte, its offset moved to that byte if the data lies plainly. */
  struct Run {
    uint64_t begin = 0;
    uint64_t end = 0;
    Block block;
    Block old;           ///< before space was allocated
    bool fresh = false;  ///< space was allocated, and its blocks are locked
    bool reserved =
        false;  ///< absent from a block that is there: written to its place, then marked
    bool pristine = false;  ///< … which reads as zeroes
  };

  uint64_t guest_end() const { return geometry_.begin + size(); }
  uint64_t block_of(uint64_t at) const { return (at - geometry_.begin) / geometry_.block_size; }
  uint64_t block_begin(uint64_t at) const {
    return geometry_.begin + round_down(at - geometry_.begin, geometry_.block_size);
  }
  /** End of the block that holds the byte before `at`. */
  uint64_t block_end(uint64_t at) const {
    return geometry_.begin + round_up(at - geometry_.begin, geometry_.block_size);
  }
  /** Where [at, end) is cut so that what can be whole blocks is nothing else. */
  uint64_t whole_blocks(uint64_t at, uint64_t end) const {
    if (at != block_begin(at)) return std::min(end, block_end(at));
    const uint64_t last = end == guest_end() ? end : block_begin(end);
    return last > at ? last : end;
  }
  uint64_t locked_end(const Run& run) const { return block_end(run.end); }

  /** The longest beginning of [at, end) of one kind. The lock is held. */
  Result<Run> next_run(const Call& call, uint64_t at, uint64_t end) {
    Run run;
    run.begin = at;
    INSTAR_TRY(run.block, table_.lookup(call, block_of(at)));
    const bool data = run.block.kind == Block::Kind::kData;
    const uint64_t first = run.block.offset;
    const uint64_t origin = block_begin(at);
    if (data) run.block.offset += at - origin;
    const uint64_t limit = std::min(end, at + kLongestRun);
    run.end = std::min(end, origin + run.block.count * geometry_.block_size);
    if (run.block.kind == Block::Kind::kPartial) return part_of(call, run);
    while (run.end < limit && run.block.kind != Block::Kind::kPacked) {
      const auto next = table_.lookup(call, block_of(run.end));
      if (!next) break;  // for who asks for that block
      if (next->kind != run.block.kind || (data && next->offset != first + (run.end - origin)))
        break;
      run.end = std::min(limit, run.end + next->count * geometry_.block_size);
    }
    return run;
  }

  /** Narrows a run inside a partial block to what is of one kind. */
  Result<Run> part_of(const Call& call, Run run) {
    if constexpr (requires { &Table::part; }) {
      const uint64_t origin = block_begin(run.begin);
      INSTAR_TRY(const BlockPart part, table_.part(call, block_of(run.begin), run.begin - origin));
      run.end = std::min(run.end, origin + part.end);
      run.block.offset += run.begin - origin;
      run.block.kind = part.present ? Block::Kind::kData : Block::Kind::kAbsent;
      run.reserved = !part.present;
      return run;
    }
    return fail(EIO, errno_text(EIO));
  }

  Status read_run(const Call& call, const Run& run, const IoVec& to, uint64_t position) {
    const uint64_t length = run.end - run.begin;
    switch (run.block.kind) {
      case Block::Kind::kData:
        table_.file().say("read_aio");
        INSTAR_CHECK(table_.file().read(call, run.block.offset, to, position, length));
        return cipher() ? cipher()->decrypt(run.begin, to, position, length) : Status{};
      case Block::Kind::kPacked: {
        const auto whole = blocks_.take();
        INSTAR_CHECK(unpack(call, run, run.block, Bytes(whole.data(), whole.size())));
        to.copy_in(position, whole.data() + (run.begin - block_begin(run.begin)), length);
        return {};
      }
      case Block::Kind::kAbsent:
        if (!backing_) break;
        INSTAR_CHECK(check_backing());
        table_.file().say("read_backing_aio");
        return backing_.read(call, run.begin, to, position, length);
      case Block::Kind::kBroken:
        return fail(EIO, errno_text(EIO));
      case Block::Kind::kZero:
      case Block::Kind::kPartial:  // next_run made something else of it
        break;
    }
    to.fill_zero(position, length);
    return {};
  }
  Status unpack(const Call& call, const Run& run, const Block& block, Bytes whole) {
    if constexpr (requires { &Table::unpack; })
      return table_.unpack(call, block_of(run.begin), block, whole);
    return fail(EIO, errno_text(EIO));
  }

  Status check_backing() const {
    if constexpr (requires { &Table::check_backing; }) return table_.check_backing();
    return {};
  }

  void describe(const Run& run, instar_extent& out) {
    switch (run.block.kind) {
      case Block::Kind::kData:
        out.flags = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
        out.flags |= cipher() ? INSTAR_EXTENT_ENCRYPTED : INSTAR_EXTENT_OFFSET;
        if (cipher()) break;
        out.child_offset = run.block.offset;
        out.child = table_.file().id();
        if constexpr (requires { &Table::knows_holes; })
          if (!table_.knows_holes()) out.flags |= INSTAR_EXTENT_RECURSE;
        break;
      case Block::Kind::kPacked:
        out.flags = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_COMPRESSED;
        break;
      case Block::Kind::kZero:
        out.flags = INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
        break;
      case Block::Kind::kAbsent:
        if constexpr (!requires { Table::kBacked; })
          out.flags = INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
        // Nobody may go to a backing file past a driver that refuses to.
        if (backing_ && !check_backing()) out.flags = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
        break;
      case Block::Kind::kBroken:
        out.flags = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
        break;
      case Block::Kind::kPartial:
        break;
    }
  }

  static bool in_place(const Run& run) {
    return run.block.kind == Block::Kind::kData || run.reserved;
  }
  bool in_parts() const {
    if constexpr (requires { &Table::in_parts; })
      return table_.in_parts();
    else
      return false;
  }
  Status touch(const Call& call, const Run& run) {
    if constexpr (requires { &Table::touch; })
      return table_.touch(call, block_of(run.begin),
                          block_of(run.end - 1) - block_of(run.begin) + 1);
    return {};
  }
  bool busy(const Run& run) const {
    return locks_.conflicts(block_begin(run.begin), locked_end(run), Locks::Mode::kExclusive);
  }

  /** Where the beginning of [begin, end) is written; new blocks are locked. */
  Result<Run> plan(const Call& call, uint64_t begin, uint64_t end) requires kWritable {
    std::unique_lock lock(mutex_);
    INSTAR_CHECK(begin_change(call));
    for (;;) {
      INSTAR_TRY(Run run, next_run(call, begin, end));
      if (in_place(run)) {
        INSTAR_CHECK(touch(call, run));
        return run;
      }
      if (locks_.wait(lock, block_begin(run.begin), locked_end(run), Locks::Mode::kExclusive))
        continue;
      INSTAR_CHECK(place(call, run));
      return run;
    }
  }
  /** Allocates for a run, or for its beginning. The lock is held. */
  Status place(const Call& call, Run& run) requires kWritable {
    if (run.block.kind == Block::Kind::kBroken) return fail(EIO, errno_text(EIO));
    const uint64_t origin = block_begin(run.begin);
    const uint64_t count = (locked_end(run) - origin) / geometry_.block_size;
    INSTAR_TRY(const BlockSpace space, table_.allocate(call, block_of(run.begin), count));
    if (space.count < count) run.end = origin + space.count * geometry_.block_size;
    const HostFile& file = table_.file();
    run.fresh = true;
    run.pristine =
        !cipher() && (space.zeroes || (space.offset >= file.size() && file.grows_with_zeroes()));
    run.old = run.block;
    run.block = {Block::Kind::kData, space.offset + (run.begin - origin), 0};
    blocks_end_ = std::max(blocks_end_, space.offset + (locked_end(run) - origin));
    locks_.add(origin, locked_end(run), Locks::Mode::kExclusive);
    return {};
  }
  /** The beginning of [at, end) that can be written where `run` says then; false: not so. The lock
   * is held. */
  Result<bool> prepare_run(const Call& call, uint64_t at, uint64_t end,
                           Run& run) requires kWritable {
    INSTAR_TRY(run, next_run(call, at, end));
    if (in_place(run)) {
      INSTAR_CHECK(touch(call, run));
      return true;
    }
    const bool whole = at == block_begin(at) && (end == block_end(end) || end == guest_end());
    if (!whole || busy(run)) return false;
    INSTAR_CHECK(place(call, run));
    if (run.end != guest_end()) return true;
    Status filled = fill_zeroes(call, run, run.end, locked_end(run));
    if (!filled) INSTAR_CHECK(finish_locked(call, run, std::move(filled)));
    return true;
  }

  /** After the data was written, or not: the table and the locks. */
  Status finish(const Call& call, const Run& run, Status written) requires kWritable {
    if (!run.fresh && !run.reserved) return written;
    const std::lock_guard lock(mutex_);
    return finish_locked(call, run, std::move(written));
  }
  Status finish_locked(const Call& call, const Run& run, Status written) requires kWritable {
    if (run.reserved) return written ? mark(call, run.begin, run.end) : written;
    const uint64_t origin = block_begin(run.begin);
    const uint64_t count = (locked_end(run) - origin) / geometry_.block_size;
    const uint64_t first = block_of(origin);
    const auto offset = [&](uint64_t i) { return host_of(run, origin) + i * geometry_.block_size; };
    uint64_t stored = 0;
    for (; written && stored < count; ++stored)
      written = store_new(call, run, origin + stored * geometry_.block_size, offset(stored));
    for (uint64_t i = stored; !written && i < count; ++i)
      released_.push_back({offset(i), first + i});
    if (!written) release_last();
    locks_.remove(origin, locked_end(run), Locks::Mode::kExclusive);
    return written;
  }

  /** Space that is not used goes back to the table as soon as nothing behind it is in use. */
  void release_last() {
    if constexpr (requires { &Table::release; }) {
      std::sort(released_.begin(), released_.end());
      while (!released_.empty() &&
             table_.release(released_.back().second, released_.back().first)) {
        released_.pop_back();
        cut_ = true;
      }
      if constexpr (requires { &Table::end; })
        if (cut_) blocks_end_ = std::min(blocks_end_, table_.end());
    }
  }
  /** What was written to places that were released does not stay behind. */
  Status cut_off(const Call& call) {
    if constexpr (requires { &Table::end; })  // the file may be longer than what was written well
      if (cut_) return table_.file().resize(call, std::min(table_.end(), table_.file().size()));
    return {};
  }

  /** The block at guest offset `origin` of a fresh run, which was written as far as the run goes. */
  Status store_new(const Call& call, const Run& run, uint64_t origin, uint64_t offset) {
    const uint64_t begin = std::max(run.begin, origin);
    const uint64_t end = std::min(run.end, origin + geometry_.block_size);
    const bool whole =
        begin == origin && (end == origin + geometry_.block_size || end == guest_end());
    if (whole || !in_parts())
      return table_.store(call, block_of(origin), {Block::Kind::kData, offset, 0});
    INSTAR_CHECK(table_.store(call, block_of(origin), {Block::Kind::kPartial, offset, 0}));
    return mark(call, begin, end);
  }
  /** Guest bytes [begin, end) of one block. */
  Status mark(const Call& call, uint64_t begin, uint64_t end) {
    const uint64_t origin = block_begin(begin);
    if constexpr (requires { &Table::mark; })
      return table_.mark(call, block_of(begin), begin - origin, end - origin);
    return {};
  }

  Status write_data(const Call& call, const Run& run, const IoVec& from, uint64_t position) {
    table_.file().say("write_aio");
    return put(call, run, run.begin, from, position, run.end - run.begin);
  }
  /** Guest bytes from `at` on to where a run has them. */
  Status put(const Call& call, const Run& run, uint64_t at, const IoVec& from, uint64_t position,
             uint64_t length) {
    const uint64_t host = host_of(run, at);
    if (!cipher()) return table_.file().write(call, host, from, position, length);
    return cipher()->encrypt(at, from, position, length,
                             [&](uint64_t done, const uint8_t* bytes, size_t n) {
                               return table_.file().write(call, host + done, bytes, n);
                             });
  }
  Status put(const Call& call, const Run& run, uint64_t at, uint8_t* from, size_t length) {
    const instar_iovec piece{from, length};
    return put(call, run, at, IoVec(&piece, 1), 0, length);
  }
  /** What a fresh run's first and last block had around what is written now. */
  Status fill_around(const Call& call, const Run& run) {
    if (!run.fresh || in_parts()) return {};
    INSTAR_CHECK(fill(call, run, block_begin(run.begin), run.begin));
    return fill(call, run, run.end, locked_end(run));
  }
  /** Old content of guest [begin, end), inside one block, to the new place. */
  Status fill(const Call& call, const Run& run, uint64_t begin, uint64_t end) {
    if (begin == end) return {};
    if (run.old.kind == Block::Kind::kPacked) {
      const auto whole = blocks_.take();
      INSTAR_CHECK(unpack(call, run, run.old, Bytes(whole.data(), whole.size())));
      return put(call, run, begin, whole.data() + (begin - block_begin(begin)), end - begin);
    }
    const bool below = run.old.kind == Block::Kind::kAbsent && backing_;
    const uint64_t below_end = round_up(std::min(guest_end(), backing_.size()), 512);
    const uint64_t shown = below ? std::clamp(below_end, begin, end) : begin;
    if (begin < shown) INSTAR_CHECK(check_backing());
    const auto buffer = fill_.take();
    for (uint64_t at = begin; at < shown; at += buffer.size()) {
      const auto n = static_cast<size_t>(std::min<uint64_t>(buffer.size(), shown - at));
      table_.file().say("cow_read");
      INSTAR_CHECK(backing_.read(call, at, buffer.data(), n));
      if (run.pristine && is_zero(buffer.data(), n)) continue;
      table_.file().say("cow_write");
      INSTAR_CHECK(put(call, run, at, buffer.data(), n));
    }
    return fill_zeroes(call, run, shown, end);
  }
  Status fill_zeroes(const Call& call, const Run& run, uint64_t begin, uint64_t end) {
    if (begin == end || run.pristine) return {};
    if (!cipher()) return table_.file().write_zeroes(call, host_of(run, begin), end - begin, 0);
    std::vector<uint8_t> zeroes(end - begin);  // less than a block
    return put(call, run, begin, zeroes.data(), zeroes.size());
  }
  /** Where guest byte `at`, of the run's blocks, lies. */
  static uint64_t host_of(const Run& run, uint64_t at) { return run.block.offset + at - run.begin; }

  /** Whether a run reads as zeroes whatever becomes of the backing file: a longer one may take its
   * place, also where there is none now. Zeroes that would need space are not kept for that. */
  bool stays_zero(const Run& run) const {
    if (run.block.kind != Block::Kind::kAbsent) return run.block.kind == Block::Kind::kZero;
    if constexpr (requires { Table::kRebased; }) return !backing_ && !table_.stores_zeroes();
    return !backing_;
  }
  Status zero_run(const Call& call, const Run& run, uint32_t flags) requires kWritable {
    if (stays_zero(run)) return {};
    if (run.block.kind == Block::Kind::kBroken) return fail(EIO, errno_text(EIO));
    if (in_place(run) && !cipher()) {
      {
        const std::lock_guard lock(mutex_);
        INSTAR_CHECK(begin_change(call));
        INSTAR_CHECK(touch(call, run));
      }
      Status zeroed =
          table_.file().write_zeroes(call, run.block.offset, run.end - run.begin,
                                     flags & (INSTAR_WRITE_MAY_UNMAP | INSTAR_WRITE_NO_FALLBACK));
      return finish(call, run, std::move(zeroed));
    }
    if constexpr (requires { &Table::stores_zeroes; }) {
      INSTAR_TRY(const bool stored, store_zeroes(call, run));
      if (stored) return {};
    }
    if ((flags & INSTAR_WRITE_NO_FALLBACK) != 0) return fail(ENOTSUP, errno_text(ENOTSUP));
    return write_plain_zeroes(call, run.begin, run.end);
  }
  Status write_plain_zeroes(const Call& call, uint64_t begin, uint64_t end) requires kWritable {
    const auto buffer = fill_.take();
    std::memset(buffer.data(), 0, buffer.size());
    for (uint64_t at = begin; at < end; at += buffer.size()) {
      const instar_iovec piece{buffer.data(),
                               static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - at))};
      INSTAR_CHECK(write(call, at, IoVec(&piece, 1), 0));
    }
    return {};
  }
  /** False: plain zeroes must be written. */
  Result<bool> store_zeroes(const Call& call, const Run& run) requires kWritable {
    const bool whole = run.begin == block_begin(run.begin) &&
                       (run.end == block_end(run.end) || run.end == guest_end());
    if (!whole || !table_.stores_zeroes()) return false;
    std::unique_lock lock(mutex_);
    INSTAR_CHECK(begin_change(call));
    locks_.wait(lock, run.begin, locked_end(run), Locks::Mode::kExclusive);
    for (uint64_t at = run.begin; at < run.end; at += geometry_.block_size) {
      INSTAR_TRY(const Block now, table_.lookup(call, block_of(at)));
      if (now.kind == Block::Kind::kData) return false;  // somebody was faster
      INSTAR_CHECK(table_.store(call, block_of(at), {Block::Kind::kZero, 0, 0}));
    }
    return true;
  }

  /** What commit_write has to know of a placement. */
  enum Token : uint64_t { kInPlace, kFresh, kReserved };
  static Token token_of(const Run& run) {
    if (run.fresh) return kFresh;
    return run.reserved ? kReserved : kInPlace;
  }
  static Run placed(const instar_placement& placement) {
    Run run;
    run.begin = placement.offset;
    run.end = placement.offset + placement.length;
    run.block = {Block::Kind::kData, placement.child_offset, 0};
    run.fresh = placement.token == kFresh;
    run.reserved = placement.token == kReserved;
    return run;
  }

  const BlockGeometry geometry_;
  std::atomic<uint64_t> size_;
  const uint32_t flags_;
  std::mutex mutex_;
  Table table_;
  HostFile backing_;
  Locks locks_;
  std::vector<std::pair<uint64_t, uint64_t>> released_;  ///< offset and block of unused space
  bool cut_ = false;                                     ///< the table took some of it back
  uint64_t blocks_end_ = 0;  ///< of the blocks that were allocated since the tables were written
  bool changed_ = false;
  BufferPool fill_;
  BufferPool blocks_;
};

}  // namespace instar::sdk
