// SPDX-License-Identifier: Apache-2.0
/** @file host_file.hpp The file that holds an image's metadata (or data): a child node that grows
 * with writes and reads as zeroes beyond its end. */
#pragma once

#include <atomic>

#include "plugins/formats/qcow2/format.hpp"
#include "sdk/cpp/node_ref.hpp"

namespace instar::qcow2 {

/** Thread-safe. Offsets and lengths are bytes. */
class HostFile {
 public:
  HostFile() = default;
  /** @param flushes false: flush does nothing (cache.no-flush). */
  static Result<HostFile> open(sdk::NodeRef node, bool flushes);
  HostFile(HostFile&& other) noexcept { *this = std::move(other); }
  HostFile& operator=(HostFile&& other) noexcept;

  explicit operator bool() const { return static_cast<bool>(node_); }
  const sdk::NodeRef& node() const { return node_; }
  uint32_t id() const { return node_.id(); }
  /** The largest end seen so far. */
  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  /** Whether grown space reads as zeroes. */
  bool grows_with_zeroes() const { return zero_init_; }

  /** Reads [offset, offset + length) into `to` from its byte `position` on. */
  Status read(const Call& call, uint64_t offset, const IoVec& to, uint64_t position,
              uint64_t length) const;
  Status read(const Call& call, uint64_t offset, void* to, size_t length) const;
  Status write(const Call& call, uint64_t offset, const IoVec& from, uint64_t position,
               uint64_t length);
  Status write(const Call& call, uint64_t offset, const void* from, size_t length);
  Status write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  Status discard(const Call& call, uint64_t offset, uint64_t length) const;
  /** Makes the file end at `end`. @param mode enum instar_preallocation of what it grows by. */
  Status resize(const Call& call, uint64_t end, uint32_t mode = INSTAR_PREALLOCATION_OFF);
  /** A barrier: what was written before is on stable storage before what is written after. */
  Status flush(const Call& call) const;
  /** Tells the file what is about to happen; somebody listens in tests of errors only. */
  void say(const char* event) const { events_.say(event); }
  bool is_watched() const { return static_cast<bool>(events_); }
  /** Somebody else wrote up to `end`. */
  void note_end(uint64_t end);

 private:
  sdk::NodeRef node_;
  sdk::DebugEvents events_;
  std::atomic<uint64_t> size_{0};
  bool flushes_ = true;
  bool zero_init_ = false;
};

/** The pieces of [position, position + length) of `all`. Lives as long as `all`'s memory. */
class IoSlice {
 public:
  IoSlice(const IoVec& all, uint64_t position, uint64_t length);
  IoVec vec() const { return IoVec(pieces_.data(), pieces_.size()); }

 private:
  std::vector<instar_iovec> pieces_;
};

}  // namespace instar::qcow2
