// SPDX-License-Identifier: Apache-2.0
/**
 * @file checker.hpp
 * Consistency check and repair of an image that nobody uses meanwhile.
 *
 * All references are counted in memory from the tables, which are read in bulk, and compared with
 * the refcount blocks; then the COPIED flags with the counts. Findings are named and counted, and
 * repaired, in the order and words of qemu-img, as scripts read them.
 *
 * A repair that is cut off can be started again: counts are changed block by block, and a rebuilt
 * refcount structure lies in free clusters until the header refers to it.
 */
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plugins/formats/qcow2/cluster_counts.hpp"
#include "plugins/formats/qcow2/corruption.hpp"
#include "plugins/formats/qcow2/l2_tables.hpp"
#include "plugins/formats/qcow2/overlap.hpp"
#include "plugins/formats/qcow2/snapshots.hpp"
#include "plugins/formats/qcow2/table_stream.hpp"
#include "sdk/abi/check.h"
#include "sdk/cpp/host.hpp"

namespace instar::qcow2 {

/** What is checked. Everything outlives the checker, which changes it when it repairs. */
struct CheckedImage {
  const Geometry& geometry;
  Header& header;
  HostFile& file;
  std::vector<uint64_t>& l1;  ///< the active L1 table
  std::vector<Snapshot>& snapshots;
  uint64_t& snapshots_bytes;  ///< length of the snapshot table
  Corruption& corruption;
  OverlapChecks overlap_checks;
};

/** One pass of check; used once. */
class Checker {
 public:
  /** @param fix enum instar_check_fix bits. @param messages a line each. */
  Checker(sdk::Host host, const Call& call, CheckedImage image, uint32_t fix,
          const instar_sink* messages);

  /** Fills in the counters. An error: the check could not be finished. */
  Status run(instar_check_result* result);

 private:
  enum class Owner : uint8_t { kActive, kSnapshot };
  bool fixes_errors() const { return (fix_ & INSTAR_FIX_ERRORS) != 0; }
  bool fixes_leaks() const { return (fix_ & INSTAR_FIX_LEAKS) != 0; }
  const char* error_or_repairing() const { return fixes_errors() ? "Repairing" : "ERROR"; }
  template <class... Parts>
  void say(const Parts&... parts) const {
    say_text(sdk::cat(parts...));
  }
  void say_text(std::string_view line) const;
  /** As the program's own error: behind its name. */
  void say_as_program(const Error& error, std::string_view before = {}) const;

  // checker.cc
  Status check_refcounts();
  Status repair_refcounts(const instar_check_result& before_comparison);
  Status clear_flags();
  uint64_t file_length() const;
  MetadataView metadata() const;
  /** EIO, and the image is marked, when it would hit metadata other than `except`. */
  Status refuse_overlap(uint64_t offset, uint64_t length, uint32_t except);
  Status write_checked(uint64_t offset, const void* bytes, size_t length, uint32_t except);

  // check_counts.cc: references are counted
  Status count_all();
  void count_range(uint64_t offset, uint64_t length);
  Status count_l1(const std::vector<uint64_t>& l1, uint64_t offset, Owner owner);
  struct TablePass;
  Status count_table(TablePass& pass);
  Status count_entry(TablePass& pass, uint64_t index);
  void count_compressed(TablePass& pass, uint64_t index, Entry entry);
  Status count_placed(TablePass& pass, uint64_t index, const Entry& entry);
  Status zero_entry(TablePass& pass, uint64_t index);
  Status count_snapshots();
  Status count_refblocks();
  Status extend_to_refblock(uint64_t offset);

  // check_bitmaps.cc
  Status count_bitmaps();
  Status count_bitmap(const BitmapDirectoryEntry& bitmap);
  bool is_valid(const BitmapDirectoryEntry& bitmap) const;

  // check_compare.cc: counts against those on the disk
  struct Comparison;
  Status compare(uint32_t fix);
  Status compare_refblock(Comparison& work, uint64_t index);
  Status store_refblock(const Comparison& work, uint64_t offset);
  void compare_entries(Comparison& work, uint64_t first, uint64_t count);
  void compare_entry(Comparison& work, uint64_t cluster, uint64_t on_disk, uint64_t counted);
  void refblock_unreadable(uint64_t first, uint64_t end, const Error& error);

  // check_copied.cc
  Status check_copied();
  Status check_l1_entry(uint64_t index, bool repair);
  Status check_table(uint64_t offset, uint8_t* table, bool repair);
  Result<uint64_t> count_on_disk(uint64_t cluster);
  /** Whether the count is 1; an error when it can't be told. */
  Result<bool> used_once(uint64_t cluster);

  // check_snapshots.cc
  Status read_snapshot_table();
  Status read_snapshots_repairing(uint64_t* dropped);
  Status repair_snapshot_table();

  // rebuild.cc
  Status rebuild();
  Status rebuild_and_recount();
  Result<bool> write_refblocks(std::vector<uint64_t>& table, uint64_t first, uint64_t end);
  Status write_reftable(const std::vector<uint64_t>& table, uint64_t offset);
  uint64_t take_free(uint64_t count, uint64_t* first_free);

  const sdk::Host host_;
  const Call& call_;
  const CheckedImage image_;
  const Geometry& geometry_;
  const uint32_t asked_fix_;
  uint32_t fix_;  ///< what the step under way may repair
  const instar_sink* messages_;
  instar_check_result result_{};     ///< of everything but
  instar_check_result snapshots_{};  ///< the snapshot table

  ClusterCounts counts_;
  std::vector<uint64_t> reftable_;
  std::optional<Refcounts> on_disk_;
  uint64_t highest_cluster_ = 0;
  bool must_rebuild_ = false;
  /** The counts on the disk are those in memory, as far as these go. */
  bool counts_agree_ = false;
};

}  // namespace instar::qcow2
