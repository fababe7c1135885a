// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/image.hpp"

#include "plugins/formats/vhdx/parent.hpp"
#include "plugins/formats/vhdx/replay.hpp"
#include "sdk/cpp/parent_name.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

Image::Image(std::unique_ptr<ImageFile> file, const Metadata& metadata,
             const sdk::OpenContext& context)
    : BlockMap({metadata.block_size, metadata.disk_size()}, context.flags(), std::move(file),
               metadata),
      host_(context.host()),
      filename_(context.filename()) {}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  auto image = open_file(context);
  // What has no message of its own is said to be the file's.
  if (!image && image.error().message == sdk::errno_text(image.error().code))
    image.error().message.insert(0, sdk::cat("Could not open '", context.filename(), "': "));
  return image;
}

Result<std::unique_ptr<Image>> Image::open_file(const sdk::OpenContext& context) {
  const Call& call = context.call();
  INSTAR_TRY(const NodeRef node, context.file());
  INSTAR_TRY(HostFile opened, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  char signature[8];
  INSTAR_CHECK(opened.read(call, 0, signature, sizeof signature));
  if (std::memcmp(signature, kFileSignature, sizeof signature) != 0)
    return fail(EINVAL, sdk::errno_text(EINVAL));
  INSTAR_TRY(const Headers headers, Headers::read(call, opened));
  auto file = std::make_unique<ImageFile>(std::move(opened), headers);
  INSTAR_CHECK(replay(call, *file, context.writable()));
  const Header& header = file->headers.current();
  const Area log{header.log_offset, header.log_offset + header.log_length};
  const Say say = [&](const std::string& text) { (void)context.host().print_error(text); };
  INSTAR_TRY(const Metadata metadata, read_metadata(call, file->cache, log, say));
  const bool has_parent = metadata.has_parent;
  std::unique_ptr<Image> image(new Image(std::move(file), metadata, context));
  if (!context.has_flag(INSTAR_OPEN_CHECK))
    INSTAR_CHECK(image->table().examine(call, say, nullptr));
  if (has_parent) INSTAR_CHECK(image->find_parent(context));
  return image;
}

Status Image::find_parent(const sdk::OpenContext& context) {
  INSTAR_TRY(const ParentLocator locator, parse_parent_locator(table().metadata().parent_item));
  INSTAR_TRY(const NodeRef parent,
             sdk::open_parent(context, parent_names(locator), "vhdx", parent_name_));
  if (!parent) return {};
  INSTAR_TRY(parent_identity_, check_parent(parent, parent_name_, locator));
  INSTAR_TRY(HostFile backing, HostFile::open(parent, false));
  set_backing(std::move(backing));
  return {};
}

/** What the genuine tool does not do with images of the format. */
bool Image::offers(std::string_view id) const {
  if (id == INSTAR_RESIZE_ID) return !host_.strict();
  if (id == INSTAR_CHANGE_BACKING_ID || id == INSTAR_MAKE_EMPTY_ID)
    return !host_.strict() && table().in_parts();
  return BlockMap::offers(id);
}

void Image::limits(instar_node_limits& limits) const {
  BlockMap::limits(limits);
  if (table().in_parts()) limits.request_alignment = table().metadata().sector_size;
}

void Image::info(sdk::JsonWriter& json) const {
  json.begin_object();
  json.field("cluster-size", table().metadata().block_size).field("dirty-flag", false);
  if (!parent_name_.empty())
    json.field("backing-filename", parent_name_).field("backing-filename-format", "vhdx");
  json.end_object();
}

Result<std::string> Image::identity() const {
  return sdk::uuid_text(table().image().headers.current().data_write_guid, true);
}

Result<std::string> Image::next_identity() const {
  return sdk::uuid_text(table().image().headers.next_data_guid(), true);
}

/** An image that is opened for writing has replayed its log by now; else it is to be. */
Status Image::check(const Call& call, uint32_t, instar_check_result& result,
                    const instar_sink* messages, const instar_progress*) {
  const std::lock_guard lock(mutex());
  if (table().image().replayed != 0) {
    if (writable()) {
      ++result.corruptions_fixed;
    } else {
      ++result.corruptions;
      INSTAR_CHECK(
          sdk::send(messages, std::string("The log holds changes that are not in the file yet\n")));
    }
  }
  const Say say = [&](const std::string& text) { (void)host_.print_error(text); };
  return table().examine(call, say, &result.corruptions);
}

}  // namespace instar::vhdx

INSTAR_PLUGIN("vhdx", "1.0.0", instar::sdk::format<instar::vhdx::Image>("vhdx"))
