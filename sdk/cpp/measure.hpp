// SPDX-License-Identifier: Apache-2.0
/** @file measure.hpp For formats that tell how large an image of them would be: what a source needs. */
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "../abi/measure.h"
#include "host.hpp"
#include "node_ref.hpp"
#include "options.hpp"

namespace instar::sdk {

/** Counts the blocks that areas touch, each once. */
class BlockCount {
 public:
  explicit BlockCount(uint64_t block_size) : block_size_(block_size) {}
  /** Bytes [begin, end); areas come in order. */
  void add(uint64_t begin, uint64_t end) {
    const uint64_t first = std::max(begin / block_size_, next_);
    next_ = std::max(next_, div_up(end, block_size_));
    count_ += next_ - std::min(first, next_);
  }
  uint64_t count() const { return count_; }

 private:
  const uint64_t block_size_;
  uint64_t next_ = 0;
  uint64_t count_ = 0;
};

/** Calls each(begin, end) for what holds data, in order. Without a source nothing does. */
inline Status walk_data(NodeRef source, uint64_t size,
                        const std::function<void(uint64_t, uint64_t)>& each) {
  const Call call(nullptr);
  std::vector<instar_extent> extents(1024);
  for (uint64_t at = 0; source && at < size;) {
    const auto n = source.extents(call, at, size - at, extents.data(), extents.size());
    if (!n) return fail(n.error().code, "Unable to get block status: ", errno_text(n.error().code));
    for (size_t i = 0; i < *n; ++i) {
      const uint64_t end = at + extents[i].length;
      const bool data = (extents[i].flags & INSTAR_EXTENT_ZERO) == 0 &&
                        (extents[i].flags & INSTAR_EXTENT_DATA) != 0;
      if (data) each(at, end);
      at = end;
    }
  }
  return {};
}

/** Blocks of a new image in which the source holds data. */
inline Result<uint64_t> count_data_blocks(NodeRef source, uint64_t size, uint64_t block_size) {
  BlockCount blocks(block_size);
  INSTAR_CHECK(
      walk_data(source, size, [&](uint64_t begin, uint64_t end) { blocks.add(begin, end); }));
  return blocks.count();
}

/** How large the image of a source, or of the option "size", is. */
inline Result<uint64_t> size_to_measure(const Options& options, NodeRef source) {
  if (source) return source.size();
  return options.number("size");
}

inline instar_measure_result measured(uint64_t required, uint64_t fully_allocated) {
  instar_measure_result result{};
  result.struct_size = sizeof result;
  result.required = required;
  result.fully_allocated = fully_allocated;
  return result;
}

/** Fails where the genuine tool can't measure the format. */
inline Status check_measures(const Host& host, const char* format) {
  if (!host.strict()) return {};
  return fail(ENOTSUP, "Block driver '", format, "' does not support size measurement");
}

}  // namespace instar::sdk
