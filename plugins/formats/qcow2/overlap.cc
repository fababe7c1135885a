// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/overlap.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

namespace instar::qcow2 {
namespace {

struct Name {
  const char* option;  ///< overlap-check.NAME
  std::string_view text;
};
constexpr Name kNames[] = {
    {"main-header", "qcow2_header"},          {"active-l1", "active L1 table"},
    {"active-l2", "active L2 table"},         {"refcount-block", "refcount block"},
    {"refcount-table", "refcount table"},     {"snapshot-table", "snapshot table"},
    {"inactive-l1", "inactive L1 table"},     {"inactive-l2", "inactive L2 table"},
    {"bitmap-directory", "bitmap directory"},
};

Result<OverlapChecks> read_template(std::string_view name) {
  if (name == "none") return OverlapChecks{0};
  if (name == "constant") return kOverlapConstant;
  if (name == "cached") return kOverlapCached;
  if (name == "all") return kOverlapAll;
  return fail(EINVAL, "Unsupported value '", name,
              "' for qcow2 option 'overlap-check'. Allowed are any of the following: none, "
              "constant, cached, all");
}

/** A range of clusters in bytes, and what it meets. */
class Range {
 public:
  Range(const Geometry& geometry, uint64_t offset, uint64_t length)
      : begin_(geometry.cluster_start(offset)), end_(geometry.cluster_end(offset + length)) {}
  bool meets(uint64_t offset, uint64_t length) const {
    return length != 0 && offset < end_ && begin_ < offset + length;
  }
  bool meets_table(const std::vector<uint64_t>& entries, uint64_t mask, uint64_t length) const {
    return std::any_of(entries.begin(), entries.end(), [&](uint64_t entry) {
      return (entry & mask) != 0 && meets(entry & mask, length);
    });
  }

 private:
  uint64_t begin_;
  uint64_t end_;
};

Result<bool> meets_inactive_l2(const Call& call, const MetadataView& view, const Range& range) {
  for (const auto& snapshot : view.snapshots) {
    if (snapshot.l1_entries > kMaxL1Bytes / 8) return fail(EFBIG, sdk::errno_text(EFBIG));
    if (view.geometry.in_cluster(snapshot.l1_offset) != 0 || snapshot.l1_offset > INT64_MAX / 2)
      return fail(EINVAL, sdk::errno_text(EINVAL));
    std::vector<uint64_t> l1(snapshot.l1_entries);
    INSTAR_CHECK(view.file.read(call, snapshot.l1_offset, l1.data(), l1.size() * 8));
    for (auto& entry : l1)
      entry = load_be<uint64_t>(&entry);
    if (range.meets_table(l1, kL1OffsetMask, view.geometry.cluster_size)) return true;
  }
  return false;
}

}  // namespace

Result<OverlapChecks> read_overlap_checks(const sdk::Options& options) {
  const bool whole = options.has("overlap-check");
  if (whole && options.has("overlap-check.template") &&
      options.text("overlap-check") != options.text("overlap-check.template"))
    return fail(EINVAL, "Conflicting values for qcow2 options 'overlap-check' ('",
                options.text("overlap-check"), "') and 'overlap-check.template' ('",
                options.text("overlap-check.template"), "')");
  INSTAR_TRY(OverlapChecks checks,
             read_template(whole ? options.text("overlap-check")
                                 : options.text("overlap-check.template", "cached")));
  for (size_t bit = 0; bit < std::size(kNames); ++bit) {
    const std::string option = sdk::cat("overlap-check.", kNames[bit].option);
    const uint32_t kind = 1u << bit;
    const bool on = options.flag(option.c_str(), (checks & kind) != 0);
    checks = on ? checks | kind : checks & ~kind;
  }
  return checks;
}

std::string overlap_message(uint32_t kind) {
  return sdk::cat("Preventing invalid write on metadata (overlaps with ",
                  kNames[std::countr_zero(kind)].text, ")");
}

Result<uint32_t> find_overlap(const Call& call, const MetadataView& view, OverlapChecks checks,
                              uint64_t offset, uint64_t length) {
  const Geometry& geometry = view.geometry;
  const auto asked = [&](uint32_t kind) { return (checks & kind) != 0; };
  if (length == 0) return 0u;
  if (asked(kMainHeader) && offset < geometry.cluster_size) return uint32_t{kMainHeader};
  const Range range(geometry, offset, length);
  if (asked(kActiveL1) && range.meets(view.l1_offset, view.l1.size() * 8))
    return uint32_t{kActiveL1};
  if (asked(kRefcountTable) && range.meets(view.reftable_offset, view.reftable.size() * 8))
    return uint32_t{kRefcountTable};
  if (asked(kSnapshotTable) &&
      range.meets(view.header.snapshots_offset, view.snapshot_table_length))
    return uint32_t{kSnapshotTable};
  if (asked(kInactiveL1) &&
      std::any_of(view.snapshots.begin(), view.snapshots.end(), [&](const Snapshot& snapshot) {
        return range.meets(snapshot.l1_offset, uint64_t{snapshot.l1_entries} * 8);
      }))
    return uint32_t{kInactiveL1};
  if (asked(kActiveL2) && range.meets_table(view.l1, kL1OffsetMask, geometry.cluster_size))
    return uint32_t{kActiveL2};
  if (asked(kRefcountBlock) &&
      range.meets_table(view.reftable, kRefcountTableOffsetMask, geometry.cluster_size))
    return uint32_t{kRefcountBlock};
  if (asked(kInactiveL2)) {
    INSTAR_TRY(const bool met, meets_inactive_l2(call, view, range));
    if (met) return uint32_t{kInactiveL2};
  }
  if (asked(kBitmapDirectory) && view.header.bitmaps &&
      range.meets(view.header.bitmaps->bitmap_directory_offset,
                  view.header.bitmaps->bitmap_directory_size))
    return uint32_t{kBitmapDirectory};
  return 0u;
}

}  // namespace instar::qcow2
