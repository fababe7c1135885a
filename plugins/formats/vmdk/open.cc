// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "plugins/formats/vmdk/image.hpp"
#include "sdk/abi/info.h"
#include "sdk/cpp/json_reader.hpp"

namespace instar::vmdk {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

constexpr size_t kLongestCreateType = 127;
constexpr uint64_t kEmbeddedDescriptor = 0x200;

/** Text up to the first NUL, as the descriptor's end is not marked otherwise. */
Result<std::string> read_text(const Call& call, const HostFile& file, uint64_t offset,
                              uint64_t length) {
  std::string text(length, '\0');
  INSTAR_CHECK(file.read(call, offset, text.data(), text.size()));
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

sdk::Error invalid() {
  return fail(EINVAL, sdk::errno_text(EINVAL));
}

bool known_descriptor(std::string_view type) {
  for (const char* name : {"monolithicFlat", "vmfs", "vmfsSparse", "seSparse",
                           "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"})
    if (type == name) return true;
  return false;
}

/** How the file of an extent is called beside `image`. */
std::string name_beside(const std::string& image, const std::string& file) {
  if (file.starts_with('/')) return file;
  const size_t slash = image.rfind('/');
  return slash == std::string::npos ? file : image.substr(0, slash + 1) + file;
}

/** The CID that a backing image has now; nullopt if it is of another format. */
std::optional<uint32_t> cid_of(const NodeRef& node) {
  sdk::StringSink sink;
  void* self = nullptr;
  const auto* ops = node.interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  if (ops == nullptr) return std::nullopt;
  sdk::OutgoingCall call;
  if (ops->describe(self, call.abi(), sink.abi()) < 0) return std::nullopt;
  const sdk::JsonObject json(sink.text);
  const auto specific = json.object("format-specific");
  if (specific.string("type") != "vmdk") return std::nullopt;
  const auto cid = specific.object("data").number("cid");
  return cid ? std::optional(static_cast<uint32_t>(*cid)) : std::nullopt;
}

/** Of an extent that could not be opened: only the host knows that its name says nothing here. */
sdk::Error of_extent(const sdk::OpenContext& context, sdk::Error error) {
  if (error.message.starts_with("Cannot generate a base directory"))
    error.message.insert(0, sdk::cat("Cannot use relative paths with VMDK descriptor file '",
                                     context.filename(), "': "));
  return error;
}

}  // namespace

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  std::unique_ptr<Image> image(new Image(context));
  INSTAR_TRY(const NodeRef node, context.file());
  INSTAR_TRY(image->file_, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  INSTAR_CHECK(image->open_first_file(context));
  INSTAR_TRY(const std::string text, image->descriptor_text(context.call()));
  if (text.find("parentFileNameHint") != text.npos) {
    const auto name = find_quoted(text, "parentFileNameHint");
    if (!name || name->size() > kLongestBackingName) return invalid();
    image->backing_name_ = *name;
  }
  const auto cid = find_cid(text, "CID");
  const auto parent = find_cid(text, "parentCID");
  if (!cid || !parent) return invalid();
  image->cid_ = *cid;
  image->parent_cid_ = *parent;
  INSTAR_CHECK(image->open_backing(context));
  return image;
}

Result<std::string> Image::descriptor_text(const Call& call) {
  const uint64_t most = most_descriptor();
  return read_text(call, file_, descriptor_offset_,
                   has_descriptor_inside() ? most : std::min(file_.size(), most));
}

Status Image::open_first_file(sdk::OpenContext& context) {
  if (file_.size() < 4) return fail(EINVAL, "File is too small, not a valid image");
  Le<uint32_t> magic;
  INSTAR_CHECK(file_.read(context.call(), 0, &magic, sizeof magic));
  if (magic != kSparseMagic && magic != kCowdMagic) return open_descriptor(context, 0);
  const bool writable = context.writable() && !context.has_flag(INSTAR_OPEN_NO_IO);
  INSTAR_TRY(const SparseExtentFile found, read_sparse_header(context.call(), file_, writable));
  if (found.embedded_descriptor) {
    INSTAR_CHECK(open_descriptor(context, found.descriptor_offset));
  } else {
    if (magic == kSparseMagic)
      create_type_ = found.layout.compressed ? "streamOptimized" : "monolithicSparse";
    INSTAR_TRY(const NodeRef node, context.file());
    INSTAR_TRY(HostFile file, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
    Extent extent;
    extent.filename = context.filename();
    extent.own_file = true;
    INSTAR_CHECK(add_sparse(std::move(file), found.layout, std::move(extent)));
  }
  descriptor_offset_ = kEmbeddedDescriptor;
  return {};
}

Status Image::open_descriptor(sdk::OpenContext& context, uint64_t offset) {
  INSTAR_TRY(const std::string text,
             read_text(context.call(), file_, offset, std::min(file_.size(), kMostDescriptor)));
  const auto type = find_quoted(text, "createType");
  if (!type || type->size() > kLongestCreateType)
    return fail(EINVAL, "invalid VMDK image descriptor");
  // An image without content, which its header can't tell from one that has none.
  const bool empty = offset != 0 && (*type == "monolithicSparse" || *type == "streamOptimized");
  if (!empty && !known_descriptor(*type))
    return fail(ENOTSUP, "Unsupported image type '", *type, "'");
  create_type_ = *type;
  if (empty) return {};
  INSTAR_TRY(const auto lines, parse_extents(text));
  for (const auto& line : lines)
    INSTAR_CHECK(open_extent(context, line));
  return {};
}

Status Image::open_extent(sdk::OpenContext& context, const ExtentLine& line) {
  const std::string child = sdk::cat("extents.", extents_.size());
  const bool flat = line.type == "FLAT" || line.type == "VMFS";
  auto opened = context.child(child.c_str(), INSTAR_CHILD_DATA, line.file.c_str(), nullptr,
                              INSTAR_CHILD_PROTOCOL);
  if (!opened) return of_extent(context, std::move(opened).error());
  const NodeRef node = *opened;
  INSTAR_TRY(HostFile file, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  Extent extent;
  extent.type = line.type;
  extent.reference = line.file;
  extent.filename = name_beside(context.filename(), line.file);
  if (flat) {
    if (line.sectors > INT64_MAX / static_cast<int64_t>(kSector) ||
        line.flat_offset > INT64_MAX / static_cast<int64_t>(kSector) - line.sectors)
      return fail(EFBIG, sdk::errno_text(EFBIG));
    extent.begin = size();
    extent.size = static_cast<uint64_t>(line.sectors) * kSector;
    if (extent.size > INT64_MAX - extent.begin) return fail(EFBIG, sdk::errno_text(EFBIG));
    extent.flat_offset = static_cast<uint64_t>(line.flat_offset) * kSector;
    extent.flat = std::move(file);
    extents_.push_back(std::move(extent));
    return {};
  }
  if (line.type == "SESPARSE") {
    if (context.writable()) return fail(EACCES, "No write support for seSparse images available");
    INSTAR_TRY(const GrainLayout layout, read_se_sparse_header(context.call(), file));
    return add_sparse(std::move(file), layout, std::move(extent));
  }
  const bool writable = context.writable() && !context.has_flag(INSTAR_OPEN_NO_IO);
  INSTAR_TRY(const SparseExtentFile found, read_sparse_header(context.call(), file, writable));
  // An extent of extents could be one of itself.
  if (found.embedded_descriptor) return fail(EINVAL, "Image not in VMDK format");
  if (found.layout.compressed) create_type_ = "streamOptimized";
  return add_sparse(std::move(file), found.layout, std::move(extent));
}

Status Image::add_sparse(HostFile file, const GrainLayout& layout, Extent extent) {
  std::unique_ptr<sdk::CodecPool> codec;
  if (layout.compressed) {
    INSTAR_TRY(codec, open_grain_codec(host_));
  }
  extent.begin = size();
  extent.size = layout.sectors * kSector;
  if (extent.size > INT64_MAX - extent.begin) return fail(EFBIG, sdk::errno_text(EFBIG));
  extent.sparse =
      std::make_unique<SparseMap>(layout, extent.begin, flags_, std::move(file), std::move(codec));
  extents_.push_back(std::move(extent));
  return {};
}

Status Image::open_backing(sdk::OpenContext& context) {
  if (context.has_flag(INSTAR_OPEN_NO_BACKING)) return {};
  const bool named = !backing_name_.empty();
  INSTAR_TRY(
      const NodeRef node,
      context.child("backing", INSTAR_CHILD_BACKING, named ? backing_name_.c_str() : nullptr,
                    named ? "vmdk" : nullptr, INSTAR_CHILD_OPTIONAL | INSTAR_CHILD_READ_ONLY));
  if (!node) return {};
  backing_ = node;
  backing_trusted_ = cid_of(node) == parent_cid_;
  for (auto& extent : extents_)
    INSTAR_CHECK(show_backing(extent));
  return {};
}

Status Image::show_backing(Extent& extent) const {
  if (!backing_ || !extent.sparse) return {};
  INSTAR_TRY(HostFile file, HostFile::open(backing_, false));
  extent.sparse->show_backing(std::move(file), backing_trusted_);
  return {};
}

bool Image::offers(std::string_view id) const {
  if (id == INSTAR_COMPRESS_ID)
    return writable() && !extents_.empty() && extents_.front().sparse && uniform();
  if (id == INSTAR_RESIZE_ID) return !host_.strict();
  // Zeroes of an image without a parent are not kept where one may come.
  if (id == INSTAR_CHANGE_BACKING_ID) return !host_.strict() && !backing_name_.empty();
  if (id == INSTAR_MAP_ID) return !file_.is_watched();
  return true;
}

/** Whether all extents are of one kind, so that the image has one size of clusters. */
bool Image::uniform() const {
  const auto same = [&](const Extent& a, const Extent& b) {
    if (!a.sparse || !b.sparse) return !a.sparse && !b.sparse;
    const auto& one = a.sparse->layout();
    const auto& other = b.sparse->layout();
    return one.compressed == other.compressed && one.grain_sectors == other.grain_sectors;
  };
  return std::all_of(extents_.begin(), extents_.end(),
                     [&](const Extent& extent) { return same(extents_.front(), extent); });
}

void Image::limits(instar_node_limits& limits) const {
  const bool sparse = !extents_.empty() && extents_.front().sparse;
  if (sparse && uniform()) {
    limits.cluster_size = static_cast<uint32_t>(extents_.front().sparse->layout().grain_bytes());
    if (extents_.front().compressed()) limits.flags |= INSTAR_NODE_COMPRESSED_MUST;
  }
  limits.optimal_transfer = 1 << 20;
  bool zeroed = true;
  for (const auto& extent : extents_)
    zeroed = zeroed &&
             (extent.sparse ? !extent.sparse->shows_backing() : extent.flat.grows_with_zeroes());
  if (zeroed) limits.flags |= INSTAR_NODE_ZERO_INIT | INSTAR_NODE_SPARSE_ZERO;
}

}  // namespace instar::vmdk
