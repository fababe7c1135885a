// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/parallels/image.hpp"

#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::parallels {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kDefaultCluster = 1u << 20;
constexpr uint64_t kDefaultAhead = 128u << 20;
constexpr uint64_t kEntriesAtOnce = 64u << 10;
constexpr uint64_t kMostBytes = sdk::round_down(INT64_MAX, 1u << 30);  // of a disk, as QEMU has it

Status check_header(const Header& header) {
  const bool known = header.is(kMagicSectors) || header.is(kMagicClusters);
  if (!known || header.version != kVersion) return fail(EINVAL, "Image not in Parallels format");
  if (header.tracks == 0) return fail(EINVAL, "Invalid image: Zero sectors per track");
  if (header.tracks > kMostTracks) return fail(EFBIG, "Invalid image: Too big cluster");
  if (header.bat_entries > kMostEntries) return fail(EFBIG, "Catalog too large");
  if (header.ext_off > INT64_MAX / kSector) return fail(EINVAL, "Invalid image: Too big offset");
  if (header.disk_sectors() > kMostBytes / kSector)
    return fail(EFBIG, "Could not refresh total sector count: ", sdk::errno_text(EFBIG));
  return {};
}

/** Nothing ahead unless it is asked for. */
Result<GrowAhead> grow_ahead(const sdk::Options& options) {
  if (!options.has("prealloc-size") && !options.has("prealloc-mode")) return GrowAhead{};
  const std::string mode = options.text("prealloc-mode", "falloc");
  if (mode != "falloc" && mode != "truncate")
    return fail(EINVAL, "invalid parameter value: ", mode);
  const uint64_t bytes = options.number("prealloc-size", kDefaultAhead);
  if (bytes > INT64_MAX)
    return fail(EINVAL, "Value '", options.text("prealloc-size"),
                "' is out of range for parameter 'prealloc-size'");
  return GrowAhead{sdk::round_down(bytes, kSector),
                   mode == "falloc" ? INSTAR_PREALLOCATION_FALLOC : INSTAR_PREALLOCATION_OFF};
}

/** All clusters, in order, from the place `first` on. */
Status write_entries(const Call& call, HostFile& file, uint64_t entries, uint64_t first) {
  std::vector<Le<uint32_t>> piece;
  for (uint64_t done = 0; done < entries; done += piece.size()) {
    piece.clear();
    for (uint64_t i = done; i < std::min(entries, done + kEntriesAtOnce); ++i)
      piece.emplace_back(static_cast<uint32_t>(first + i));
    INSTAR_CHECK(file.write(call, sizeof(Header) + done * sizeof(uint32_t), piece.data(),
                            piece.size() * sizeof(uint32_t)));
  }
  return {};
}

Result<Header> new_header(uint64_t size, uint64_t cluster_size) {
  const uint64_t tracks = sdk::div_up(cluster_size, kSector);
  if (tracks > kMostTracks) return fail(EINVAL, "Cluster size is too large");
  INSTAR_CHECK(check_size(size, tracks));
  Header header{};
  kMagicClusters.copy(header.magic, sizeof header.magic);
  header.version = kVersion;
  header.heads = kHeads;
  header.tracks = static_cast<uint32_t>(tracks);
  header.set_size(sdk::div_up(size, kSector));
  header.data_off = static_cast<uint32_t>(header.least_data_off());
  return header;
}

}  // namespace

Status check_size(uint64_t size, uint64_t tracks) {
  if (tracks == 0 || sdk::div_up(size, tracks * kSector) > kMostEntries)
    return fail(EINVAL, "Image size is too large for this cluster size");
  return {};
}

Image::Image(HostFile file, const Header& header, GrowAhead ahead, uint32_t flags, bool strict)
    : BlockMap({header.cluster_bytes(), header.disk_sectors() * kSector}, flags, std::move(file),
               header, ahead),
      strict_(strict) {}

bool Image::offers(std::string_view id) const {
  if (id == INSTAR_RESIZE_ID) return !strict_;
  if (id == INSTAR_BITMAP_ID) return !writable() && !extension_.bitmaps.empty();
  return BlockMap::offers(id);
}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  INSTAR_TRY(const sdk::NodeRef node, context.file());
  INSTAR_TRY(HostFile file, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  Header header;
  INSTAR_CHECK(file.read(context.call(), 0, &header, sizeof header));
  INSTAR_CHECK(check_header(header));
  INSTAR_TRY(const GrowAhead ahead, grow_ahead(context.options()));
  std::unique_ptr<Image> image(
      new Image(std::move(file), header, ahead, context.flags(), context.host().strict()));
  INSTAR_CHECK(image->look_at_extension(context));
  if (image->writable() && !context.has_flag(INSTAR_OPEN_CHECK))
    INSTAR_CHECK(image->tidy_up(context.call()));
  return image;
}

/** Who writes to the disk gives it up, whatever is in it; who repairs the image keeps it. */
Status Image::look_at_extension(const sdk::OpenContext& context) {
  const Header& header = table().header();
  if (header.ext_off == 0) return {};
  if (writable()) context.call().warn("Format Extension ignored in RW mode");
  if (writable() && !context.has_flag(INSTAR_OPEN_CHECK)) return {};
  auto extension = read_extension(context.host(), context.call(), table().file(), header);
  if (!extension && !writable()) return extension.error();
  if (!extension) return {};
  extension_ = *std::move(extension);
  table().keep_extension();
  return {};
}

/** What is wrong is put right before anything is written. */
Status Image::tidy_up(const Call& call) {
  instar_check_result result{};
  INSTAR_CHECK(check(call, 0, result, nullptr, nullptr));
  if (result.corruptions != 0) {
    const Call* target = &call;
    const instar_sink warnings{&target, [](void* opaque, const char* text, size_t length) {
                                 (*static_cast<const Call**>(opaque))->warn({text, length - 1});
                                 return 0;
                               }};
    result = {};
    INSTAR_CHECK(check(call, INSTAR_FIX_ERRORS | INSTAR_FIX_LEAKS, result, &warnings, nullptr));
  }
  table().place_from(static_cast<uint64_t>(result.image_end_offset) / kSector);
  return {};
}

Status Image::create(sdk::CreateContext& context) {
  const sdk::Options options = context.options();
  INSTAR_TRY(const Header header,
             new_header(options.number("size"), options.number("cluster_size", kDefaultCluster)));
  INSTAR_TRY(const instar_preallocation mode, sdk::file_preallocation(options));
  INSTAR_TRY(const sdk::NodeRef node, context.create_file());
  INSTAR_TRY(HostFile file, HostFile::open(node, true));
  const bool whole = mode != INSTAR_PREALLOCATION_OFF;
  const uint64_t begin = header.data_off * kSector;
  uint64_t end = begin;
  if (whole && __builtin_add_overflow(begin, header.bat_entries * header.cluster_bytes(), &end))
    return fail(EFBIG, sdk::errno_text(EFBIG));
  INSTAR_CHECK(file.resize(context.call(), end, mode));
  if (whole)
    INSTAR_CHECK(
        write_entries(context.call(), file, header.bat_entries, header.data_off / header.tracks));
  return sdk::explained("Failed to create Parallels image",
                        file.write(context.call(), 0, &header, sizeof header));
}

Result<instar_measure_result> Image::measure(sdk::Host host, const sdk::Options& options,
                                             sdk::NodeRef source) {
  INSTAR_CHECK(sdk::check_measures(host, "parallels"));
  INSTAR_TRY(const uint64_t size, sdk::size_to_measure(options, source));
  INSTAR_TRY(const Header header,
             new_header(size, options.number("cluster_size", kDefaultCluster)));
  INSTAR_TRY(const instar_preallocation mode, sdk::file_preallocation(options));
  const uint64_t cluster = header.cluster_bytes();
  INSTAR_TRY(uint64_t used, sdk::count_data_blocks(source, size, cluster));
  if (mode != INSTAR_PREALLOCATION_OFF) used = header.bat_entries;
  const uint64_t begin = header.data_off * kSector;
  return sdk::measured(begin + used * cluster, begin + header.bat_entries * cluster);
}

}  // namespace instar::parallels

INSTAR_PLUGIN("parallels", "1.0.0", instar::sdk::format<instar::parallels::Image>("parallels"))
