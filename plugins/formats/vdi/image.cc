// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vdi/image.hpp"

#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vdi {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

template <class... Parts>
sdk::Error unsupported(const Parts&... parts) {
  return fail(ENOTSUP, "unsupported VDI image (", parts..., ")");
}

Status check_header(const Header& header) {
  INSTAR_CHECK(check_size(header.disk_size));
  if (header.signature != kSignature)
    return fail(EINVAL, "Image not in VDI format (bad signature ",
                sdk::hex_digits(header.signature, 8), ")");
  if (header.version != kVersion)
    return unsupported("version ", header.version >> 16, ".", header.version & 0xffff);
  if (header.offset_bmap % kSectorSize != 0)
    return unsupported("unaligned block map offset ", sdk::hex(header.offset_bmap));
  if (header.offset_data % kSectorSize != 0)
    return unsupported("unaligned data offset ", sdk::hex(header.offset_data));
  if (header.sector_size != kSectorSize)
    return unsupported("sector size ", uint32_t{header.sector_size}, " is not ", kSectorSize);
  if (header.block_size != kBlockSize)
    return unsupported("block size ", uint32_t{header.block_size}, " is not ", kBlockSize);
  const uint64_t room = uint64_t{header.blocks_in_image} * kBlockSize;
  const uint64_t size = sdk::round_up(header.disk_size, kSectorSize);
  if (size > room) return unsupported("disk size ", size, ", image bitmap has room for ", room);
  if (header.uuid_link != Uuid{}) return unsupported("non-NULL link UUID");
  if (header.uuid_parent != Uuid{}) return unsupported("non-NULL parent UUID");
  if (header.blocks_in_image > kMostBlocks)
    return unsupported("too many blocks ", uint32_t{header.blocks_in_image}, ", max is ",
                       kMostBlocks);
  return {};
}

/** Where the blocks of a new image begin. */
uint64_t data_offset(uint64_t blocks) {
  return sizeof(Header) + sdk::round_up(blocks * sizeof(uint32_t), kSectorSize);
}

}  // namespace

Status check_size(uint64_t size) {
  if (size <= kMostBytes) return {};
  return fail(ENOTSUP, "Unsupported VDI image size (size is ", sdk::hex(size),
              ", max supported is ", sdk::hex(kMostBytes), ")");
}

Image::Image(sdk::HostFile file, const Header& header, uint32_t flags, bool strict)
    : BlockMap({kBlockSize, sdk::round_up(header.disk_size, kSectorSize)}, flags, std::move(file),
               header),
      strict_(strict) {}

bool Image::offers(std::string_view id) const {
  return id == INSTAR_RESIZE_ID ? !strict_ : BlockMap::offers(id);
}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  INSTAR_TRY(const sdk::NodeRef node, context.file());
  INSTAR_TRY(sdk::HostFile file,
             sdk::HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  Header header;
  INSTAR_CHECK(file.read(context.call(), 0, &header, sizeof header));
  INSTAR_CHECK(check_header(header));
  return std::unique_ptr<Image>(
      new Image(std::move(file), header, context.flags(), context.host().strict()));
}

Status Image::create(sdk::CreateContext& context) {
  const sdk::Options options = context.options();
  const uint64_t size = options.number("size");
  INSTAR_CHECK(check_size(size));
  INSTAR_TRY(const instar_preallocation mode, sdk::file_preallocation(options));
  const bool is_static = options.flag("static") || mode != INSTAR_PREALLOCATION_OFF;
  const uint64_t blocks = sdk::div_up(size, kBlockSize);

  Header header{};
  constexpr std::string_view kText = "<<< QEMU VM Virtual Disk Image >>>\n";
  std::copy(kText.begin(), kText.end(), header.text);
  header.signature = kSignature;
  header.version = kVersion;
  header.header_size = 0x180;
  header.image_type = is_static ? kTypeStatic : kTypeDynamic;
  header.offset_bmap = sizeof header;
  header.offset_data = static_cast<uint32_t>(data_offset(blocks));
  header.sector_size = kSectorSize;
  header.disk_size = sdk::round_up(size, kSectorSize);
  header.block_size = kBlockSize;
  header.blocks_in_image = static_cast<uint32_t>(blocks);
  header.blocks_allocated = static_cast<uint32_t>(is_static ? blocks : 0);
  header.uuid_image = sdk::random_uuid();
  header.uuid_last_snap = sdk::random_uuid();

  INSTAR_TRY(const sdk::NodeRef node, context.create_file());
  INSTAR_TRY(sdk::HostFile file, sdk::HostFile::open(node, true));
  const uint64_t end = header.offset_data + (is_static ? blocks * kBlockSize : 0);
  INSTAR_CHECK(file.resize(context.call(), end, mode));
  INSTAR_CHECK(file.write(context.call(), 0, &header, sizeof header));
  return write_entries(context.call(), file, sizeof header, blocks,
                       is_static ? std::optional<uint32_t>(0) : std::nullopt);
}

Result<instar_measure_result> Image::measure(sdk::Host host, const sdk::Options& options,
                                             sdk::NodeRef source) {
  INSTAR_CHECK(sdk::check_measures(host, "vdi"));
  INSTAR_TRY(const uint64_t size, sdk::size_to_measure(options, source));
  INSTAR_CHECK(check_size(size));
  INSTAR_TRY(const instar_preallocation mode, sdk::file_preallocation(options));
  const uint64_t blocks = sdk::div_up(size, kBlockSize);
  INSTAR_TRY(uint64_t used, sdk::count_data_blocks(source, size, kBlockSize));
  if (options.flag("static") || mode != INSTAR_PREALLOCATION_OFF) used = blocks;
  const uint64_t begin = data_offset(blocks);
  return sdk::measured(begin + used * kBlockSize, begin + blocks * kBlockSize);
}

void Image::info(sdk::JsonWriter& json) const {
  json.begin_object().field("cluster-size", kBlockSize).field("dirty-flag", false).end_object();
}

Status Image::check(const Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress*) {
  if (fix != 0) return fail(ENOTSUP, "This image format does not support checks");
  const auto say = [&](const std::string& text) -> Status {
    ++result.corruptions;
    return sdk::send(messages, text);
  };
  const std::lock_guard lock(mutex());
  const Header& header = table().header();
  std::vector<bool> used(header.blocks_in_image);
  uint32_t found = 0;
  for (uint32_t block = 0; block < header.blocks_in_image; ++block) {
    INSTAR_TRY(const uint32_t number, table().entry(call, block));
    if (!allocated(number)) continue;
    if (number >= header.blocks_in_image) {
      INSTAR_CHECK(say(sdk::cat("ERROR: block index ", block, " too large, is ", number, "\n")));
      continue;
    }
    ++found;
    if (used[number])
      INSTAR_CHECK(say(sdk::cat("ERROR: block index ", number, " also used by ", number, "\n")));
    used[number] = true;
  }
  if (found != header.blocks_allocated)
    INSTAR_CHECK(say(sdk::cat("ERROR: allocated blocks mismatch, is ", found, ", should be ",
                              uint32_t{header.blocks_allocated}, "\n")));
  return {};
}

}  // namespace instar::vdi

INSTAR_PLUGIN("vdi", "1.0.0", instar::sdk::format<instar::vdi::Image>("vdi"))
