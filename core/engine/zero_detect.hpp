// SPDX-License-Identifier: Apache-2.0
/** @file zero_detect.hpp Which parts of copied data are worth writing: the rules of convert -S. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace instar::engine {

/** A part [begin, end) of a buffer, in bytes. */
struct DataRun {
  size_t begin;
  size_t end;
  bool operator==(const DataRun&) const = default;
};

/** Both in bytes and multiples of 512. */
struct SparseRule {
  uint64_t min_sparse;  ///< shorter runs of zeroes between data are data
  uint64_t alignment;   ///< power of two; runs of data are widened to multiples of it
};

/** The rule for -S: `request_alignment` is the target's. */
SparseRule make_sparse_rule(uint64_t min_sparse, uint64_t request_alignment);

/**
 * Appends the runs of `data` that must be written; the rest is zero. The decision is made for each
 * sector of 512 bytes. Zeroes at either end of the buffer are left out however short they are, and
 * `position` (where the buffer lies in the image) decides what is aligned: both as qemu-img does,
 * so that the same sectors get allocated.
 */
void find_data_runs(const uint8_t* data, size_t length, uint64_t position, const SparseRule& rule,
                    std::vector<DataRun>& out);

/** Offset of the first sector that is not all zero, or `length`. */
size_t first_nonzero_sector(const uint8_t* data, size_t length);

/** Offset of the first sector in which the two differ, or `length`. */
size_t first_different_sector(const uint8_t* a, const uint8_t* b, size_t length);

}  // namespace instar::engine
