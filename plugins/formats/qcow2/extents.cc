// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {
/** Guest bytes that one call looks at, so that the mutex is not held for long. */
constexpr uint64_t kEntriesAtOnce = 1u << 18;

/** The first bytes of a run, which is the rest then. */
Run take_first(Run& run, uint64_t length) {
  Run first = run;
  first.length = length;
  run.guest += length;
  run.host += length;
  run.length -= length;
  return first;
}
}  // namespace

/** An entry of zeroes names cluster 0 of a data file as it would name none. */
bool Image::nameless(const Run& run) const {
  return run.kind == Kind::kZeroAllocated && data_file_ && !geometry_.extended && run.host == 0;
}

/** Bytes that one extent can tell of. */
uint64_t Image::length_alike(const Run& run) const {
  if (nameless(run)) return std::min<uint64_t>(geometry_.cluster_size, run.length);
  if (run.kind != Kind::kUnallocated && run.kind != Kind::kUnallocatedPlaced) return run.length;
  // Where the backing file ends, another layer is the one that makes zeroes of nothing.
  const uint64_t below = backing_size_ > run.guest ? backing_size_ - run.guest : 0;
  return below == 0 ? run.length : std::min(below, run.length);
}

instar_extent Image::to_extent(const Run& run) const {
  instar_extent extent{run.length, 0, INSTAR_EXTENT_ALLOCATED, 0};
  switch (run.kind) {
    case Kind::kUnallocated:
      extent.flags = 0;  // not decided here; without a backing file the host makes it zero
      return extent;
    case Kind::kUnallocatedPlaced:
      extent.flags = 0;
      if (run.guest < backing_size_) return extent;  // that is where the bytes are
      break;
    case Kind::kZero:
      extent.flags |= INSTAR_EXTENT_ZERO;
      return extent;
    case Kind::kCompressed:
      extent.flags |= INSTAR_EXTENT_DATA | INSTAR_EXTENT_COMPRESSED;
      return extent;
    case Kind::kZeroAllocated:
      extent.flags |= INSTAR_EXTENT_ZERO;
      if (nameless(run)) return extent;
      break;
    case Kind::kData:
      extent.flags |= INSTAR_EXTENT_DATA;
      if (sparse_inside_ == 1 && !cipher_) extent.flags |= INSTAR_EXTENT_RECURSE;
      break;
  }
  if (cipher_) {
    if (run.kind == Kind::kData) extent.flags |= INSTAR_EXTENT_ENCRYPTED;
    return extent;
  }
  extent.flags |= INSTAR_EXTENT_OFFSET;
  extent.child = (data_file_ ? data_file_ : file_).id();
  extent.child_offset = run.host;
  return extent;
}

/** Whether the file has far fewer bytes than clusters in use, as after preallocation=metadata: then
 * it is worth asking it for holes. */
Result<bool> Image::sparse_inside(const Call& call) {
  void* self = nullptr;
  const auto* info = file_.node().interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  if (info == nullptr || info->allocated_size == nullptr) return false;
  sdk::OutgoingCall asking(&call);
  const int64_t allocated = info->allocated_size(self, asking.abi());
  if (allocated < 0) return false;
  const uint64_t real = geometry_.cluster_of(static_cast<uint64_t>(allocated));
  const uint64_t end = geometry_.clusters(file_.size());
  const uint64_t threshold = std::max(real * 10 / 9, real + 2);
  INSTAR_CHECK(
      refcounts_.load(call, header_.refcount_table_offset, header_.refcount_table_clusters));
  if (end < threshold) {
    INSTAR_CHECK(refcounts_.check_blocks(call, end));
    return false;
  }
  return refcounts_.uses(call, end, threshold);
}

Result<size_t> Image::extents(const Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) {
  const Lock lock(mutex_);
  length = std::min(length, kEntriesAtOnce << geometry_.cluster_bits);
  std::vector<Run> runs;
  // What lies before a broken entry is known all the same.
  if (auto scanned = l2_.scan(call, offset, length, max, &runs); !scanned && runs.empty())
    return std::move(scanned).error();
  if (sparse_inside_ < 0 && !cipher_ && std::any_of(runs.begin(), runs.end(), [](const Run& run) {
        return run.kind == Kind::kData;
      })) {
    const auto sparse = sparse_inside(call);  // broken counts are no reason not to read
    sparse_inside_ = sparse && *sparse;
  }
  size_t count = 0;
  const auto add = [&](const instar_extent& extent, bool joins) {
    if (joins && count > 0 && out[count - 1].flags == extent.flags &&
        (extent.flags & INSTAR_EXTENT_OFFSET) == 0)
      out[count - 1].length += extent.length;  // compressed neighbours
    else if (count < max)
      out[count++] = extent;
    else
      return false;
    return true;
  };
  for (Run rest : runs) {
    const uint64_t first = length_alike(rest);
    const bool whole = first == rest.length;
    if (!whole && !add(to_extent(take_first(rest, first)), true)) break;
    if (!add(to_extent(rest), whole && rest.guest != backing_size_)) break;
  }
  return count;
}

}  // namespace instar::qcow2
