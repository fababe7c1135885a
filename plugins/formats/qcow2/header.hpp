// SPDX-License-Identifier: Apache-2.0
/** @file header.hpp The header with its extensions: read, checked, and written back with what this
 * driver does not know kept as it is. Specification: "Header", "Header extensions". */
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plugins/formats/qcow2/format.hpp"

namespace instar::qcow2 {

struct Extension {
  uint32_t type = 0;
  std::vector<uint8_t> data;
};

/** The header in the machine's numbers. Sizes and offsets in bytes unless named otherwise. */
struct Header {
  uint32_t version = 3;
  uint32_t cluster_bits = 16;
  uint64_t size = 0;
  uint32_t crypt_method = kCryptNone;
  uint32_t l1_entries = 0;
  uint64_t l1_offset = 0;
  uint64_t refcount_table_offset = 0;
  uint32_t refcount_table_clusters = 0;
  uint32_t snapshots_count = 0;
  uint64_t snapshots_offset = 0;
  uint64_t incompatible = 0;
  uint64_t compatible = 0;
  uint64_t autoclear = 0;
  uint32_t refcount_order = 4;
  uint8_t compression_type = kCompressionZlib;
  std::vector<uint8_t> unknown_fields;  ///< of the header, behind the fields known here

  std::string backing_file;
  std::optional<std::string> backing_format;
  std::optional<std::string> data_file;
  std::optional<CryptoExtension> crypto;
  std::optional<BitmapsExtension> bitmaps;
  bool stale_bitmaps = false;  ///< there was an extension that must not be trusted any more
  std::vector<FeatureName> feature_names;
  std::vector<Extension> unknown_extensions;

  bool has_data_file() const { return (incompatible & kIncompatDataFile) != 0; }
  bool data_file_raw() const { return (autoclear & kAutoclearDataFileRaw) != 0; }
  bool extended_l2() const { return (incompatible & kIncompatExtendedL2) != 0; }
};

/** Where the snapshot table lies makes sense; `name` is what the message calls it. */
Status check_snapshot_pointer(const Header& header, const char* name);

/** Reads and checks everything that can be checked without the rest of the file. `for_check`: not
 * what a check looks at itself. */
Result<Header> read_header(const Call& call, const HostFile& file, bool for_check = false);

/** The header's cluster, from byte 0 to the end of the backing file's name. `extensions_at`: where the
 * extensions begin, behind a gap that readers skip; 0: without a gap. ENOSPC when it does not fit into
 * a cluster, or a gap's beginning not into the first sector. */
Result<std::vector<uint8_t>> serialize_header(const Header& header, size_t extensions_at = 0);

/** Replaces the header on the disk, which says what `old` does. A power cut leaves one of the two,
 * provided that sectors are written whole, and that the cluster has room for both but for the fixed
 * fields; else several sectors are written at once. */
Status replace_header(const Call& call, HostFile& file, const Header& old, const Header& next);

}  // namespace instar::qcow2
