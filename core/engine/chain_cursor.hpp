// SPDX-License-Identifier: Apache-2.0
/** @file chain_cursor.hpp Walks the status of an image's chain, forward and in batches. */
#pragma once

#include <vector>

#include "core/base/result.hpp"
#include "core/block/status.hpp"
#include "core/engine/raw_file.hpp"

namespace instar::engine {

using sdk::Call;

/** Walks one image's status; strict comparison wants to know where runs really end. */
class ChainCursor {
 public:
  ChainCursor(block::Node& node, uint64_t size, RawFiles& files,
              const block::StatusOptions& options = {})
      : node_(node), files_(files), size_(size), options_(options) {}

  block::Node& node() const { return node_; }
  uint64_t size() const { return size_; }

  /** The run at `offset`, from there on. Offsets never go back. */
  Result<block::ChainExtent> at(const Call& call, uint64_t offset) {
    for (;;) {
      while (index_ < batch_.size() && batch_[index_].offset + batch_[index_].length <= offset)
        ++index_;
      const bool last = index_ + 1 >= batch_.size();
      const bool ends_early =
          !batch_.empty() && batch_.back().offset + batch_.back().length < size_;
      if (index_ < batch_.size() && !(last && ends_early && !extended_)) break;
      INSTAR_CHECK(refill(call, offset));
    }
    block::ChainExtent run = batch_[index_];
    const uint64_t skipped = offset - run.offset;
    run.offset += skipped;
    run.length -= skipped;
    run.file_offset += skipped;
    return run;
  }
  const RawFile* plain(const block::ChainExtent& run) { return files_.plain(run); }

 private:
  /** A new batch from `offset` on, so that a run cut off by a batch's end is seen as a whole. */
  Status refill(const Call& call, uint64_t offset) {
    INSTAR_TRY(batch_, chain_status(call, node_, offset, size_ - offset, options_));
    if (batch_.empty()) return fail(EIO, errno_text(EIO));
    index_ = 0;
    extended_ = batch_.size() == 1;
    return {};
  }

  block::Node& node_;
  RawFiles& files_;
  uint64_t size_;
  block::StatusOptions options_;
  std::vector<block::ChainExtent> batch_;
  size_t index_ = 0;
  bool extended_ = false;  ///< the batch is one run: asking again tells no more
};

}  // namespace instar::engine
