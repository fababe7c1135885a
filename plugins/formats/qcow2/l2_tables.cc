// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/l2_tables.hpp"

#include <algorithm>
#include <bit>

namespace instar::qcow2 {
namespace {

/** Adds a run, or makes the last one longer when it goes on. */
void push(std::vector<Run>* runs, Kind kind, uint64_t guest, uint64_t length, uint64_t host) {
  if (!runs->empty()) {
    Run& last = runs->back();
    const bool placed =
        kind == Kind::kData || kind == Kind::kZeroAllocated || kind == Kind::kUnallocatedPlaced;
    if (last.kind == kind && kind != Kind::kCompressed && last.guest + last.length == guest &&
        (!placed || last.host + last.length == host)) {
      last.length += length;
      return;
    }
  }
  runs->push_back({kind, guest, length, host, 0});
}

/** As printf's %#x: zero has no prefix. */
std::string alternate_hex(uint64_t value) {
  return value == 0 ? "0" : hex(value);
}

}  // namespace

L2Tables::L2Tables(const Geometry& geometry, HostFile& file, bool external_data,
                   uint64_t slice_size, uint64_t cache_bytes)
    : geometry_(geometry),
      file_(file),
      cache_(file, {"l2_load", "l2_update"}, slice_size, cache_bytes),
      external_data_(external_data) {}

Status L2Tables::load_l1(const Call& call, uint64_t offset, uint32_t entries) {
  std::vector<uint64_t> table(entries);
  INSTAR_CHECK(file_.read(call, offset, table.data(), table.size() * 8));
  for (auto& entry : table)
    entry = load_be<uint64_t>(&entry);
  l1_ = std::move(table);
  l1_offset_ = offset;
  return {};
}

Result<L2Tables::Slice> L2Tables::slice(const Call& call, uint64_t guest) {
  const uint64_t l1_index = geometry_.l1_index(guest);
  const uint64_t entries = cache_.slice_size() / geometry_.entry_size;
  Slice slice;
  slice.count = entries;
  slice.first_guest = sdk::round_down(guest, entries << geometry_.cluster_bits);
  const uint64_t table = l1_index < l1_.size() ? l1_[l1_index] & kL1OffsetMask : 0;
  if (table == 0) return slice;
  if (geometry_.in_cluster(table) != 0)
    return broken_metadata(corruption_, call,
                           sdk::cat("L2 table offset ", hex(table), " unaligned (L1 index: ",
                                    l1_index == 0 ? "0" : hex(l1_index), ")"));
  slice.host = table + geometry_.l2_index(slice.first_guest) * geometry_.entry_size;
  INSTAR_TRY(slice.entries, cache_.get(call, slice.host));
  return slice;
}

Entry L2Tables::get(const Slice& slice, uint64_t index) const {
  const uint8_t* at = slice.entries + index * geometry_.entry_size;
  return {load_be<uint64_t>(at), geometry_.extended ? load_be<uint64_t>(at + 8) : 0};
}

void L2Tables::set(const Slice& slice, uint64_t index, Entry entry) {
  uint8_t* at = slice.entries + index * geometry_.entry_size;
  store_be(at, entry.word);
  if (geometry_.extended) store_be(at + 8, entry.bitmap);
  cache_.mark_dirty(slice.host);
}

Status L2Tables::set_table(const Call& call, uint64_t guest, uint64_t host) {
  const uint64_t l1_index = geometry_.l1_index(guest);
  const uint64_t old = l1_[l1_index] & kL1OffsetMask;
  if (old != 0) file_.say("l2_alloc.cow_read");
  std::vector<uint8_t> table(geometry_.cluster_size);
  for (uint64_t at = 0; old != 0 && at < table.size(); at += cache_.slice_size()) {
    INSTAR_TRY(const uint8_t* from, cache_.get(call, old + at));
    std::copy_n(from, cache_.slice_size(), table.data() + at);
  }
  file_.say("l2_alloc.write");
  // At once, so that there is room when it is written back.
  INSTAR_CHECK(file_.write(call, host, table.data(), table.size()));
  for (uint64_t at = 0; at < table.size(); at += cache_.slice_size()) {
    INSTAR_TRY(uint8_t * to, cache_.get_new(host + at));
    std::copy_n(table.data() + at, cache_.slice_size(), to);
  }
  l1_[l1_index] = host | kEntryCopied;
  dirty_l1_.insert(l1_index);
  return {};
}

Error L2Tables::broken_entry(const Slice& slice, uint64_t index, const Entry& entry) const {
  const uint64_t table = sdk::round_down(slice.host, geometry_.cluster_size);
  const uint64_t in_table = index + (slice.host - table) / geometry_.entry_size;
  const std::string where = sdk::cat("(L2 offset: ", hex(table),
                                     ", L2 index: ", in_table == 0 ? "0" : hex(in_table), ")");
  std::string what =
      sdk::cat("Cluster allocation offset ", hex(entry.word & kEntryOffsetMask), " unaligned ");
  if (external_data_ && (entry.word & kEntryCompressed) != 0)
    what = "Compressed cluster entry found in image with external data file ";
  else if (geometry_.extended && (entry.bitmap & entry.bitmap >> 32) != 0)
    what = "Invalid cluster entry found  ";
  else if (!geometry_.zero_flag && (entry.word & kEntryZero) != 0)
    what = "Zero cluster entry found in pre-v3 image ";
  return broken_metadata(corruption_, Call(nullptr), what + where);
}

Result<Kind> L2Tables::kind(const Slice& slice, uint64_t index, const Entry& entry,
                            uint32_t sub) const {
  if ((entry.word & kEntryCompressed) != 0) {
    if (external_data_ || (geometry_.extended && entry.bitmap != 0))
      return broken_entry(slice, index, entry);
    return Kind::kCompressed;
  }
  if (geometry_.in_cluster(entry.word & kEntryOffsetMask) != 0)
    return broken_entry(slice, index, entry);
  const bool placed = has_host(entry);
  const uint64_t guest = slice.first_guest + (index << geometry_.cluster_bits);
  if (external_data_ && placed && (entry.word & kEntryOffsetMask) != guest)
    return broken_metadata(
        corruption_, Call(nullptr),
        sdk::cat(
            "External data file host cluster offset ", alternate_hex(entry.word & kEntryOffsetMask),
            " does not match guest cluster offset: ", alternate_hex(guest), ", L2 index: ",
            alternate_hex((guest >> geometry_.cluster_bits) & (geometry_.l2_entries() - 1)), ")"));
  bool zero = (entry.word & kEntryZero) != 0;
  bool data = placed;
  if (geometry_.extended) {
    if ((entry.bitmap & entry.bitmap >> 32 & kAllSubclusters) != 0)
      return broken_entry(slice, index, entry);
    zero = (entry.bitmap >> (32 + sub) & 1) != 0;
    data = (entry.bitmap >> sub & 1) != 0;
    if (data && !placed) return broken_entry(slice, index, entry);
  } else if (zero && !geometry_.zero_flag) {
    return broken_entry(slice, index, entry);
  }
  if (zero) return placed ? Kind::kZeroAllocated : Kind::kZero;
  if (data) return Kind::kData;
  return placed ? Kind::kUnallocatedPlaced : Kind::kUnallocated;
}

Status L2Tables::scan_standard(const Slice& slice, uint64_t guest, uint64_t length, size_t max,
                               std::vector<Run>* runs) const {
  const uint64_t end = guest + length;
  while (guest < end && runs->size() <= max) {
    const uint64_t index = (guest - slice.first_guest) >> geometry_.cluster_bits;
    const uint64_t within = geometry_.in_cluster(guest);
    const uint64_t n = std::min(geometry_.cluster_size - within, end - guest);
    const Entry entry = get(slice, index);
    INSTAR_TRY(const Kind kind, this->kind(slice, index, entry, 0));
    if (kind == Kind::kCompressed)
      runs->push_back({kind, guest, n, geometry_.packed_offset(entry.word),
                       geometry_.packed_length(entry.word)});
    else
      push(runs, kind, guest, n, (entry.word & kEntryOffsetMask) + within);
    guest += n;
  }
  return {};
}

Status L2Tables::scan_extended(const Slice& slice, uint64_t guest, uint64_t length, size_t max,
                               std::vector<Run>* runs) const {
  const uint64_t end = guest + length;
  while (guest < end && runs->size() <= max) {
    const uint64_t index = (guest - slice.first_guest) >> geometry_.cluster_bits;
    const Entry entry = get(slice, index);
    if ((entry.word & kEntryCompressed) != 0) {
      INSTAR_TRY(const Kind kind, this->kind(slice, index, entry, 0));
      const uint64_t n = std::min(geometry_.cluster_end(guest + 1), end) - guest;
      runs->push_back({kind, guest, n, geometry_.packed_offset(entry.word),
                       geometry_.packed_length(entry.word)});
      guest += n;
      continue;
    }
    // Subclusters of one kind together.
    const uint64_t cluster_end = std::min(geometry_.cluster_end(guest + 1), end);
    while (guest < cluster_end) {
      const uint64_t within = geometry_.in_cluster(guest);
      const auto sub = static_cast<uint32_t>(within / geometry_.subcluster_size);
      INSTAR_TRY(const Kind kind, this->kind(slice, index, entry, sub));
      const uint64_t n =
          std::min((sub + 1) * geometry_.subcluster_size - within, cluster_end - guest);
      push(runs, kind, guest, n, (entry.word & kEntryOffsetMask) + within);
      guest += n;
    }
  }
  return {};
}

Status L2Tables::scan(const Call& call, uint64_t guest, uint64_t length, size_t max,
                      std::vector<Run>* runs) {
  const uint64_t end = guest + length;
  while (guest < end && runs->size() <= max) {
    const uint64_t l1_index = geometry_.l1_index(guest);
    if (l1_index >= l1_.size() || (l1_[l1_index] & kL1OffsetMask) == 0) {
      const uint64_t n = std::min(((l1_index + 1) << geometry_.l1_shift) - guest, end - guest);
      push(runs, Kind::kUnallocated, guest, n, 0);
      guest += n;
      continue;
    }
    INSTAR_TRY(const Slice slice, this->slice(call, guest));
    const uint64_t slice_end = slice.first_guest + (slice.count << geometry_.cluster_bits);
    const uint64_t n = std::min(slice_end, end) - guest;
    INSTAR_CHECK(geometry_.extended ? scan_extended(slice, guest, n, max, runs)
                                    : scan_standard(slice, guest, n, max, runs));
    guest = runs->back().guest + runs->back().length;
  }
  return {};
}

Status L2Tables::write_l1(const Call& call) {
  std::vector<uint8_t> bytes;
  for (auto at = dirty_l1_.begin(); at != dirty_l1_.end();) {
    const uint64_t first = *at;
    uint64_t count = 0;
    for (; at != dirty_l1_.end() && *at == first + count; ++at)
      ++count;
    bytes.resize(count * 8);
    for (uint64_t i = 0; i < count; ++i)
      store_be(bytes.data() + i * 8, l1_[first + i]);
    file_.say("l1_update");
    INSTAR_CHECK(file_.write(call, l1_offset_ + first * 8, bytes.data(), bytes.size()));
  }
  dirty_l1_.clear();
  return {};
}

}  // namespace instar::qcow2
