// SPDX-License-Identifier: Apache-2.0
/** @file snapshots.hpp The snapshot table. Specification: "Snapshots". */
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plugins/formats/qcow2/geometry.hpp"

namespace instar::qcow2 {

struct Snapshot {
  Snapshot() = default;
  /** The fixed fields of an entry; extra data, id and name follow it. */
  explicit Snapshot(const SnapshotEntry& raw);
  /** The extra data; an entry without a disk size has the image's. */
  void set_extra(const std::vector<uint8_t>& bytes, uint64_t image_size);

  uint64_t l1_offset = 0;
  uint32_t l1_entries = 0;
  std::string id;
  std::string name;
  uint32_t date_sec = 0;
  uint32_t date_nsec = 0;
  uint64_t vm_clock_nsec = 0;
  uint64_t vm_state_size = 0;
  uint64_t disk_size = 0;  ///< bytes
  std::optional<uint64_t> icount;
  std::vector<uint8_t> unknown_extra;
  uint32_t extra_length = 0;  ///< of all extra data, as read
};

/** Reads and checks the table that the header names; *bytes: its length in the file. */
Result<std::vector<Snapshot>> read_snapshots(const Call& call, const HostFile& file,
                                             const Header& header, uint64_t* bytes);

/** The table's bytes. */
std::vector<uint8_t> serialize_snapshots(const std::vector<Snapshot>& snapshots);

/** A number larger than those of all others. */
std::string new_snapshot_id(const std::vector<Snapshot>& snapshots);

/** Its L1 table lies where one may lie. */
Status check_snapshot(const Geometry& geometry, const Snapshot& snapshot);

/** JSON of instar.snapshot/1. */
std::string snapshots_json(const std::vector<Snapshot>& snapshots);

/** The one with that id, else the first one with that name, else nullptr. */
const Snapshot* find_snapshot(const std::vector<Snapshot>& snapshots, std::string_view id_or_name);

}  // namespace instar::qcow2
