// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {

struct Bitmap {
  BitmapDirectoryEntry entry;
  std::string name;
  size_t position = 0;  ///< of the entry in the directory
};

Result<std::vector<Bitmap>> parse_directory(ConstBytes bytes, uint32_t count) {
  std::vector<Bitmap> bitmaps;
  size_t at = 0;
  while (at + sizeof(BitmapDirectoryEntry) <= bytes.size()) {
    Bitmap bitmap;
    bitmap.position = at;
    std::memcpy(&bitmap.entry, bytes.data() + at, sizeof bitmap.entry);
    const uint64_t length = sdk::round_up(
        sizeof bitmap.entry + uint64_t{bitmap.entry.extra_data_size} + bitmap.entry.name_size, 8);
    if (length > bytes.size() - at) return fail(EINVAL, "Broken bitmap directory");
    const char* name = reinterpret_cast<const char*>(bytes.data()) + at + sizeof bitmap.entry +
                       bitmap.entry.extra_data_size;
    bitmap.name.assign(name, bitmap.entry.name_size);
    bitmaps.push_back(std::move(bitmap));
    if (bitmaps.size() > count)
      return fail(EINVAL, "More bitmaps found than specified in header extension");
    at += length;
  }
  if (bitmaps.size() != count)
    return fail(EINVAL, "Less bitmaps found than specified in header extension");
  return bitmaps;
}

/** Bounded by the file: what lies beyond its end is no entry. */
Result<std::vector<uint8_t>> read_directory(const Call& call, const HostFile& file,
                                            const BitmapsExtension& extension) {
  const uint64_t offset = extension.bitmap_directory_offset;
  const uint64_t size = extension.bitmap_directory_size;
  if (size > file.size() || offset > file.size() - size)
    return fail(EINVAL, "Bitmap directory lies beyond the end of the file");
  std::vector<uint8_t> bytes(size);
  INSTAR_CHECK(file.read(call, offset, bytes.data(), bytes.size()));
  return bytes;
}

Status later() {
  return fail(ENOTSUP, "Changing the bitmaps of qcow2 images is not supported yet");
}

}  // namespace

/** The value of info's "bitmaps", or empty when the image has none. */
Result<std::string> Image::describe_bitmaps(const Call& call) {
  if (!header_.bitmaps) return std::string();
  INSTAR_TRY(const auto bytes, read_directory(call, file_, *header_.bitmaps));
  INSTAR_TRY(const auto bitmaps, parse_directory(bytes, header_.bitmaps->nb_bitmaps));
  sdk::JsonWriter json;
  json.begin_array();
  for (const auto& bitmap : bitmaps) {
    const uint32_t flags = bitmap.entry.flags;
    json.begin_object().key("flags").begin_array();
    if ((flags & kBitmapInUse) != 0) json.value("in-use");
    if ((flags & kBitmapAuto) != 0) json.value("auto");
    json.end_array()
        .field("name", bitmap.name)
        .field("granularity", uint64_t{1} << (bitmap.entry.granularity_bits & 63))
        .end_object();
  }
  return json.end_array().text();
}

Result<std::string> Image::bitmap_list() {
  const Call call(nullptr);
  INSTAR_TRY(std::string list, describe_bitmaps(call));
  return list.empty() ? "[]" : std::move(list);
}

Status Image::bitmap_add(const Call&, std::string_view, uint32_t, bool) {
  return later();
}
Status Image::bitmap_remove(const Call&, std::string_view) {
  return later();
}
Status Image::bitmap_clear(const Call&, std::string_view) {
  return later();
}
Status Image::bitmap_set_enabled(const Call&, std::string_view, bool) {
  return later();
}
Status Image::bitmap_walk(const Call&, std::string_view, void*, instar_bitmap_run_fn) {
  return later();
}
Status Image::bitmap_set_dirty(const Call&, std::string_view, uint64_t, uint64_t) {
  return later();
}

/** Before guest data changes: bitmaps that should record it, and that this driver does not update,
 * are marked as not to be trusted. */
Status Image::mark_bitmaps_in_use(const Call& call) {
  if (!header_.bitmaps) return {};
  INSTAR_TRY(auto bytes, read_directory(call, file_, *header_.bitmaps));
  INSTAR_TRY(const auto bitmaps, parse_directory(bytes, header_.bitmaps->nb_bitmaps));
  bool changed = false;
  for (const auto& bitmap : bitmaps) {
    const uint32_t flags = bitmap.entry.flags;
    if ((flags & kBitmapAuto) == 0 || (flags & kBitmapInUse) != 0) continue;
    BitmapDirectoryEntry entry = bitmap.entry;
    entry.flags = flags | kBitmapInUse;
    std::memcpy(bytes.data() + bitmap.position, &entry, sizeof entry);
    changed = true;
  }
  if (!changed) return {};
  INSTAR_CHECK(
      file_.write(call, header_.bitmaps->bitmap_directory_offset, bytes.data(), bytes.size()));
  return file_.flush(call);
}

}  // namespace instar::qcow2
