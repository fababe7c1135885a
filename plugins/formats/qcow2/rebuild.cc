// SPDX-License-Identifier: Apache-2.0
// A lost refcount structure is made anew from the counts in memory.
#include <algorithm>
#include <cstddef>

#include "plugins/formats/qcow2/checker.hpp"

namespace instar::qcow2 {

/** Sets aside `count` free clusters in a row, none before *first_free, which becomes the first free
 * one that was met. Returns the first. */
uint64_t Checker::take_free(uint64_t count, uint64_t* first_free) {
  uint64_t start = counts_.find_free(*first_free);
  if (start < counts_.size()) *first_free = start;
  start = std::max(start, *first_free);
  for (;;) {
    uint64_t end = start;
    while (end < counts_.size() && end - start < count && counts_.get(end) == 0)
      ++end;
    if (end - start == count || end >= counts_.size()) break;
    start = counts_.find_free(end);
  }
  counts_.grow(start + count);
  for (uint64_t i = 0; i < count; ++i)
    (void)counts_.increment(start + i);
  return start;
}

/** Writes the refcount blocks that the used clusters of [first, end) need, and enters those that are
 * new into `table`. True: the table became larger. */
Result<bool> Checker::write_refblocks(std::vector<uint64_t>& table, uint64_t first, uint64_t end) {
  const uint64_t entries = geometry_.refblock_entries();
  const uint64_t per_cluster = geometry_.cluster_size / 8;
  std::vector<uint8_t> block(geometry_.cluster_size);
  uint64_t first_free = 0;
  bool grown = false;
  for (uint64_t used = counts_.find_used(first); used < end;) {
    const uint64_t index = used >> geometry_.refblock_bits;
    const uint64_t start = index << geometry_.refblock_bits;
    if (index >= table.size() || table[index] == 0) {
      // Blocks that are written already must not change.
      first_free = std::max(first_free, start);
      const uint64_t place = take_free(1, &first_free);
      end = std::max(end, place + 1);
      if (index >= table.size()) {
        if ((index + 1) * 8 > kMaxRefcountTableBytes)
          return fail(EFBIG, "ERROR allocating refblock: ", sdk::errno_text(EFBIG));
        table.resize(sdk::round_up(index + 1, per_cluster));
        grown = true;
      }
      table[index] = place << geometry_.cluster_bits;
    }
    counts_.pack(start, entries, block.data());
    if (auto written = write_checked(table[index], block.data(), block.size(), 0); !written)
      return fail(written.error().code,
                  "ERROR writing refblock: ", sdk::errno_text(written.error().code));
    used = start + entries < counts_.size() ? counts_.find_used(start + entries) : UINT64_MAX;
  }
  return grown;
}

/** The blocks are written; when the header refers to the table, the old structure is out of use. */
Status Checker::write_reftable(const std::vector<uint64_t>& table, uint64_t offset) {
  std::vector<uint8_t> bytes(table.size() * 8);
  for (size_t i = 0; i < table.size(); ++i)
    store_be(bytes.data() + i * 8, table[i]);
  Status status = write_checked(offset, bytes.data(), bytes.size(), 0);
  if (status) status = image_.file.flush(call_);
  if (!status)
    return fail(status.error().code,
                "ERROR writing reftable: ", sdk::errno_text(status.error().code));
  struct {
    Be<uint64_t> offset;
    Be<uint32_t> clusters;
  } fields{offset, static_cast<uint32_t>(geometry_.clusters(bytes.size()))};
  static_assert(sizeof fields == 12);
  status =
      image_.file.write(call_, offsetof(HeaderV2, refcount_table_offset), &fields, sizeof fields);
  if (status) status = image_.file.flush(call_);
  if (!status)
    return fail(status.error().code,
                "ERROR setting reftable: ", sdk::errno_text(status.error().code));
  image_.header.refcount_table_offset = offset;
  image_.header.refcount_table_clusters = fields.clusters;
  reftable_ = table;
  return {};
}

Status Checker::rebuild() {
  std::vector<uint64_t> table;
  const auto written = [&](Result<bool> result) {
    if (!result) ++result_.check_errors;
    return result;
  };
  INSTAR_TRY(bool grown, written(write_refblocks(table, 0, counts_.size())));
  // The table takes clusters, too, whose counts may need blocks, which may need a larger table. What
  // is left over is leaked, and found by the comparison that follows.
  uint64_t start = 0;
  do {
    uint64_t first_free = 0;
    const uint64_t clusters = geometry_.clusters(table.size() * 8);
    start = take_free(clusters, &first_free);
    INSTAR_TRY(grown, written(write_refblocks(table, start, start + clusters)));
  } while (grown);
  return write_reftable(table, start << geometry_.cluster_bits);
}

Status Checker::rebuild_and_recount() {
  const instar_check_result before = result_;
  say("Rebuilding refcount structure\n");
  if (auto rebuilt = rebuild(); !rebuilt) {
    say_as_program(rebuilt.error());
    return rebuilt;
  }
  result_.corruptions = result_.leaks = 0;
  must_rebuild_ = false;
  counts_.clear();
  fix_ = 0;
  INSTAR_CHECK(count_all());
  int64_t fresh_leaks = 0;
  if ((asked_fix_ & INSTAR_FIX_LEAKS) != 0) {
    // The old structure is leaked now.
    const instar_check_result recounted = result_;
    result_ = {};
    INSTAR_CHECK(compare(INSTAR_FIX_LEAKS));
    if (must_rebuild_) say("ERROR rebuilt refcount structure is still broken\n");
    fresh_leaks = result_.leaks;
    result_ = recounted;
  }
  result_.corruptions_fixed += std::max<int64_t>(before.corruptions - result_.corruptions, 0);
  result_.leaks_fixed += std::max<int64_t>(before.leaks - result_.leaks, 0);
  result_.leaks += fresh_leaks;
  return image_.file.flush(call_);
}

}  // namespace instar::qcow2
