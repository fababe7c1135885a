// SPDX-License-Identifier: Apache-2.0
/** @file packed_window.hpp The last bytes of content that is unpacked in order. */
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "unpacker.hpp"

namespace instar::sdk {

/** One thread at a time. */
class PackedWindow {
 public:
  explicit PackedWindow(std::unique_ptr<PackedStream> stream)
      : stream_(std::move(stream)), first_(stream_->position()) {}

  /** What is held once that much was unpacked. */
  static constexpr uint64_t kLength = 40u
                                      << 20;  // what the engine's workers may be apart, and more

  /** Whether it can be had without going back, and without going far ahead. */
  bool reaches(uint64_t offset) const {
    return offset >= first_ && offset <= stream_->position() + kLength;
  }
  /** Up to `end`, or to the end of the content. */
  Status advance(const Call& call, uint64_t end) {
    while (stream_->position() < end) {
      if (chunks_.empty() || filled_ == kChunk) add_chunk();
      const uint64_t before = stream_->position();
      auto status = stream_->read(call, chunks_.back(), &filled_);
      if (!status) return status;
      if (stream_->position() == before) return {};
    }
    return {};
  }
  /** To the end of the content. If that is more than a window, little of it is held. */
  Status exhaust(const Call& call) {
    INSTAR_CHECK(advance(call, first_ + kLength + 1));
    if (stream_->ended()) return {};
    // One chunk, used again and again, stays in the processor's cache.
    first_ += kChunk * (chunks_.size() - 1);
    chunks_.erase(chunks_.begin(), std::prev(chunks_.end()));
    most_chunks_ = 1;
    return advance(call, UINT64_MAX);
  }
  uint64_t position() const { return stream_->position(); }
  bool ended() const { return stream_->ended(); }
  bool broken() const { return stream_->broken(); }
  /** Bytes that are there. */
  void copy(uint64_t offset, const IoVec& to, uint64_t position, uint64_t length) const {
    while (length > 0) {
      const uint64_t from = (offset - first_) % kChunk;
      const uint64_t n = std::min(length, kChunk - from);
      const auto& chunk = chunks_[static_cast<size_t>((offset - first_) / kChunk)];
      to.copy_in(position, chunk.data() + from, static_cast<size_t>(n));
      offset += n;
      position += n;
      length -= n;
    }
  }

 private:
  static constexpr uint64_t kChunk = 1u << 20;

  /** The oldest one is used again. */
  void add_chunk() {
    filled_ = 0;
    if (chunks_.size() < most_chunks_) {
      chunks_.emplace_back(kChunk);
      return;
    }
    chunks_.push_back(std::move(chunks_.front()));
    chunks_.pop_front();
    first_ += kChunk;
  }

  const std::unique_ptr<PackedStream> stream_;
  std::deque<std::vector<uint8_t>> chunks_;
  size_t most_chunks_ = kLength / kChunk;
  size_t filled_ = 0;  ///< bytes of the last chunk
  uint64_t first_;     ///< byte of the content that chunks_ begins with
};

}  // namespace instar::sdk
