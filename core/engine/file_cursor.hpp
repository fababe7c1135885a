// SPDX-License-Identifier: Apache-2.0
/** @file file_cursor.hpp Walks where a file has data, for who reads that data anyway. */
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/block/status.hpp"
#include "core/engine/raw_file.hpp"

namespace instar::engine {

/**
 * A run of data ends where this guesses, not where the file's data does: to find that end the kernel
 * walks through all of the run's pages, which takes a tenth of the time of reading them. So a run of
 * data may end in a part of a hole, which reads as zeroes. Guesses begin small and grow, since a file
 * with much data in one place has more behind it.
 */
class FileCursor {
 public:
  /** @param size bytes that the walk goes through; the file may be shorter. */
  FileCursor(const RawFile& file, uint64_t size) : file_(file), size_(size) {}

  /** The run at `offset` < size, from there on, with `file_offset` as the RawFile counts. Offsets
   * never go back. */
  block::ChainExtent at(uint64_t offset) {
    block::ChainExtent run;
    run.offset = run.file_offset = offset;
    const uint64_t data = offset < known_data_ ? known_data_ : file_.next_data(offset);
    if (data > offset) {
      known_data_ = data;
      guess_ = kFirstGuess;
      run.flags = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ZERO;
      run.length = std::min(data, size_) - offset;
      return run;
    }
    run.flags = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_DATA | INSTAR_EXTENT_OFFSET;
    run.length = std::min(guess_, size_ - offset);
    guess_ = std::min(2 * guess_, kLastGuess);
    return run;
  }

 private:
  static constexpr uint64_t kFirstGuess = 64UL << 10;
  static constexpr uint64_t kLastGuess = 2UL << 20;

  const RawFile& file_;
  uint64_t size_;
  uint64_t known_data_ = 0;  ///< up to here there is none
  uint64_t guess_ = kFirstGuess;
};

}  // namespace instar::engine
