// SPDX-License-Identifier: Apache-2.0
#include <ctime>
#include <optional>

#include "plugins/formats/vpc/geometry.hpp"
#include "plugins/formats/vpc/image.hpp"
#include "plugins/formats/vpc/parent.hpp"
#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/parent_name.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vpc {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kTableOffset = sizeof(Footer) + sizeof(DynamicHeader);
constexpr uint32_t kEntriesAtOnce = 64u << 10;

struct Wanted {
  DiskType type = DiskType::kDynamic;
  uint64_t sectors = 0;
  Geometry geometry;
  bool exact = false;  ///< the size counts, not the geometry
  instar_preallocation preallocation = INSTAR_PREALLOCATION_OFF;
  std::string parent;  ///< "": none
};

Status parse_parent(Wanted& wanted, const sdk::Options& options) {
  wanted.parent = options.text("backing_file");
  if (wanted.parent.empty()) return {};
  INSTAR_CHECK(sdk::check_parent_format(options, "vpc"));
  if (wanted.type == DiskType::kFixed)
    return fail(ENOTSUP, "A fixed image can't have a backing file");
  if (wanted.preallocation != INSTAR_PREALLOCATION_OFF)
    return fail(ENOTSUP, "Preallocation is not possible for an image with a backing file");
  wanted.type = DiskType::kDifferencing;
  // It has the size of its parent, whoever made that.
  if (geometry_above(wanted.sectors).sectors() != wanted.sectors) wanted.exact = true;
  return {};
}

Result<Wanted> parse(const sdk::Options& options, uint64_t size) {
  Wanted wanted;
  const std::string type = options.text("subformat", "dynamic");
  if (type != "dynamic" && type != "fixed")
    return fail(EINVAL, "Parameter 'subformat' does not accept value '", type, "'");
  if (type == "fixed") wanted.type = DiskType::kFixed;
  wanted.exact = options.flag("force_size");
  wanted.sectors = sdk::div_up(size, kSectorSize);
  if (wanted.sectors > kMostSectors)
    return fail(EFBIG, "Disk size is too large, max size is 2040 GiB");
  INSTAR_TRY(wanted.preallocation, sdk::file_preallocation(options));
  INSTAR_CHECK(parse_parent(wanted, options));
  // A size that is not meant to be the geometry's has one that can't be taken for it.
  wanted.geometry = wanted.exact ? Geometry{65535, 16, 255} : geometry_above(wanted.sectors);
  if (wanted.geometry.sectors() != kMostGeometry) wanted.sectors = wanted.geometry.sectors();
  return wanted;
}

Footer make_footer(const Wanted& wanted) {
  Footer footer{};
  std::memcpy(footer.cookie, kFooterCookie, sizeof footer.cookie);
  footer.features = kFeaturesReserved;
  footer.version = kVersion;
  footer.data_offset = wanted.type == DiskType::kFixed ? kNoOffset : sizeof(Footer);
  footer.time_stamp = static_cast<uint32_t>(std::time(nullptr) - kEpoch);
  // By the creator QEMU knows whether the geometry or the size counts.
  std::memcpy(footer.creator_application, wanted.exact ? "qem2" : "qemu", 4);
  footer.creator_version = 0x00050003;
  std::memcpy(footer.creator_host_os, "Wi2k", 4);
  footer.original_size = footer.current_size = wanted.sectors * kSectorSize;
  footer.cylinders = wanted.geometry.cylinders;
  footer.heads = wanted.geometry.heads;
  footer.sectors_per_track = wanted.geometry.sectors_per_track;
  footer.disk_type = static_cast<uint32_t>(wanted.type);
  footer.unique_id = sdk::random_uuid();
  footer.checksum = checksum_of(footer);
  return footer;
}

DynamicHeader make_dynamic_header(uint32_t blocks) {
  DynamicHeader header{};
  std::memcpy(header.cookie, kDynamicCookie, sizeof header.cookie);
  header.data_offset = kNoOffset;
  header.table_offset = kTableOffset;
  header.header_version = kVersion;
  header.max_table_entries = blocks;
  header.block_size = kDefaultBlockSize;
  return header;
}

Status create_fixed(const Call& call, HostFile& file, const Wanted& wanted) {
  const Footer footer = make_footer(wanted);
  const uint64_t size = footer.current_size;
  INSTAR_CHECK(file.resize(call, size + sizeof footer, wanted.preallocation));
  return sdk::explained("Unable to write VHD header",
                        file.write(call, size, &footer, sizeof footer));
}

/** None allocated, or one behind another from `first_block` on, each behind its bitmap. */
Status write_table(const Call& call, HostFile& file, const Header& header, bool allocated) {
  const uint32_t blocks = header.dynamic.max_table_entries;
  const uint64_t block_bytes = header.bitmap_size() + header.block_size();
  const std::vector<uint8_t> bitmap(header.bitmap_size(), 0xff);
  std::vector<Be<uint32_t>> entries;
  for (uint64_t first = 0; first < blocks; first += kEntriesAtOnce) {
    const uint64_t count = std::min<uint64_t>(kEntriesAtOnce, blocks - first);
    // Unused entries of the last sector stand for nothing as well.
    entries.assign(sdk::round_up(count, kSectorSize / 4), kUnallocated);
    for (uint64_t i = 0; allocated && i < count; ++i) {
      const uint64_t place = header.table_end() + (first + i) * block_bytes;
      entries[i] = static_cast<uint32_t>(place / kSectorSize);
      INSTAR_CHECK(file.write(call, place, bitmap.data(), bitmap.size()));
    }
    INSTAR_CHECK(file.write(call, header.dynamic.table_offset + first * 4, entries.data(),
                            entries.size() * 4));
  }
  return {};
}

Header make_header(const Wanted& wanted) {
  Header header;
  header.footer = make_footer(wanted);
  header.size = wanted.sectors * kSectorSize;
  if (wanted.type == DiskType::kFixed) return header;
  const uint64_t blocks = sdk::div_up(header.size, kDefaultBlockSize);
  header.dynamic = make_dynamic_header(static_cast<uint32_t>(blocks));
  if (header.differencing()) header.dynamic.table_offset = kTableOffset + kNameSpace;
  header.dynamic.checksum = checksum_of(header.dynamic);
  return header;
}

/** @param parent nullptr: none */
Status create_dynamic(const Call& call, HostFile& file, const Wanted& wanted,
                      const ParentFields* parent) {
  Header header = make_header(wanted);
  if (parent != nullptr) {
    INSTAR_CHECK(record_parent(header.dynamic, *parent, kTableOffset, kNameSpace));
    INSTAR_CHECK(file.write(call, kTableOffset, parent->path.data(), parent->path.size()));
  }
  const uint64_t blocks = header.dynamic.max_table_entries;
  const bool allocated = wanted.preallocation != INSTAR_PREALLOCATION_OFF;
  const uint64_t block_bytes = header.bitmap_size() + header.block_size();
  const uint64_t end = header.table_end() + (allocated ? blocks * block_bytes : 0);
  INSTAR_CHECK(file.resize(call, end + sizeof(Footer), wanted.preallocation));
  INSTAR_CHECK(write_table(call, file, header, allocated));
  INSTAR_CHECK(file.write(call, end, &header.footer, sizeof header.footer));
  INSTAR_CHECK(file.write(call, sizeof(Footer), &header.dynamic, sizeof header.dynamic));
  return file.write(call, 0, &header.footer, sizeof header.footer);
}

}  // namespace

Status Image::create(sdk::CreateContext& context) {
  INSTAR_TRY(const Wanted wanted, parse(context.options(), context.options().number("size")));
  std::optional<ParentFields> parent;
  if (!wanted.parent.empty()) {
    INSTAR_TRY(parent,
               parent_fields(context.host(), context.call(), context.filename(), wanted.parent));
  }
  INSTAR_TRY(const sdk::NodeRef node, context.create_file());
  INSTAR_TRY(HostFile file, HostFile::open(node, true));
  if (wanted.type == DiskType::kFixed) return create_fixed(context.call(), file, wanted);
  return create_dynamic(context.call(), file, wanted, parent ? &*parent : nullptr);
}

Result<instar_measure_result> Image::measure(sdk::Host host, const sdk::Options& options,
                                             sdk::NodeRef source) {
  INSTAR_CHECK(sdk::check_measures(host, "vpc"));
  INSTAR_TRY(const uint64_t size, sdk::size_to_measure(options, source));
  auto wanted = parse(options, size);
  if (!wanted) return fail(EINVAL, wanted.error().message);
  const Header header = make_header(*wanted);
  if (header.fixed())
    return sdk::measured(header.size + sizeof(Footer), header.size + sizeof(Footer));
  const uint64_t block_bytes = header.bitmap_size() + header.block_size();
  const uint64_t blocks = header.dynamic.max_table_entries;
  INSTAR_TRY(uint64_t used, sdk::count_data_blocks(source, size, kDefaultBlockSize));
  // What a backing file shares is not known.
  const bool all = source && !wanted->parent.empty();
  if (all || wanted->preallocation != INSTAR_PREALLOCATION_OFF) used = blocks;
  const uint64_t around = header.table_end() + sizeof(Footer);
  return sdk::measured(around + used * block_bytes, around + blocks * block_bytes);
}

}  // namespace instar::vpc
