// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/header.hpp"

#include <cstddef>
#include <string_view>

namespace instar::qcow2 {
namespace {

constexpr size_t kBackingFormatMax = 15;
constexpr size_t kMinimumRoomForNames = 4096;

/** A table named in the header lies where one may lie. */
Status check_table(uint32_t cluster_bits, uint64_t offset, uint64_t entries, uint64_t entry_size,
                   uint64_t max_bytes, const char* name) {
  if (entries > max_bytes / entry_size) return fail(EFBIG, name, " too large");
  const uint64_t cluster = uint64_t{1} << cluster_bits;
  if (offset > INT64_MAX - entries * entry_size || offset % cluster != 0)
    return fail(EINVAL, name, " offset invalid");
  return {};
}

/** A program without bitmap support wrote to the image: what the extension says is outdated. */
void warn_of_stale_bitmaps(const Call& call, const Header& header) {
  const std::string_view reason =
      header.version < 3
          ? "This qcow2 v2 image contains bitmaps, but they may have been modified by software "
            "without persistent bitmap support; so now these bitmaps must all be considered "
            "inconsistent"
          : "a program lacking bitmap support modified this file, so all bitmaps are now "
            "considered "
            "inconsistent";
  call.warn(sdk::cat(reason,
                     "\nSome clusters may be leaked, run 'qemu-img check -r' on the image file "
                     "to fix."));
}

Status parse_bitmaps(const Call& call, Header& header, ConstBytes data) {
  if (data.size() != sizeof(BitmapsExtension))
    return fail(EINVAL, "bitmaps_ext: Invalid extension length");
  if ((header.autoclear & kAutoclearBitmaps) == 0) {
    warn_of_stale_bitmaps(call, header);
    header.stale_bitmaps = true;
    return {};
  }
  BitmapsExtension bitmaps;
  std::memcpy(&bitmaps, data.data(), sizeof bitmaps);
  if (bitmaps.reserved != 0) return fail(EINVAL, "bitmaps_ext: Reserved field is not zero");
  const uint32_t count = bitmaps.nb_bitmaps;
  if (count > kMaxBitmaps)
    return fail(EINVAL, "bitmaps_ext: Image has ", count,
                " bitmaps, exceeding the QEMU supported maximum of ", kMaxBitmaps);
  if (count == 0) return fail(EINVAL, "found bitmaps extension with zero bitmaps");
  const uint64_t offset = bitmaps.bitmap_directory_offset;
  if (offset % (uint64_t{1} << header.cluster_bits) != 0)
    return fail(EINVAL, "bitmaps_ext: invalid bitmap directory offset");
  const uint64_t size = bitmaps.bitmap_directory_size;
  if (size > kMaxBitmapDirectory)
    return fail(EINVAL, "bitmaps_ext: bitmap directory size (", size,
                ") exceeds the maximum supported size (", kMaxBitmapDirectory, ")");
  header.bitmaps = bitmaps;
  return {};
}

Status parse_crypto(Header& header, ConstBytes data) {
  if (header.crypt_method != kCryptLuks)
    return fail(EINVAL, "CRYPTO header extension only expected with LUKS encryption method");
  if (data.size() != sizeof(CryptoExtension))
    return fail(EINVAL, "CRYPTO header extension size ", data.size(), ", but expected size ",
                sizeof(CryptoExtension));
  CryptoExtension crypto;
  std::memcpy(&crypto, data.data(), sizeof crypto);
  const uint64_t cluster = uint64_t{1} << header.cluster_bits;
  if (crypto.offset % cluster != 0)
    return fail(EINVAL, "Encryption header offset '", uint64_t{crypto.offset},
                "' is not a multiple of cluster size '", cluster, "'");
  header.crypto = crypto;
  return {};
}

Status parse_extension(const Call& call, Header& header, uint32_t type, ConstBytes data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  switch (type) {
    case kExtensionBackingFormat:
      if (data.size() > kBackingFormatMax)
        return fail(EINVAL, "ERROR: ext_backing_format: len=", data.size(),
                    " too large (>=", kBackingFormatMax + 1, ")");
      header.backing_format = std::string(text.substr(0, text.find('\0')));
      return {};
    case kExtensionDataFile:
      header.data_file = std::string(text.substr(0, text.find('\0')));
      return {};
    case kExtensionFeatureNames:
      // The last name may be cut short.
      header.feature_names.resize(sdk::div_up(data.size(), sizeof(FeatureName)));
      if (!data.empty()) std::memcpy(header.feature_names.data(), data.data(), data.size());
      return {};
    case kExtensionCrypto:
      return parse_crypto(header, data);
    case kExtensionBitmaps:
      return parse_bitmaps(call, header, data);
    default:
      header.unknown_extensions.push_back({type, {data.begin(), data.end()}});
      return {};
  }
}

/** `area` is the header's cluster up to the backing file's name. */
Status parse_extensions(const Call& call, Header& header, ConstBytes area, size_t offset) {
  while (offset + sizeof(ExtensionHeader) <= area.size()) {
    ExtensionHeader extension;
    std::memcpy(&extension, area.data() + offset, sizeof extension);
    offset += sizeof extension;
    if (extension.type == kExtensionEnd) return {};
    if (extension.length > area.size() - offset) return fail(EINVAL, "Header extension too large");
    INSTAR_CHECK(
        parse_extension(call, header, extension.type, area.subspan(offset, extension.length)));
    offset += sdk::round_up(extension.length, 8);
  }
  return {};
}

/** The bytes before `limit` as far as the extensions that begin at `offset` reach, and no less than
 * what tells that they end: mostly a small part of a cluster. */
Result<std::vector<uint8_t>> read_extension_area(const Call& call, const HostFile& file,
                                                 size_t offset, size_t limit) {
  constexpr size_t kStep = 4096;
  std::vector<uint8_t> area;
  while (offset + sizeof(ExtensionHeader) <= limit) {
    if (const size_t end = offset + sizeof(ExtensionHeader); end > area.size()) {
      const size_t had = area.size();
      area.resize(std::min<size_t>(sdk::round_up(end, kStep), limit));
      INSTAR_CHECK(file.read(call, had, area.data() + had, area.size() - had));
    }
    ExtensionHeader extension;
    std::memcpy(&extension, area.data() + offset, sizeof extension);
    if (extension.type == kExtensionEnd) return area;
    offset += sizeof extension + sdk::round_up(extension.length, 8);
  }
  const size_t had = area.size();
  area.resize(limit);
  INSTAR_CHECK(file.read(call, had, area.data() + had, limit - had));
  return area;
}

std::string unknown_feature_names(const Header& header, uint64_t mask) {
  std::string names;
  const auto add = [&](std::string_view name) {
    if (!names.empty()) names += ", ";
    names += name;
  };
  for (const auto& feature : header.feature_names) {
    if (feature.name[0] == '\0') break;  // ends the table
    if (feature.type != 0 || feature.bit > 63) continue;
    const uint64_t bit = uint64_t{1} << feature.bit;
    if ((mask & bit) == 0) continue;
    const std::string_view name(feature.name, sizeof feature.name);
    add(name.substr(0, name.find('\0')));
    mask &= ~bit;
  }
  if (mask != 0) add("Unknown incompatible feature: " + hex(mask).substr(2));
  return names;
}

void copy_v2_fields(const HeaderV2& raw, Header& header) {
  header.version = raw.version;
  header.cluster_bits = raw.cluster_bits;
  header.size = raw.size;
  header.crypt_method = raw.crypt_method;
  header.l1_entries = raw.l1_size;
  header.l1_offset = raw.l1_table_offset;
  header.refcount_table_offset = raw.refcount_table_offset;
  header.refcount_table_clusters = raw.refcount_table_clusters;
  header.snapshots_count = raw.nb_snapshots;
  header.snapshots_offset = raw.snapshots_offset;
}

Status check_compression_type(const Header& header) {
  if (header.compression_type > kCompressionZstd)
    return fail(ENOTSUP, "qcow2: unknown compression type: ", header.compression_type);
  const bool flagged = (header.incompatible & kIncompatCompression) != 0;
  if (header.compression_type == kCompressionZlib && flagged)
    return fail(EINVAL, "qcow2: Compression type incompatible feature bit must not be set");
  if (header.compression_type != kCompressionZlib && !flagged)
    return fail(EINVAL, "qcow2: Compression type incompatible feature bit must be set");
  return {};
}

Status check_features(const Header& header) {
  const uint64_t unknown = header.incompatible & ~uint64_t{kIncompatKnown};
  if (unknown != 0)
    return fail(ENOTSUP, "Unsupported qcow2 feature(s): ", unknown_feature_names(header, unknown));
  if (header.extended_l2() && (1u << header.cluster_bits) / kSubclusters < kSector)
    return fail(EINVAL,
                "Unsupported subcluster size: ", (1u << header.cluster_bits) / kSubclusters);
  if (header.refcount_order > 6)
    return fail(EINVAL, "Reference count entry width too large; may not exceed 64 bits");
  return {};
}

Status check_tables(const Header& header, bool for_check) {
  const uint32_t bits = header.cluster_bits;
  if (header.refcount_table_clusters == 0 && !for_check)
    return fail(EINVAL, "Image does not contain a reference count table");
  INSTAR_CHECK(check_table(bits, header.refcount_table_offset, header.refcount_table_clusters,
                           uint64_t{1} << bits, kMaxRefcountTableBytes, "Reference count table"));
  if (!for_check) INSTAR_CHECK(check_snapshot_pointer(header, "Snapshot table"));
  INSTAR_CHECK(
      check_table(bits, header.l1_offset, header.l1_entries, 8, kMaxL1Bytes, "Active L1 table"));
  const uint32_t l2_bits = bits - (header.extended_l2() ? 4 : 3);
  const uint64_t table_covers = uint64_t{1} << (bits + l2_bits);
  const uint64_t needed =
      (header.size + table_covers - 1) >> (bits + l2_bits);  // wraps in QEMU too
  if (needed > INT32_MAX) return fail(EFBIG, "Image is too big");
  if (header.l1_entries < needed) return fail(EINVAL, "L1 table is too small");
  if (header.crypt_method > kCryptLuks)
    return fail(EINVAL, "Unsupported encryption method ",
                static_cast<int32_t>(header.crypt_method));
  if (header.size > INT64_MAX)
    return fail(EFBIG, "Could not refresh total sector count: File too large");
  return {};
}

/** Reads what version 3 has behind version 2's fields. Returns the header's length. */
Result<uint32_t> read_v3_fields(const Call& call, const HostFile& file, const HeaderV3& raw,
                                Header& header) {
  header.incompatible = raw.incompatible_features;
  header.compatible = raw.compatible_features;
  header.autoclear = raw.autoclear_features;
  header.refcount_order = raw.refcount_order;
  const uint32_t length = raw.header_length;
  if (length < kHeaderV3MinimumLength) return fail(EINVAL, "qcow2 header too short");
  if (length > 1u << header.cluster_bits) return fail(EINVAL, "qcow2 header exceeds cluster size");
  if (length > offsetof(HeaderV3, compression_type)) header.compression_type = raw.compression_type;
  if (length > sizeof(HeaderV3)) {
    header.unknown_fields.resize(length - sizeof(HeaderV3));
    INSTAR_CHECK(file.read(call, sizeof(HeaderV3), header.unknown_fields.data(),
                           header.unknown_fields.size()));
  }
  return length;
}

void append(std::vector<uint8_t>& out, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

void append_extension(std::vector<uint8_t>& out, uint32_t type, const void* data, size_t size) {
  const ExtensionHeader header{type, static_cast<uint32_t>(size)};
  append(out, &header, sizeof header);
  append(out, data, size);
  out.resize(sdk::round_up(out.size(), 8));
}

std::vector<FeatureName> known_feature_names() {
  struct Row {
    uint8_t type;
    uint8_t bit;
    std::string_view name;
  };
  static constexpr Row kRows[] = {
      {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
      {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
      {2, 0, "bitmaps"},          {2, 1, "raw external data"}};
  std::vector<FeatureName> names;
  for (const auto& row : kRows) {
    FeatureName& name = names.emplace_back(FeatureName{row.type, row.bit, {}});
    std::memcpy(name.name, row.name.data(), row.name.size());
  }
  return names;
}

HeaderV3 raw_header(const Header& header, uint32_t length) {
  HeaderV3 raw{};
  raw.v2.magic = kMagic;
  raw.v2.version = header.version;
  raw.v2.cluster_bits = header.cluster_bits;
  raw.v2.size = header.size;
  raw.v2.crypt_method = header.crypt_method;
  raw.v2.l1_size = header.l1_entries;
  raw.v2.l1_table_offset = header.l1_offset;
  raw.v2.refcount_table_offset = header.refcount_table_offset;
  raw.v2.refcount_table_clusters = header.refcount_table_clusters;
  raw.v2.nb_snapshots = header.snapshots_count;
  raw.v2.snapshots_offset = header.snapshots_offset;
  raw.incompatible_features = header.incompatible;
  raw.compatible_features = header.compatible;
  raw.autoclear_features = header.autoclear;
  raw.refcount_order = header.refcount_order;
  raw.header_length = length;
  raw.compression_type = header.compression_type;
  return raw;
}

void append_extensions(std::vector<uint8_t>& out, const Header& header, bool feature_names) {
  if (header.backing_format)
    append_extension(out, kExtensionBackingFormat, header.backing_format->data(),
                     header.backing_format->size());
  if (header.has_data_file() && header.data_file)
    append_extension(out, kExtensionDataFile, header.data_file->data(), header.data_file->size());
  if (header.crypto)
    append_extension(out, kExtensionCrypto, &*header.crypto, sizeof *header.crypto);
  // Small clusters are left to what is needed, as QEMU does.
  const size_t cluster = size_t{1} << header.cluster_bits;
  if (feature_names && header.version >= 3 && cluster > out.size() + kMinimumRoomForNames) {
    const auto names = known_feature_names();
    append_extension(out, kExtensionFeatureNames, names.data(), names.size() * sizeof names[0]);
  }
  if (header.bitmaps)
    append_extension(out, kExtensionBitmaps, &*header.bitmaps, sizeof *header.bitmaps);
  for (const auto& extension : header.unknown_extensions)
    append_extension(out, extension.type, extension.data.data(), extension.data.size());
  append_extension(out, kExtensionEnd, nullptr, 0);
}

}  // namespace

Status check_snapshot_pointer(const Header& header, const char* name) {
  return check_table(header.cluster_bits, header.snapshots_offset, header.snapshots_count,
                     sizeof(SnapshotEntry), kMaxSnapshots * sizeof(SnapshotEntry), name);
}

Result<Header> read_header(const Call& call, const HostFile& file, bool for_check) {
  HeaderV3 raw;
  if (const auto got = file.read(call, 0, &raw, sizeof raw); !got)
    return fail(got.error().code, "Could not read qcow2 header: ", got.error().message);
  if (raw.v2.magic != kMagic) return fail(EINVAL, "Image is not in qcow2 format");
  const uint32_t version = raw.v2.version;
  if (version < 2 || version > 3) return fail(ENOTSUP, "Unsupported qcow2 version ", version);
  Header header;
  copy_v2_fields(raw.v2, header);
  if (header.cluster_bits < kMinClusterBits || header.cluster_bits > kMaxClusterBits)
    return fail(EINVAL, "Unsupported cluster size: 2^", header.cluster_bits);
  uint32_t length = sizeof(HeaderV2);
  if (version == 3) {
    INSTAR_TRY(length, read_v3_fields(call, file, raw, header));
  }
  const uint32_t cluster = 1u << header.cluster_bits;
  const uint64_t backing_offset = raw.v2.backing_file_offset;
  if (backing_offset > cluster) return fail(EINVAL, "Invalid backing file offset");
  INSTAR_CHECK(check_compression_type(header));

  INSTAR_TRY(const auto area, read_extension_area(call, file, length,
                                                  backing_offset != 0 ? backing_offset : cluster));
  if ((header.incompatible & ~uint64_t{kIncompatKnown}) != 0) {
    // Only the names of features matter now; what else is wrong with the extensions does not.
    (void)parse_extensions(call, header, area, length);
  }
  INSTAR_CHECK(check_features(header));
  INSTAR_CHECK(check_tables(header, for_check));
  INSTAR_CHECK(parse_extensions(call, header, area, length));

  if (backing_offset != 0) {
    const uint32_t name_length = raw.v2.backing_file_size;
    if (name_length > std::min<uint64_t>(kMaxBackingName, cluster - backing_offset))
      return fail(EINVAL, "Backing file name too long");
    std::vector<char> name(name_length);
    INSTAR_CHECK(file.read(call, backing_offset, name.data(), name.size()));
    const std::string_view text(name.data(), name.size());
    header.backing_file = text.substr(0, text.find('\0'));
  }
  return header;
}

Result<std::vector<uint8_t>> serialize_header(const Header& header, size_t extensions_at) {
  const size_t known = header.version >= 3 ? sizeof(HeaderV3) : sizeof(HeaderV2);
  const auto length = static_cast<uint32_t>(known + header.unknown_fields.size());
  HeaderV3 raw = raw_header(header, length);
  std::vector<uint8_t> out;
  append(out, &raw, known);
  append(out, header.unknown_fields.data(), header.unknown_fields.size());
  if (extensions_at != 0) {
    const size_t gap = out.size() + sizeof(ExtensionHeader);
    if (gap > kSector || gap % 8 != 0) return fail(ENOSPC, sdk::errno_text(ENOSPC));
    const ExtensionHeader skipped{kExtensionFeatureNames,
                                  static_cast<uint32_t>(extensions_at - gap)};
    append(out, &skipped, sizeof skipped);
    out.resize(extensions_at);
  }
  append_extensions(out, header, extensions_at == 0);
  if (!header.backing_file.empty()) {
    raw.v2.backing_file_offset = out.size();
    raw.v2.backing_file_size = static_cast<uint32_t>(header.backing_file.size());
    std::memcpy(out.data(), &raw, known);
    append(out, header.backing_file.data(), header.backing_file.size());
  }
  if (out.size() > size_t{1} << header.cluster_bits) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  return out;
}

}  // namespace instar::qcow2
