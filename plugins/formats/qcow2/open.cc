// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {

Result<Settings> read_settings(const sdk::OpenContext& context, const Header& header) {
  const sdk::Options options = context.options();
  const uint64_t cluster = uint64_t{1} << header.cluster_bits;
  Settings settings;
  settings.slice = std::min<uint64_t>(cluster, 64u << 10);
  if (options.has("l2-cache-entry-size")) {
    const uint64_t size = options.number("l2-cache-entry-size");
    if (size < kSector || size > cluster || !std::has_single_bit(size))
      return fail(EINVAL,
                  "L2 cache entry size must be a power of two between 512 and the cluster size (",
                  cluster, ")");
    settings.slice = size;
  }
  if (options.has("cache-size")) {
    const uint64_t all = options.number("cache-size");
    if (options.has("l2-cache-size") && options.has("refcount-cache-size"))
      return fail(EINVAL,
                  "cache-size, l2-cache-size and refcount-cache-size may not be set at the same "
                  "time");
    if (options.number("l2-cache-size") > all)
      return fail(EINVAL, "l2-cache-size may not exceed cache-size");
    if (options.number("refcount-cache-size") > all)
      return fail(EINVAL, "refcount-cache-size may not exceed cache-size");
    settings.l2_cache = all - std::min(all, settings.refcount_cache);
  }
  settings.l2_cache = options.number("l2-cache-size", settings.l2_cache);
  settings.refcount_cache = options.number("refcount-cache-size", settings.refcount_cache);
  settings.compression_level = static_cast<int>(options.number("compression_level"));
  settings.discard_requests =
      options.flag("pass-discard-request", context.has_flag(INSTAR_OPEN_UNMAP));
  settings.discard_snapshot = options.flag("pass-discard-snapshot", true);
  settings.discard_other = options.flag("pass-discard-other");
  INSTAR_TRY(settings.overlap_checks, read_overlap_checks(options));
  settings.lazy_refcounts =
      options.flag("lazy-refcounts", (header.compatible & kCompatLazyRefcounts) != 0);
  if (settings.lazy_refcounts && header.version < 3)
    return fail(EINVAL,
                "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
  settings.discard_no_unref = options.flag("discard-no-unref");
  if (settings.discard_no_unref && header.version < 3)
    return fail(EINVAL, "discard-no-unref is only supported since qcow2 version 3");
  return settings;
}

/** What stands in the way of opening at all, beyond what read_header checked. */
Status check_state(const sdk::OpenContext& context, const Header& header) {
  if (context.writable() && !context.has_flag(INSTAR_OPEN_CHECK)) {
    if ((header.incompatible & kIncompatCorrupt) != 0)
      return fail(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  }
  return {};
}

}  // namespace

Image::Image(sdk::Host host, Header header, HostFile file, const Settings& settings, uint32_t flags)
    : host_(host),
      flags_(flags),
      settings_(settings),
      header_(std::move(header)),
      geometry_(header_),
      file_(std::move(file)),
      size_(sdk::round_down(header_.size, kSector)),
      l2_(geometry_, file_, header_.has_data_file(), settings.slice, settings.l2_cache),
      refcounts_(geometry_, file_, std::min<uint64_t>(geometry_.cluster_size, 64u << 10),
                 settings.refcount_cache),
      packed_(file_),
      corruption_(file_, header_, (flags & INSTAR_OPEN_WRITE) != 0),
      guard_(settings.overlap_checks),
      clusters_(geometry_.cluster_size),
      packed_buffers_(2 * geometry_.cluster_size) {
  l2_.report_to(&corruption_);
  refcounts_.report_to(&corruption_);
}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  INSTAR_TRY(const sdk::NodeRef node, context.file());
  const bool flushes = !context.has_flag(INSTAR_OPEN_NO_FLUSH);
  INSTAR_TRY(HostFile file, HostFile::open(node, flushes));
  INSTAR_TRY(Header header, read_header(context.call(), file, context.has_flag(INSTAR_OPEN_CHECK)));
  INSTAR_CHECK(check_state(context, header));
  INSTAR_TRY(const Settings settings, read_settings(context, header));
  std::unique_ptr<Image> image(
      new Image(context.host(), std::move(header), std::move(file), settings, context.flags()));
  image->node_name_ = context.node_name();
  INSTAR_TRY(image->cipher_, ContentCipher::open(context, image->header_, image->file_));
  INSTAR_CHECK(image->open_children(context));
  INSTAR_CHECK(image->load_metadata(context.call()));
  return image;
}

/** Asked for in any case, as the user may name one for an image that has none. */
Status Image::open_data_file(sdk::OpenContext& context) {
  const bool wanted = header_.has_data_file();
  const char* reference = wanted && header_.data_file ? header_.data_file->c_str() : nullptr;
  INSTAR_TRY(
      const sdk::NodeRef node,
      context.child("data-file", INSTAR_CHILD_DATA, reference, nullptr,
                    INSTAR_CHILD_PROTOCOL | INSTAR_CHILD_OPTIONAL | INSTAR_CHILD_PLAIN_NAME));
  if (context.has_flag(INSTAR_OPEN_NO_IO)) return {};  // the host then opens none
  if (!wanted && node)
    return fail(EINVAL, "'data-file' can only be set for images with an external data file");
  if (!wanted && header_.data_file_raw()) return fail(EINVAL, "data-file-raw requires a data file");
  if (!wanted) return {};
  if (!node) return fail(EINVAL, "'data-file' is required for this image");
  INSTAR_TRY(data_file_, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  return {};
}

Status Image::open_children(sdk::OpenContext& context) {
  INSTAR_CHECK(open_data_file(context));
  if (context.has_flag(INSTAR_OPEN_NO_BACKING)) return {};
  const char* reference = header_.backing_file.empty() ? nullptr : header_.backing_file.c_str();
  const char* format =
      reference != nullptr && header_.backing_format ? header_.backing_format->c_str() : nullptr;
  INSTAR_TRY(backing_, context.child("backing", INSTAR_CHILD_BACKING, reference, format,
                                     INSTAR_CHILD_OPTIONAL | INSTAR_CHILD_READ_ONLY));
  if (!backing_) return {};
  INSTAR_TRY(backing_size_, backing_.size());
  return {};
}

Status Image::load_metadata(const Call& call) {
  if ((flags_ & INSTAR_OPEN_CHECK) != 0) {  // the check reads the snapshot table itself
    INSTAR_CHECK(load_bitmaps(call));
    return l2_.load_l1(call, header_.l1_offset, header_.l1_entries);
  }
  INSTAR_TRY(snapshots_, read_snapshots(call, file_, header_, &snapshots_bytes_));
  INSTAR_CHECK(load_bitmaps(call));
  if ((flags_ & INSTAR_OPEN_NO_IO) != 0) return {};
  INSTAR_CHECK(l2_.load_l1(call, header_.l1_offset, header_.l1_entries));
  preallocated_ = !l2_.l1().empty() && l2_.l1()[0] != 0;
  const bool dirty = (header_.incompatible & kIncompatDirty) != 0;
  return dirty && (flags_ & INSTAR_OPEN_WRITE) != 0 ? repair_dirty(call) : Status{};
}

bool Image::offers(std::string_view id) const {
  const bool writable = (flags_ & INSTAR_OPEN_WRITE) != 0;
  if (id == INSTAR_COMPRESS_ID) return writable && !header_.has_data_file();
  if (id == INSTAR_MAP_ID) return !cipher_ && !file_.is_watched();
  return true;
}

void Image::limits(instar_node_limits& limits) const {
  limits.cluster_size = static_cast<uint32_t>(geometry_.cluster_size);
  limits.write_zeroes_alignment = static_cast<uint32_t>(geometry_.subcluster_size);
  limits.discard_alignment = static_cast<uint32_t>(geometry_.cluster_size);
  limits.optimal_transfer =
      static_cast<uint32_t>(std::max<uint64_t>(geometry_.cluster_size, 1u << 20));
  // Clusters that were allocated but never written decrypt to noise.
  if (!backing_ && !(cipher_ && preallocated_)) limits.flags |= INSTAR_NODE_ZERO_INIT;
  if (cipher_) limits.request_alignment = kSector;
  if (geometry_.zero_flag || !backing_)
    limits.flags |= INSTAR_NODE_SPARSE_ZERO;
  else
    limits.can_write_zeroes = INSTAR_ABILITY_EMULATED;
}

Status Image::close(const Call& call) {
  if ((flags_ & INSTAR_OPEN_WRITE) == 0 || !changed_ || corruption_.stopped()) return {};
  Lock lock(mutex_);
  INSTAR_CHECK(write_metadata(call, lock));
  INSTAR_CHECK(store_bitmaps(call));
  INSTAR_CHECK(write_refcounts(call));  // of what was freed
  INSTAR_CHECK(cover_hole(call));
  // Readers take whole sectors of packed data.
  const uint64_t end = file_.size();
  const uint64_t padding = sdk::round_up(end, kSector) - end;
  const uint8_t zeroes[kSector] = {};
  if (padding != 0) INSTAR_CHECK(file_.write(call, end, zeroes, padding));
  if (data_file_) INSTAR_CHECK(data_file_.flush(call));
  INSTAR_CHECK(file_.flush(call));
  if ((header_.incompatible & kIncompatDirty) == 0) return {};
  header_.incompatible &= ~uint64_t{kIncompatDirty};
  return write_incompatible_features(call, file_, header_);
}

}  // namespace instar::qcow2
