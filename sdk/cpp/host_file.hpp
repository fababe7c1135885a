// SPDX-License-Identifier: Apache-2.0
/** @file host_file.hpp The file that holds an image's metadata (or data): a child node that grows
 * with writes and reads as zeroes beyond its end. */
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "node_ref.hpp"

namespace instar::sdk {

/** The pieces of [position, position + length) of `all`. Lives as long as `all`'s memory. */
class IoSlice {
 public:
  IoSlice(const IoVec& all, uint64_t position, uint64_t length) {
    all.walk(position, length, [&](uint8_t* piece, uint64_t, size_t n) {
      if (n != 0) pieces_.push_back({piece, n});
    });
  }
  IoVec vec() const { return IoVec(pieces_.data(), pieces_.size()); }

 private:
  std::vector<instar_iovec> pieces_;
};

/** Thread-safe. Offsets and lengths are bytes. */
class HostFile {
 public:
  HostFile() = default;
  /** @param flushes false: flush does nothing (cache.no-flush). */
  static Result<HostFile> open(NodeRef node, bool flushes) {
    INSTAR_TRY(const uint64_t size, node.size());
    INSTAR_TRY(const instar_node_limits limits, node.limits());
    HostFile file;
    file.node_ = node;
    file.events_ = DebugEvents(node);
    file.size_ = size;
    file.flushes_ = flushes;
    file.zero_init_ = (limits.flags & INSTAR_NODE_ZERO_INIT) != 0;
    return file;
  }
  HostFile(HostFile&& other) noexcept { *this = std::move(other); }
  HostFile& operator=(HostFile&& other) noexcept {
    node_ = other.node_;
    events_ = other.events_;
    size_.store(other.size_.load());
    flushes_ = other.flushes_;
    zero_init_ = other.zero_init_;
    return *this;
  }

  explicit operator bool() const { return static_cast<bool>(node_); }
  const NodeRef& node() const { return node_; }
  uint32_t id() const { return node_.id(); }
  /** The largest end seen so far. */
  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  /** Whether grown space reads as zeroes. */
  bool grows_with_zeroes() const { return zero_init_; }

  /** Reads [offset, offset + length) into `to` from its byte `position` on. */
  Status read(const Call& call, uint64_t offset, const IoVec& to, uint64_t position,
              uint64_t length) const {
    if (offset > kMaxEnd || length > kMaxEnd - offset) return fail(EIO, errno_text(EIO));
    const uint64_t end = size();
    const uint64_t present = offset < end ? std::min(length, end - offset) : 0;
    if (present < length) to.fill_zero(position + present, length - present);
    if (present == 0) return {};
    if (position == 0 && to.count() == 1 && to.begin()->len == present)
      return node_.read(call, offset, to);
    const IoSlice slice(to, position, present);
    return node_.read(call, offset, slice.vec());
  }
  Status read(const Call& call, uint64_t offset, void* to, size_t length) const {
    const instar_iovec piece{to, length};
    return read(call, offset, IoVec(&piece, 1), 0, length);
  }
  Status write(const Call& call, uint64_t offset, const IoVec& from, uint64_t position,
               uint64_t length) {
    if (position == 0 && from.length() == length) {
      INSTAR_CHECK(node_.write(call, offset, from));
    } else {
      const IoSlice slice(from, position, length);
      INSTAR_CHECK(node_.write(call, offset, slice.vec()));
    }
    note_end(offset + length);
    return {};
  }
  Status write(const Call& call, uint64_t offset, const void* from, size_t length) {
    const instar_iovec piece{const_cast<void*>(from), length};
    return write(call, offset, IoVec(&piece, 1), 0, length);
  }
  Status write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
    INSTAR_CHECK(node_.write_zeroes(call, offset, length, flags));
    note_end(offset + length);
    return {};
  }
  Status discard(const Call& call, uint64_t offset, uint64_t length) const {
    const uint64_t end = size();
    if (offset >= end) return {};
    return node_.discard(call, offset, std::min(length, end - offset));
  }
  /** Makes the file end at `end`. @param mode enum instar_preallocation of what it grows by. */
  Status resize(const Call& call, uint64_t end, uint32_t mode = INSTAR_PREALLOCATION_OFF) {
    INSTAR_CHECK(node_.resize(call, end, mode));
    size_.store(end, std::memory_order_release);
    return {};
  }
  /** A barrier: what was written before is on stable storage before what is written after. */
  Status flush(const Call& call) const {
    if (!flushes_) return {};
    return node_.flush(call);
  }
  /** Tells the file what is about to happen; somebody listens in tests of errors only. */
  void say(const char* event) const { events_.say(event); }
  bool is_watched() const { return static_cast<bool>(events_); }
  /** Somebody else wrote up to `end`. */
  void note_end(uint64_t end) {
    uint64_t known = size_.load(std::memory_order_relaxed);
    while (known < end && !size_.compare_exchange_weak(known, end, std::memory_order_release)) {
    }
  }

 private:
  /** No file is read beyond, as QEMU has it. */
  static constexpr uint64_t kMaxEnd = round_down(INT64_MAX, 1u << 30);

  NodeRef node_;
  DebugEvents events_;
  std::atomic<uint64_t> size_{0};
  bool flushes_ = true;
  bool zero_init_ = false;
};

}  // namespace instar::sdk
