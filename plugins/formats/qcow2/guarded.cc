// SPDX-License-Identifier: Apache-2.0
// Writes of an open image that must not hit metadata. Called with the mutex held.
#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {

MetadataView Image::metadata() const {
  return {geometry_,
          header_,
          file_,
          l2_.l1(),
          l2_.l1_offset(),
          refcounts_.table(),
          refcounts_.table_offset(),
          snapshots_,
          snapshots_bytes_};
}

Status Image::refuse_overlap(const Call& call, uint64_t offset, uint64_t length, uint32_t except) {
  if (except == 0 ? !guard_.doubts_write(geometry_, offset, length) : !guard_.doubts_metadata())
    return {};
  INSTAR_TRY(const uint32_t kind,
             find_overlap(call, metadata(), guard_.checks() & ~except, offset, length));
  if (kind != 0) return corruption_.report(call, true, overlap_message(kind));
  if (except == 0) guard_.forget();  // there was metadata once
  return {};
}

/** The place of a cluster that is written where it is. */
Status Image::refuse_unaligned(const Call& call, uint64_t guest, const Entry& entry) {
  const uint64_t host = entry.word & kEntryOffsetMask;
  if ((entry.word & kEntryCompressed) != 0 || (entry.word & kEntryCopied) == 0 ||
      geometry_.in_cluster(host) == 0)
    return {};
  const bool zero = !geometry_.extended && (entry.word & kEntryZero) != 0;
  return corruption_.report(
      call, true,
      sdk::cat(zero ? "Preallocated zero" : "Data", " cluster offset ", hex(host),
               " unaligned (guest offset: ",
               geometry_.cluster_start(guest) == 0 ? "0" : hex(geometry_.cluster_start(guest)),
               ")"));
}

/** For tables of one kind that are written back: nothing to ask where metadata do not overlap. */
TableCache::Guard Image::guard_of(const Call& call, uint32_t kind) {
  if (!guard_.doubts_metadata()) return {};
  return [this, &call, kind](uint64_t offset, uint64_t length) {
    return refuse_overlap(call, offset, length, kind);
  };
}

/** Clusters that are counted as free. */
Status Image::refuse_allocation(const Call& call, ClusterRange range) {
  if (range.first == 0 && allocating_ != nullptr)
    return corruption_.report(
        call, true, sdk::cat("Preventing invalid allocation of ", allocating_, " at offset 0"));
  return refuse_overlap(call, range.first << geometry_.cluster_bits,
                        range.count << geometry_.cluster_bits, 0);
}

Status Image::start_guarding(const Call& call) {
  if (guard_.ready()) return {};
  refcounts_.guard(
      {[this](const Call& inner, ClusterRange range) { return refuse_allocation(inner, range); },
       [this](uint64_t offset, uint64_t length) { guard_.add(geometry_, offset, length); }});
  return guard_.build(call, metadata());
}

}  // namespace instar::qcow2
