// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "plugins/formats/qcow2/checker.hpp"

namespace instar::qcow2 {
namespace {
constexpr uint64_t kL1Reserved = 0x7f000000000001ff;
constexpr uint64_t kL2Reserved = 0x3f000000000001fe;
constexpr uint64_t kRefcountTableReserved = 0x1ff;

std::string bare_hex(uint64_t value) {
  return hex(value).substr(2);
}
}  // namespace

/** An L2 table that is looked at. */
struct Checker::TablePass {
  uint64_t offset;
  uint8_t* table;
  Owner owner;
  TableStream& tables;   ///< where it came from
  uint64_t follows = 0;  ///< where the next cluster would not be a fragment

  void note_fragment(instar_check_result& result, uint64_t host, uint64_t cluster_size) {
    if (owner != Owner::kActive) return;
    ++result.allocated_clusters;
    if (follows != 0 && host != follows) ++result.fragmented_clusters;
    follows = host + cluster_size;
  }
};

Status Checker::count_all() {
  const Header& header = image_.header;
  count_range(0, geometry_.cluster_size);
  INSTAR_CHECK(count_l1(image_.l1, header.l1_offset, Owner::kActive));
  INSTAR_CHECK(count_snapshots());
  count_range(header.snapshots_offset, image_.snapshots_bytes);
  count_range(header.refcount_table_offset, reftable_.size() * 8);
  if (header.crypto) count_range(header.crypto->offset, header.crypto->length);
  INSTAR_CHECK(count_bitmaps());
  return count_refblocks();
}

void Checker::count_range(uint64_t offset, uint64_t length) {
  if (length == 0 || length > INT64_MAX) return;
  // The last cluster of the file may be there in part.
  const uint64_t limit = file_length() + geometry_.cluster_size;
  if (offset >= limit || length >= limit - offset) {
    say("ERROR: counting reference for region exceeding the end of the file by one cluster or "
        "more: offset ",
        hex(offset), " size ", hex(length), "\n");
    ++result_.corruptions;
    return;
  }
  const uint64_t last = geometry_.cluster_of(offset + length - 1);
  counts_.grow(last + 1);
  for (uint64_t cluster = geometry_.cluster_of(offset); cluster <= last; ++cluster) {
    if (counts_.increment(cluster)) continue;
    say("ERROR: overflow cluster offset=", hex(cluster << geometry_.cluster_bits), "\n");
    say("Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a "
        "clean copy if the image cannot be opened for writing\n");
    ++result_.corruptions;
  }
}

Status Checker::count_l1(const std::vector<uint64_t>& l1, uint64_t offset, Owner owner) {
  if (l1.empty()) return {};
  count_range(offset, l1.size() * 8);
  size_t ahead = 0;
  TableStream tables(call_, image_.file, geometry_.cluster_size, [&](uint64_t* place) {
    while (ahead < l1.size() && l1[ahead] == 0)
      ++ahead;
    if (ahead == l1.size()) return false;
    *place = l1[ahead++] & kL1OffsetMask;
    return true;
  });
  for (const uint64_t entry : l1) {
    if (entry == 0) continue;
    if ((entry & kL1Reserved) != 0) {
      say("ERROR found L1 entry with reserved bits set: ", bare_hex(entry), "\n");
      ++result_.corruptions;
    }
    const uint64_t place = entry & kL1OffsetMask;
    count_range(place, geometry_.cluster_size);
    if (geometry_.in_cluster(place) != 0) {
      say("ERROR l2_offset=", bare_hex(place),
          ": Table is not cluster aligned; L1 entry corrupted\n");
      ++result_.corruptions;
    }
    auto table = tables.read();
    if (!table) {
      if (table.error().code != ECANCELED) say("ERROR: I/O error in check_refcounts_l2\n");
      ++result_.check_errors;
      return std::move(table).error();
    }
    TablePass pass{place, *table, owner, tables};
    INSTAR_CHECK(count_table(pass));
  }
  return {};
}

Status Checker::count_table(TablePass& pass) {
  const uint64_t end = file_length();
  const uint64_t plain = image_.header.has_data_file()
                             ? 0
                             : kEntryCopied | (kEntryOffsetMask & ~(geometry_.cluster_size - 1));
  for (uint64_t i = 0; i < geometry_.l2_entries(); ++i) {
    const uint8_t* const at = pass.table + i * geometry_.entry_size;
    const auto word = load_be<uint64_t>(at);
    const uint64_t bitmap = geometry_.extended ? load_be<uint64_t>(at + 8) : 0;
    if (word == 0 && bitmap == 0) continue;
    const uint64_t host = word & ~kEntryCopied;
    // Nearly all entries: a place, and nothing odd about it.
    if ((word & ~plain) == 0 && host != 0 && host < end &&
        (bitmap & bitmap >> 32 & kAllSubclusters) == 0) {
      pass.note_fragment(result_, host, geometry_.cluster_size);
      if (counts_.size() > geometry_.cluster_of(host) &&
          counts_.increment(geometry_.cluster_of(host)))
        continue;
      count_range(host, geometry_.cluster_size);
    } else {
      INSTAR_CHECK(count_entry(pass, i));
    }
  }
  return {};
}

Status Checker::count_entry(TablePass& pass, uint64_t index) {
  const uint8_t* const at = pass.table + index * geometry_.entry_size;
  const Entry entry{load_be<uint64_t>(at), geometry_.extended ? load_be<uint64_t>(at + 8) : 0};
  if ((entry.word & kEntryCompressed) != 0) {
    count_compressed(pass, index, entry);
    return {};
  }
  if ((entry.word & kL2Reserved) != 0) {
    say("ERROR found l2 entry with reserved bits set: ", bare_hex(entry.word), "\n");
    ++result_.corruptions;
  }
  const bool zero = (entry.word & kEntryZero) != 0 && !geometry_.extended;
  const bool placed = (entry.word & kEntryOffsetMask) != 0 ||
                      (!zero && image_.header.has_data_file() && (entry.word & kEntryCopied) != 0);
  if (placed) return count_placed(pass, index, entry);
  if (!zero && (entry.bitmap & kAllSubclusters) != 0) {
    say("ERROR: Unallocated cluster has non-zero subcluster allocation map\n");
    ++result_.corruptions;
  }
  return {};
}

void Checker::count_compressed(TablePass& pass, uint64_t index, Entry entry) {
  if ((entry.word & kEntryCopied) != 0) {
    say("ERROR: coffset=", hex(geometry_.packed_offset(entry.word)),
        ": copied flag must never be set for compressed clusters\n");
    ++result_.corruptions;
    entry.word &= ~kEntryCopied;
  }
  if (image_.header.has_data_file()) {
    say("ERROR compressed cluster ", index, " with data file, entry=", hex(entry.word), "\n");
    ++result_.corruptions;
    return;
  }
  if (entry.bitmap != 0) {
    say("ERROR compressed cluster ", index,
        " with non-zero subcluster allocation bitmap, entry=", hex(entry.word), "\n");
    ++result_.corruptions;
    return;
  }
  count_range(geometry_.packed_offset(entry.word), geometry_.packed_length(entry.word));
  if (pass.owner != Owner::kActive) return;
  ++result_.allocated_clusters;
  ++result_.compressed_clusters;
  ++result_.fragmented_clusters;  // by nature
}

/** A cluster with a place in the file: data, or preallocated zeroes. */
Status Checker::count_placed(TablePass& pass, uint64_t index, const Entry& entry) {
  const uint64_t host = entry.word & kEntryOffsetMask;
  if ((entry.bitmap & entry.bitmap >> 32 & kAllSubclusters) != 0) {
    say("ERROR offset=", bare_hex(host),
        ": Allocated cluster has corrupted subcluster allocation bitmap\n");
    ++result_.corruptions;
  }
  if (geometry_.in_cluster(host) != 0) {
    ++result_.corruptions;
    const bool has_data =
        geometry_.extended ? (entry.bitmap & kAllSubclusters) != 0 : (entry.word & kEntryZero) == 0;
    if (has_data) {
      say("ERROR offset=", bare_hex(host),
          ": Data cluster is not properly aligned; L2 entry corrupted.\n");
    } else {
      say(error_or_repairing(), " offset=", bare_hex(host),
          ": Preallocated cluster is not properly aligned; L2 entry corrupted.\n");
      if (fixes_errors()) {
        auto repaired = zero_entry(pass, index);
        if (repaired) return {};  // it has no place any more
        if (image_.corruption.stopped()) return repaired;
      }
    }
  }
  pass.note_fragment(result_, host, geometry_.cluster_size);
  if (!image_.header.has_data_file()) count_range(host, geometry_.cluster_size);
  return {};
}

/** A place that holds no data is given up. */
Status Checker::zero_entry(TablePass& pass, uint64_t index) {
  uint8_t* const at = pass.table + index * geometry_.entry_size;
  if (geometry_.extended) {
    const auto bitmap = load_be<uint64_t>(at + 8);
    store_be(at + 8, (bitmap | bitmap << 32) & kAllSubclusters << 32);
  }
  store_be<uint64_t>(at, geometry_.extended ? 0 : kEntryZero);
  const uint64_t offset = pass.offset + index * geometry_.entry_size;
  const uint32_t except = pass.owner == Owner::kActive ? kActiveL2 : kInactiveL2;
  Status status = refuse_overlap(offset, geometry_.entry_size, except);
  if (!status) {
    say("ERROR: Overlap check failed\n");
  } else {
    status = image_.file.write(call_, offset, at, geometry_.entry_size);
    if (status) status = image_.file.flush(call_);
    pass.tables.forget();  // tables may overlap
    if (!status)
      say("ERROR: Failed to overwrite L2 table entry: ", sdk::errno_text(status.error().code),
          "\n");
  }
  if (!status) {
    ++result_.check_errors;
    return status;
  }
  --result_.corruptions;
  ++result_.corruptions_fixed;
  return {};
}

Status Checker::count_snapshots() {
  if (image_.header.has_data_file() && !image_.snapshots.empty()) {
    say("ERROR ", image_.snapshots.size(), " snapshots in image with data file\n");
    ++result_.corruptions;
  }
  for (const auto& snapshot : image_.snapshots) {
    const auto name = [&] {
      return sdk::cat("ERROR snapshot ", snapshot.id.c_str(), " (", snapshot.name.c_str(), ") ");
    };
    if (geometry_.in_cluster(snapshot.l1_offset) != 0) {
      say(name(), "l1_offset=", hex(snapshot.l1_offset),
          ": L1 table is not cluster aligned; snapshot table entry corrupted\n");
      ++result_.corruptions;
      continue;
    }
    if (snapshot.l1_entries > kMaxL1Bytes / 8) {
      say(name(), "l1_size=", hex(snapshot.l1_entries),
          ": L1 table is too large; snapshot table entry corrupted\n");
      ++result_.corruptions;
      continue;
    }
    if (snapshot.l1_entries == 0) continue;
    std::vector<uint64_t> l1(snapshot.l1_entries);
    Status loaded = image_.file.read(call_, snapshot.l1_offset, l1.data(), l1.size() * 8);
    if (!loaded) {
      say("ERROR: I/O error in check_refcounts_l1\n");
      ++result_.check_errors;
      return loaded;
    }
    for (auto& entry : l1)
      entry = load_be<uint64_t>(&entry);
    INSTAR_CHECK(count_l1(l1, snapshot.l1_offset, Owner::kSnapshot));
  }
  return {};
}

Status Checker::count_refblocks() {
  for (uint64_t i = 0; i < reftable_.size(); ++i) {
    const uint64_t offset = reftable_[i] & kRefcountTableOffsetMask;
    const uint64_t cluster = geometry_.cluster_of(offset);
    if ((reftable_[i] & kRefcountTableReserved) != 0) {
      say("ERROR refcount table entry ", i, " has reserved bits set\n");
    } else if (geometry_.in_cluster(offset) != 0) {
      say("ERROR refcount block ", i, " is not cluster aligned; refcount table entry corrupted\n");
    } else if (cluster >= counts_.size()) {
      say(error_or_repairing(), " refcount block ", i, " is outside image\n");
      if (!fixes_errors()) {
        ++result_.corruptions;
        continue;
      }
      const auto extended = extend_to_refblock(offset);
      if (extended) {
        ++result_.corruptions_fixed;
        count_range(offset, geometry_.cluster_size);
        continue;
      }
      say("ERROR could not resize image: ", sdk::errno_text(extended.error().code), "\n");
    } else if (offset == 0) {
      continue;
    } else {
      count_range(offset, geometry_.cluster_size);
      if (counts_.get(cluster) == 1) continue;
      say("ERROR refcount block ", i, " refcount=", counts_.get(cluster), "\n");
    }
    ++result_.corruptions;
    must_rebuild_ = true;
  }
  return {};
}

/** The file becomes long enough for a refcount block that lies behind its end: all its counts are 0
 * then. */
Status Checker::extend_to_refblock(uint64_t offset) {
  if (offset > INT64_MAX - geometry_.cluster_size) return fail(EINVAL, sdk::errno_text(EINVAL));
  const uint64_t end = offset + geometry_.cluster_size;
  if (auto resized = image_.file.node().resize(call_, end); !resized) {
    say_as_program(resized.error());
    return resized;
  }
  image_.file.note_end(end);
  counts_.grow(geometry_.clusters(end));
  return {};
}

}  // namespace instar::qcow2
