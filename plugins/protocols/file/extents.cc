// SPDX-License-Identifier: Apache-2.0
// Where a file has data and where holes.
#include <unistd.h>

#include <algorithm>

#include "plugins/protocols/file/file_node.hpp"

namespace instar::file {

using sdk::Call;
using sdk::Result;

namespace {

constexpr uint64_t kNoEnd = UINT64_MAX;

/** Adds a run to the list, to the last entry where that is of the same kind. */
bool append(instar_extent* out, size_t max, size_t& count, uint64_t offset, uint64_t length,
            bool data) {
  const uint32_t flags = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET |
                         (data ? INSTAR_EXTENT_DATA : INSTAR_EXTENT_ZERO);
  if (count > 0 && out[count - 1].flags == flags) {
    out[count - 1].length += length;
    return true;
  }
  if (count == max) return false;
  out[count++] = {length, offset, flags, 0};
  return true;
}

}  // namespace

Result<size_t> FileNode::extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                                 size_t max) {
  size_t count = 0;
  uint64_t position = offset;
  const uint64_t end = offset + length;
  while (position < end) {
    const Run run = find_run(position);
    const uint64_t run_end = std::min(run.end, end);
    if (!append(out, max, count, position, run_end - position, run.data)) break;
    position = run_end;
  }
  return count;
}

FileNode::Run FileNode::find_run(uint64_t offset) {
  if (!file_.regular) return {kNoEnd, true};
  {
    const std::lock_guard lock(cache_mutex_);
    if (offset >= data_begin_ && offset < data_end_) return {data_end_, true};
  }
  const Run run = seek_run(offset);
  if (run.data && run.end != kNoEnd) {
    const std::lock_guard lock(cache_mutex_);
    data_begin_ = offset;
    data_end_ = run.end;
  }
  return run;
}

/** Always ends behind `offset`, also while the file shrinks under our eyes. */
FileNode::Run FileNode::seek_run(uint64_t offset) const {
  const off_t data = ::lseek(fd(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return {kNoEnd, errno != ENXIO};  // ENXIO: only a hole, or the end; else unknown
  if (static_cast<uint64_t>(data) > offset) return {static_cast<uint64_t>(data), false};
  const off_t hole = ::lseek(fd(), data, SEEK_HOLE);
  if (hole < 0) return {kNoEnd, errno != ENXIO};
  if (static_cast<uint64_t>(hole) <= offset) return {kNoEnd, true};
  // A file's end inside a block: the block is one piece for who reads it with O_DIRECT.
  return {sdk::round_up(static_cast<uint64_t>(hole), alignment_.request), true};
}

void FileNode::forget_data() {
  const std::lock_guard lock(cache_mutex_);
  data_begin_ = data_end_ = 0;
}

}  // namespace instar::file
