// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vpc/image.hpp"

#include "plugins/formats/vpc/parent.hpp"
#include "sdk/cpp/parent_name.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::vpc {

using sdk::HostFile;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

Image::Image(HostFile file, const Header& header, const sdk::OpenContext& context)
    : BlockMap({header.block_size(), header.size}, context.flags(), std::move(file), header),
      host_(context.host()),
      filename_(context.filename()) {}

/** What the genuine tool does not do with images of the format. */
bool Image::offers(std::string_view id) const {
  if (id == INSTAR_RESIZE_ID || id == INSTAR_CHECK_ID) return !host_.strict();
  if (id == INSTAR_CHANGE_BACKING_ID || id == INSTAR_MAKE_EMPTY_ID)
    return !host_.strict() && table().in_parts();
  return BlockMap::offers(id);
}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  INSTAR_TRY(const NodeRef node, context.file());
  INSTAR_TRY(HostFile file, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  INSTAR_TRY(const Header header,
             read_header(context.call(), file, context.filename(), context.options()));
  std::unique_ptr<Image> image(new Image(std::move(file), header, context));
  INSTAR_CHECK(image->table().find_end(context.call()));
  if (header.differencing()) INSTAR_CHECK(image->find_parent(context));
  return image;
}

Status Image::find_parent(const sdk::OpenContext& context) {
  INSTAR_TRY(const auto names,
             parent_names(context.call(), table().file(), table().header().dynamic));
  INSTAR_TRY(const NodeRef parent, sdk::open_parent(context, names, "vpc", parent_name_));
  if (!parent) return {};
  INSTAR_CHECK(check_parent(parent, parent_name_, table().header().dynamic));
  const uint32_t recorded = table().header().dynamic.parent_time_stamp;
  const uint32_t found = parent_time(filename_, parent_name_);
  if (recorded != 0 && found != 0 && found != recorded && !host_.strict())
    context.call().warn(sdk::cat("'", parent_name_, "' was changed after '", filename_,
                                 "' was made over it, or is a copy"));
  INSTAR_TRY(HostFile backing, HostFile::open(parent, false));
  set_backing(std::move(backing));
  return {};
}

void Image::limits(instar_node_limits& limits) const {
  BlockMap::limits(limits);
  if (table().in_parts()) limits.request_alignment = kSectorSize;
  if (!table().header().fixed()) return;
  limits.cluster_size = 0;
  if (!table().file().grows_with_zeroes()) limits.flags &= ~uint32_t{INSTAR_NODE_ZERO_INIT};
}

void Image::info(sdk::JsonWriter& json) const {
  const Header& header = table().header();
  json.begin_object();
  if (!header.fixed()) json.field("cluster-size", header.block_size());
  json.field("dirty-flag", false);
  if (!parent_name_.empty())
    json.field("backing-filename", parent_name_).field("backing-filename-format", "vpc");
  json.end_object();
}

Result<std::string> Image::identity() const {
  return sdk::uuid_text(table().header().footer.unique_id, false);
}

}  // namespace instar::vpc

INSTAR_PLUGIN("vpc", "1.0.0", instar::sdk::format<instar::vpc::Image>("vpc"))
