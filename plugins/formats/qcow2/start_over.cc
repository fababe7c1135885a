// SPDX-License-Identifier: Apache-2.0
// An image of which nothing is kept but its header: new, empty tables instead of taking back every
// reference. Marked as dirty meanwhile, so that whoever finds it half done counts anew.
#include <cstddef>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {
// Clusters of the new image, behind the header.
constexpr uint64_t kTable = 1;
constexpr uint64_t kBlock = 2;
constexpr uint64_t kL1 = 3;
}  // namespace

Status Image::make_empty(const Call& call) {
  if (!can_start_over()) return drop_mapping(call, 0);
  Lock lock(mutex_);
  INSTAR_CHECK(begin_exclusive(call, lock));
  return all_or_broken(start_over(call));
}

/** Nothing else lies in the file, and one refcount block counts all that is left. */
bool Image::can_start_over() const {
  const uint64_t l1_clusters = geometry_.clusters(l2_.l1().size() * 8);
  // Bitmaps that were removed are in the file's directory until the others are stored.
  const bool has_bitmaps = !bitmaps_.empty() || header_.bitmaps;
  return header_.version >= 3 && snapshots_.empty() && !has_bitmaps && !data_file_ && !cipher_ &&
         kL1 + l1_clusters <= geometry_.refblock_entries();
}

/** The mutex is held, and all is written back. */
Status Image::start_over(const Call& call) {
  const uint64_t cluster = geometry_.cluster_size;
  const uint64_t l1_bytes = geometry_.clusters(l2_.l1().size() * 8) * cluster;
  header_.incompatible |= kIncompatDirty;
  INSTAR_CHECK(write_incompatible_features(call, file_, header_));
  INSTAR_CHECK(barrier(call));
  file_.say("l1_update");
  INSTAR_CHECK(file_.write_zeroes(call, l2_.l1_offset(), l1_bytes, 0));
  INSTAR_CHECK(barrier(call));
  // Where tables and data may lie that nothing refers to any more.
  file_.say("empty_image_prepare");
  INSTAR_CHECK(file_.write_zeroes(call, kTable * cluster, 2 * cluster + l1_bytes, 0));
  INSTAR_CHECK(barrier(call));
  INSTAR_CHECK(switch_tables(call));
  INSTAR_CHECK(count_anew(call, kL1 + l1_bytes / cluster));
  const uint64_t end = kL1 * cluster + l1_bytes;
  if (auto cut = file_.resize(call, end); !cut)
    call.warn("Failed to truncate the tail of the image: " + cut.error().message);
  else
    refcounts_.cut(end / cluster);
  return {};
}

/** The header refers to the new tables, which are empty. */
Status Image::switch_tables(const Call& call) {
  const uint64_t cluster = geometry_.cluster_size;
  struct {
    Be<uint64_t> l1_offset;
    Be<uint64_t> table_offset;
    Be<uint32_t> table_clusters;
  } fields{kL1 * cluster, kTable * cluster, 1};
  static_assert(sizeof fields == 20 &&
                offsetof(HeaderV2, refcount_table_clusters) ==
                    offsetof(HeaderV2, l1_table_offset) + 2 * sizeof(uint64_t));
  file_.say("l1_update");
  file_.say("reftable_update");
  INSTAR_CHECK(file_.write(call, offsetof(HeaderV2, l1_table_offset), &fields, sizeof fields));
  INSTAR_CHECK(barrier(call));
  header_.l1_offset = fields.l1_offset;
  header_.refcount_table_offset = fields.table_offset;
  header_.refcount_table_clusters = fields.table_clusters;
  l2_.replace_l1(std::vector<uint64_t>(l2_.l1().size()), header_.l1_offset);
  guard_.forget();
  packed_next_ = 0;
  hole_end_ = 0;
  file_.say("refblock_alloc");
  const Be<uint64_t> entry = kBlock * cluster;
  INSTAR_CHECK(file_.write(call, kTable * cluster, &entry, sizeof entry));
  return barrier(call);
}

/** The first `clusters` are in use; then the image is clean. */
Status Image::count_anew(const Call& call, uint64_t clusters) {
  refcounts_.unload();
  INSTAR_CHECK(
      refcounts_.load(call, header_.refcount_table_offset, header_.refcount_table_clusters));
  INSTAR_CHECK(refcounts_.take_first(call, clusters));
  INSTAR_CHECK(write_refcounts(call));
  INSTAR_CHECK(barrier(call));
  if (settings_.lazy_refcounts) return {};  // it is dirty until it is closed
  header_.incompatible &= ~uint64_t{kIncompatDirty};
  return write_incompatible_features(call, file_, header_);
}

}  // namespace instar::qcow2
