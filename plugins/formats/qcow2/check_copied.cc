// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/checker.hpp"

namespace instar::qcow2 {
namespace {
constexpr uint64_t kSlice = 64u << 10;
constexpr uint64_t kCache = 1u << 20;

std::string bare_hex(uint64_t value) {
  return hex(value).substr(2);
}
}  // namespace

Result<uint64_t> Checker::count_on_disk(uint64_t cluster) {
  if (counts_agree_ && cluster < counts_.size()) return counts_.get(cluster);
  if (!on_disk_) {
    on_disk_.emplace(geometry_, image_.file, std::min(geometry_.cluster_size, kSlice), kCache);
    INSTAR_CHECK(on_disk_->load(call_, image_.header.refcount_table_offset,
                                image_.header.refcount_table_clusters));
  }
  return on_disk_->get(call_, cluster);
}

Result<bool> Checker::used_once(uint64_t cluster) {
  if (counts_agree_ && cluster < counts_.size()) return counts_.is_one(cluster);
  INSTAR_TRY(const uint64_t count, count_on_disk(cluster));
  return count == 1;
}

/** The COPIED flags of the active tables say which clusters are used once. */
Status Checker::check_copied() {
  fix_ = asked_fix_;
  const bool repair = fixes_errors() || (fixes_leaks() && result_.check_errors == 0 &&
                                         result_.corruptions == 0 && result_.leaks == 0);
  const auto& l1 = image_.l1;
  size_t ahead = 0;
  TableStream tables(call_, image_.file, geometry_.cluster_size, [&](uint64_t* place) {
    while (ahead < l1.size() && (l1[ahead] & kL1OffsetMask) == 0)
      ++ahead;
    if (ahead == l1.size()) return false;
    *place = l1[ahead++] & kL1OffsetMask;
    return true;
  });
  for (uint64_t i = 0; i < l1.size(); ++i) {
    const uint64_t offset = l1[i] & kL1OffsetMask;
    if (offset == 0) continue;
    auto table = tables.read();
    const auto once = used_once(geometry_.cluster_of(offset));
    if (!once) continue;  // that was told when the counts were compared
    if (*once != ((l1[i] & kEntryCopied) != 0)) INSTAR_CHECK(check_l1_entry(i, repair));
    if (!table) {
      say("ERROR: Could not read L2 table: ", sdk::errno_text(table.error().code), "\n");
      ++result_.check_errors;
      return std::move(table).error();
    }
    const int64_t fixed = result_.corruptions_fixed;
    INSTAR_CHECK(check_table(offset, *table, repair));
    if (result_.corruptions_fixed != fixed) tables.forget();  // entries may share one
  }
  return {};
}

/** An L1 entry whose flag is wrong. */
Status Checker::check_l1_entry(uint64_t index, bool repair) {
  uint64_t& entry = image_.l1[index];
  INSTAR_TRY(const uint64_t count, count_on_disk(geometry_.cluster_of(entry & kL1OffsetMask)));
  ++result_.corruptions;
  say(repair ? "Repairing" : "ERROR", " OFLAG_COPIED L2 cluster: l1_index=", index,
      " l1_entry=", bare_hex(entry), " refcount=", count, "\n");
  if (!repair) return {};
  entry ^= kEntryCopied;
  const Be<uint64_t> value = entry;
  Status written =
      write_checked(image_.header.l1_offset + index * 8, &value, sizeof value, kActiveL1);
  if (!written) {
    ++result_.check_errors;
    return written;
  }
  --result_.corruptions;
  ++result_.corruptions_fixed;
  return {};
}

Status Checker::check_table(uint64_t offset, uint8_t* table, bool repair) {
  int64_t repaired = 0;
  const bool external = image_.header.has_data_file();
  for (uint64_t i = 0; i < geometry_.l2_entries(); ++i) {
    uint8_t* const at = table + i * geometry_.entry_size;
    const auto word = load_be<uint64_t>(at);
    const bool copied = (word & kEntryCopied) != 0;
    const uint64_t host = word & kEntryOffsetMask;
    if ((word & kEntryCompressed) != 0) continue;
    if (host == 0 && !(external && copied && ((word & kEntryZero) == 0 || geometry_.extended)))
      continue;
    if (external ? copied
                 : counts_agree_ && geometry_.cluster_of(host) < counts_.size() &&
                       counts_.is_one(geometry_.cluster_of(host)) == copied)
      continue;
    uint64_t count = 1;
    if (!external) {
      const auto known = count_on_disk(geometry_.cluster_of(host));
      if (!known) continue;
      count = *known;
    }
    if ((count == 1) == copied) continue;
    ++result_.corruptions;
    say(repair ? "Repairing" : "ERROR", " OFLAG_COPIED data cluster: l2_entry=", bare_hex(word),
        " refcount=", count, "\n");
    if (!repair) continue;
    store_be(at, word ^ kEntryCopied);
    ++repaired;
  }
  if (repaired == 0) return {};
  Status written = refuse_overlap(offset, geometry_.cluster_size, kActiveL2);
  if (!written) {
    say("ERROR: Could not write L2 table; metadata overlap check failed: ",
        sdk::errno_text(written.error().code), "\n");
  } else {
    written = image_.file.write(call_, offset, table, geometry_.cluster_size);
    if (!written)
      say("ERROR: Could not write L2 table: ", sdk::errno_text(written.error().code), "\n");
  }
  if (!written) {
    ++result_.check_errors;
    return written;
  }
  result_.corruptions -= repaired;
  result_.corruptions_fixed += repaired;
  return {};
}

}  // namespace instar::qcow2
