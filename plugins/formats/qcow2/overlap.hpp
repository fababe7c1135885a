// SPDX-License-Identifier: Apache-2.0
/** @file overlap.hpp Whether a write would hit metadata: the last line of defence of an image whose
 * reference counts are wrong. Offsets and lengths are bytes of the image's file. */
#pragma once

#include <string>
#include <vector>

#include "plugins/formats/qcow2/geometry.hpp"
#include "plugins/formats/qcow2/snapshots.hpp"
#include "sdk/cpp/options.hpp"

namespace instar::qcow2 {

/** Kinds of metadata, as bits. */
enum Metadata : uint32_t {
  kMainHeader = 1u << 0,
  kActiveL1 = 1u << 1,
  kActiveL2 = 1u << 2,
  kRefcountBlock = 1u << 3,
  kRefcountTable = 1u << 4,
  kSnapshotTable = 1u << 5,
  kInactiveL1 = 1u << 6,
  kInactiveL2 = 1u << 7,
  kBitmapDirectory = 1u << 8,
};
using OverlapChecks = uint32_t;
constexpr OverlapChecks kOverlapConstant =
    kMainHeader | kActiveL1 | kRefcountTable | kSnapshotTable | kBitmapDirectory;
constexpr OverlapChecks kOverlapCached =
    kOverlapConstant | kActiveL2 | kRefcountBlock | kInactiveL1;
constexpr OverlapChecks kOverlapAll = kOverlapCached | kInactiveL2;

/** What the open options overlap-check* ask for. */
Result<OverlapChecks> read_overlap_checks(const sdk::Options& options);

/** Where an image's metadata lie. Refers to what its maker has. */
struct MetadataView {
  const Geometry& geometry;
  const Header& header;
  const HostFile& file;
  const std::vector<uint64_t>& l1;  ///< the active L1 table, as on the disk
  uint64_t l1_offset;
  const std::vector<uint64_t>& reftable;
  uint64_t reftable_offset;
  const std::vector<Snapshot>& snapshots;
  uint64_t snapshot_table_length;
};

/** The first kind of `checks` that [offset, offset + length) touches, 0 if none. An error: tables of
 * snapshots could not be read. */
Result<uint32_t> find_overlap(const Call& call, const MetadataView& view, OverlapChecks checks,
                              uint64_t offset, uint64_t length);

/** What a user is told when such a write was stopped; `kind` is one bit of enum Metadata. */
std::string overlap_message(uint32_t kind);

}  // namespace instar::qcow2
