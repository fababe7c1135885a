// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "plugins/formats/qcow2/create.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::qcow2 {
namespace {

Result<uint32_t> read_version(const std::string& compat) {
  if (compat == "0.10" || compat == "v2") return 2u;
  if (compat == "1.1" || compat == "v3") return 3u;
  return fail(EINVAL, "Invalid compatibility level: '", compat, "'");
}

Error bad_value(const char* name, const std::string& value) {
  return fail(EINVAL, "Parameter '", name, "' does not accept value '", value, "'");
}

Result<uint8_t> read_compression_type(const std::string& type) {
  if (type == "zlib") return uint8_t{kCompressionZlib};
  if (type == "zstd") return uint8_t{kCompressionZstd};
  return bad_value("compression-type", type);
}

/** The tail of messages on what version 2 lacks. */
Error needs_v3(const char* what) {
  return fail(EINVAL, what, " compatibility level 1.1 and above (use version=v3 or greater)");
}

Status read_cluster_size(const sdk::Options& options, Header& header) {
  const uint64_t cluster = options.number("cluster_size", 65536);
  if (!std::has_single_bit(cluster) || cluster < 1u << kMinClusterBits ||
      cluster > 1u << kMaxClusterBits)
    return fail(EINVAL, "Cluster size must be a power of two between ", 1u << kMinClusterBits,
                " and ", (1u << kMaxClusterBits) / 1024, "k");
  header.cluster_bits = static_cast<uint32_t>(std::countr_zero(cluster));
  return {};
}

Status read_extended_l2(const sdk::Options& options, Header& header) {
  if (!options.flag("extended_l2")) return {};
  if (header.cluster_bits < 14)
    return fail(EINVAL,
                "Extended L2 entries are only supported with cluster sizes of at least 16384 "
                "bytes");
  header.incompatible |= kIncompatExtendedL2;
  return {};
}

Status read_refcount_bits(const sdk::Options& options, const char* v3, Header& header) {
  const uint64_t bits = options.number("refcount_bits", 16);
  if (bits > 64 || !std::has_single_bit(bits))
    return fail(EINVAL, "Refcount width must be a power of two and may not exceed 64 bits");
  if (header.version < 3 && bits != 16)
    return fail(EINVAL,
                "Different refcount widths than 16 bits require compatibility level 1.1 or above "
                "(use ",
                v3, " or greater)");
  header.refcount_order = static_cast<uint32_t>(std::countr_zero(bits));
  return {};
}

Status read_data_file(const sdk::Options& options, CreateOptions& created) {
  Header& header = created.header;
  const bool raw = options.flag("data_file_raw");
  if (!options.has("data_file")) {
    if (raw) return fail(EINVAL, "data-file-raw requires data-file");
    return {};
  }
  if (raw && !header.backing_file.empty())
    return fail(EINVAL, "Backing file and data-file-raw cannot be used at the same time");
  if (header.version < 3) return needs_v3("External data files are only supported with");
  header.incompatible |= kIncompatDataFile;
  header.data_file = options.text("data_file");
  if (!raw) return {};
  header.autoclear |= kAutoclearDataFileRaw;
  // All of the raw file is the guest's from the start.
  if (created.preallocation == INSTAR_PREALLOCATION_OFF)
    created.preallocation = INSTAR_PREALLOCATION_METADATA;
  return {};
}

Status read_backing(const sdk::Options& options, CreateOptions& created) {
  Header& header = created.header;
  header.backing_file = options.text("backing_file");
  if (options.has("backing_fmt")) header.backing_format = options.text("backing_fmt");
  if (header.backing_file.empty()) {
    if (header.backing_format)
      return fail(EINVAL, "Backing format cannot be used without backing file");
    return {};
  }
  if (created.preallocation != INSTAR_PREALLOCATION_OFF && !header.extended_l2())
    return fail(EINVAL,
                "Backing file and preallocation can only be used at the same time if extended_l2 "
                "is on");
  if (header.backing_file.size() > kMaxBackingName)
    return fail(EINVAL, "Could not assign backing file '", header.backing_file, "' with format '",
                header.backing_format.value_or(""), "': Invalid argument");
  return {};
}

/** In whole sectors. EFBIG is left to sizes that larger clusters would make possible. */
Result<uint64_t> read_size(uint64_t size) {
  constexpr uint64_t kMax = uint64_t{INT64_MAX} & ~((uint64_t{1} << 30) - 1);
  if (size > INT64_MAX - (kSector - 1))
    return fail(EINVAL, "Could not resize image: Image size cannot be negative");
  const uint64_t rounded = sdk::round_up(size, kSector);
  if (rounded > kMax)
    return fail(EIO, "Could not resize image: offset(", rounded, ") exceeds maximum(", kMax, ")");
  return rounded;
}

}  // namespace

Result<CreateOptions> read_create_options(const sdk::Options& options) {
  CreateOptions created;
  Header& header = created.header;
  INSTAR_TRY(created.encryption, read_encryption(options));
  header.crypt_method = created.encryption.method;
  const std::string mode = options.text("preallocation", "off");
  const auto preallocation = sdk::parse_preallocation(mode);
  if (!preallocation) return bad_value("preallocation", mode);
  created.preallocation = *preallocation;
  const std::string compat = options.text("compat", "1.1");
  const auto version = read_version(compat);
  if (!version) return bad_value("version", compat);
  header.version = *version;
  INSTAR_TRY(header.compression_type,
             read_compression_type(options.text("compression_type", "zlib")));
  INSTAR_TRY(header.size, read_size(options.number("size")));
  INSTAR_CHECK(read_cluster_size(options, header));
  if (options.flag("extended_l2") && header.version < 3)
    return needs_v3("Extended L2 entries are only supported with");
  INSTAR_CHECK(read_extended_l2(options, header));
  INSTAR_CHECK(read_backing(options, created));
  if (options.flag("lazy_refcounts")) {
    if (header.version < 3) return needs_v3("Lazy refcounts only supported with");
    header.compatible |= kCompatLazyRefcounts;
  }
  INSTAR_CHECK(read_refcount_bits(options, "version=v3", header));
  INSTAR_CHECK(read_data_file(options, created));
  if (header.compression_type != kCompressionZlib) {
    if (header.version < 3) return needs_v3("Non-zlib compression type is only supported with");
    header.incompatible |= kIncompatCompression;
  }
  return created;
}

Result<CreateOptions> read_measure_options(const sdk::Options& options) {
  CreateOptions created;
  Header& header = created.header;
  INSTAR_TRY(header.size, read_size(options.number("size")));
  INSTAR_CHECK(read_cluster_size(options, header));
  INSTAR_CHECK(read_extended_l2(options, header));
  INSTAR_TRY(header.version, read_version(options.text("compat", "1.1")));
  INSTAR_CHECK(read_refcount_bits(options, "compat=1.1", header));
  INSTAR_TRY(created.preallocation, sdk::parse_preallocation(options.text("preallocation", "off")));
  header.backing_file = options.text("backing_file");
  if (options.text("encrypt.format") == "luks") created.encryption = {kCryptLuks, "luks"};
  return created;
}

}  // namespace instar::qcow2
