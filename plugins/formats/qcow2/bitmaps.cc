// SPDX-License-Identifier: Apache-2.0
// The persistent bitmaps of an image: looked at and changed in memory, stored when the image is closed.
// A bitmap whose bits are about to differ from the file's is marked there as in use first, so that
// nobody trusts what a power cut leaves.
#include "plugins/formats/qcow2/bitmaps.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <set>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {

constexpr uint64_t kDefaultMin = 4096;
constexpr uint64_t kDefaultMax = 65536;
constexpr size_t kRunsAtOnce = 65536;
constexpr std::string_view kNeedsVersion3 = "Cannot store dirty bitmaps in qcow2 v2 files";

BitmapRecord record_of(const Bitmap& bitmap, bool in_use) {
  return {bitmap.table_offset, bitmap.table_entries,
          (in_use ? uint32_t{kBitmapInUse} : 0u) | (bitmap.enabled ? uint32_t{kBitmapAuto} : 0u),
          bitmap.granularity_bits, bitmap.name};
}

Error inconsistent(const Bitmap& bitmap) {
  Error error = fail(EINVAL, "Bitmap '", bitmap.name, "' is inconsistent and cannot be used");
  error.hint = "Try block-dirty-bitmap-remove to delete this bitmap from disk";
  return error;
}

/** Why an image can't have such a bitmap, or "". */
std::string obstacle(const Geometry& geometry, uint64_t size, std::string_view name,
                     uint32_t granularity_bits) {
  if (name.size() > kMaxBitmapName)
    return sdk::cat("Name length exceeds maximum (", kMaxBitmapName, " characters)");
  if (granularity_bits > kMaxGranularityBits)
    return sdk::cat("Granularity exceeds maximum (", uint64_t{1} << kMaxGranularityBits, " bytes)");
  if (bitmap_clusters(geometry, size, granularity_bits) << geometry.cluster_bits > kMaxBitmapBytes)
    return "Too much space will be occupied by the bitmap. Use larger granularity";
  return "";
}

}  // namespace

Status Image::load_bitmaps(const Call& call) {
  if (!header_.bitmaps) return {};
  INSTAR_TRY(const auto records,
             read_bitmap_directory(call, file_, geometry_, *header_.bitmaps, size()));
  std::set<std::string_view> names;
  uint64_t record_offset = header_.bitmaps->bitmap_directory_offset;
  for (const auto& record : records) {
    const uint64_t here = record_offset;
    record_offset += bitmap_record_bytes(record.name);
    const bool in_use = (record.flags & kBitmapInUse) != 0;
    if (!names.insert(record.name).second) {
      if (in_use) continue;
      return fail(EINVAL, "Bitmap already exists: ", record.name);
    }
    if (!in_use) INSTAR_CHECK(read_bitmap_table(call, file_, geometry_, record));
    Bitmap bitmap;
    bitmap.name = record.name;
    bitmap.granularity_bits = record.granularity_bits;
    bitmap.enabled = (record.flags & kBitmapAuto) != 0;
    bitmap.inconsistent = bitmap.in_use = in_use;
    bitmap.table_offset = record.table_offset;
    bitmap.table_entries = record.table_entries;
    bitmap.record_offset = here;
    bitmaps_.push_back(std::move(bitmap));
  }
  update_recording();
  return {};
}

void Image::update_recording() {
  recording_ = std::any_of(bitmaps_.begin(), bitmaps_.end(), [](const Bitmap& bitmap) {
    return bitmap.enabled && !bitmap.inconsistent;
  });
}

/** The value of info's "bitmaps", or empty when the image has none. */
std::string Image::describe_bitmaps() const {
  if (bitmaps_.empty()) return {};
  sdk::JsonWriter json;
  json.begin_array();
  for (const auto& bitmap : bitmaps_) {
    json.begin_object().key("flags").begin_array();
    if (bitmap.inconsistent) json.value("in-use");
    if (bitmap.enabled) json.value("auto");
    json.end_array()
        .field("name", bitmap.name)
        .field("granularity", uint64_t{1} << bitmap.granularity_bits)
        .end_object();
  }
  return json.end_array().text();
}

Result<std::string> Image::bitmap_list() {
  if (header_.version < 3) return fail(ENOTSUP, kNeedsVersion3);
  const std::lock_guard lock(mutex_);
  std::string list = describe_bitmaps();
  return list.empty() ? "[]" : std::move(list);
}

Result<Bitmap*> Image::find_bitmap(std::string_view name) {
  const auto found = std::find_if(bitmaps_.begin(), bitmaps_.end(),
                                  [&](const Bitmap& bitmap) { return bitmap.name == name; });
  if (found == bitmaps_.end()) return fail(ENOENT, "Dirty bitmap '", name, "' not found");
  return &*found;
}

/** Its bits, whose table is read when they are needed for the first time. */
Result<DirtyBits*> Image::bits_of(const Call& call, Bitmap& bitmap) {
  if (bitmap.inconsistent) return inconsistent(bitmap);
  if (bitmap.bits == nullptr) {
    std::vector<uint64_t> table;
    if (bitmap.table_offset != 0) {
      INSTAR_TRY(table,
                 read_bitmap_table(call, file_, geometry_, record_of(bitmap, bitmap.in_use)));
    }
    bitmap.bits = std::make_unique<DirtyBits>(geometry_, file_, bitmap.granularity_bits, size(),
                                              std::move(table));
  }
  return bitmap.bits.get();
}

/** Nobody trusts what the file has of it from here on, until the bitmaps are stored. */
Status Image::mark_in_use(const Call& call, Bitmap& bitmap) {
  if (bitmap.in_use || bitmap.record_offset == 0) return {};
  const Be<uint32_t> flags = record_of(bitmap, true).flags;
  INSTAR_CHECK(file_.write(call, bitmap.record_offset + offsetof(BitmapDirectoryEntry, flags),
                           &flags, sizeof flags));
  INSTAR_CHECK(file_.flush(call));
  bitmap.in_use = true;
  return {};
}

/** The same, to be changed: the file says by now that they are in use. */
Result<DirtyBits*> Image::changing_bits(const Call& call, Bitmap& bitmap) {
  INSTAR_TRY(DirtyBits * bits, bits_of(call, bitmap));
  INSTAR_CHECK(mark_in_use(call, bitmap));
  bitmap.changed = bitmaps_changed_ = true;
  return bits;
}

/** Before guest data changes. */
Status Image::record_change(const Call& call, uint64_t offset, uint64_t length) {
  if (!recording_ || (flags_ & INSTAR_OPEN_WRITE) == 0) return {};
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  for (auto& bitmap : bitmaps_) {
    if (!bitmap.enabled || bitmap.inconsistent) continue;
    INSTAR_TRY(DirtyBits * bits, bits_of(call, bitmap));
    INSTAR_TRY(const bool covered, bits->covers(call, offset, length));
    if (covered) continue;
    INSTAR_TRY(bits, changing_bits(call, bitmap));
    INSTAR_CHECK(bits->set(call, offset, length));
  }
  return {};
}

Status Image::bitmap_add(const Call& call, std::string_view name, uint32_t granularity,
                         bool enabled) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  if (name.empty()) return fail(EINVAL, "Bitmap name cannot be empty");
  const uint64_t unit =
      granularity != 0 ? granularity : std::clamp(geometry_.cluster_size, kDefaultMin, kDefaultMax);
  if (unit < kSector || !std::has_single_bit(unit))
    return fail(EINVAL, "Granularity must be power of 2 and at least ", kSector);
  Bitmap bitmap;
  bitmap.name = name;
  bitmap.granularity_bits = static_cast<uint32_t>(std::countr_zero(unit));
  bitmap.enabled = enabled;
  bitmap.changed = true;
  std::string why(header_.version < 3 ? kNeedsVersion3 : "");
  if (why.empty()) why = obstacle(geometry_, size(), name, bitmap.granularity_bits);
  uint64_t directory = bitmap_record_bytes(name);
  for (const auto& other : bitmaps_)
    directory += bitmap_record_bytes(other.name);
  if (why.empty() && bitmaps_.size() >= kMaxBitmaps)
    why = "Maximum number of persistent bitmaps is already reached";
  if (why.empty() && directory > kMaxBitmapDirectory)
    why = "Not enough space in the bitmap directory";
  if (!why.empty())
    return fail(EINVAL, "Can't make bitmap '", name, "' persistent in '", node_name_, "': ", why);
  if (find_bitmap(name)) return fail(EEXIST, "Bitmap already exists: ", name);
  bitmaps_.push_back(std::move(bitmap));
  bitmaps_changed_ = bitmaps_listed_anew_ = true;
  update_recording();
  return {};
}

Status Image::bitmap_remove(const Call& call, std::string_view name) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_TRY(Bitmap * bitmap, find_bitmap(name));
  INSTAR_CHECK(mark_in_use(call, *bitmap));  // it does not see what is written from here on
  if (bitmap->table_offset != 0) {
    bitmap->inconsistent = false;  // it goes in any case
    if (auto bits = bits_of(call, *bitmap)) {
      (*bits)->clear();
      (*bits)->take_dropped(&bitmap_places_);
    }
    bitmap_tables_.push_back(clusters_of(bitmap->table_offset, bitmap->table_entries * 8ull));
  }
  bitmaps_.erase(bitmaps_.begin() + (bitmap - bitmaps_.data()));
  bitmaps_changed_ = bitmaps_listed_anew_ = true;
  update_recording();
  return {};
}

Status Image::bitmap_clear(const Call& call, std::string_view name) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_TRY(Bitmap * bitmap, find_bitmap(name));
  INSTAR_TRY(DirtyBits * bits, changing_bits(call, *bitmap));
  bits->clear();
  return {};
}

Status Image::bitmap_set_enabled(const Call& call, std::string_view name, bool enabled) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_TRY(Bitmap * bitmap, find_bitmap(name));
  if (bitmap->inconsistent) return inconsistent(*bitmap);
  if (bitmap->enabled == enabled) return {};
  if (!enabled) INSTAR_CHECK(mark_in_use(call, *bitmap));
  bitmaps_changed_ = true;
  bitmap->enabled = enabled;
  update_recording();
  return {};
}

/** Whoever is called may change bitmaps, of this image too. */
Status Image::bitmap_walk(const Call& call, std::string_view name, void* opaque,
                          instar_bitmap_run_fn run) {
  std::vector<DirtyBits::Run> runs;
  for (uint64_t at = 0; at < size();) {
    runs.clear();
    {
      const Lock lock(mutex_);
      INSTAR_TRY(Bitmap * bitmap, find_bitmap(name));
      INSTAR_TRY(DirtyBits * bits, bits_of(call, *bitmap));
      INSTAR_TRY(at, bits->collect(call, at, kRunsAtOnce, &runs));
    }
    for (const auto& [offset, length] : runs)
      if (const int result = run(opaque, offset, length); result < 0)
        return fail(-result, sdk::errno_text(-result));
  }
  return {};
}

Status Image::bitmap_set_dirty(const Call& call, std::string_view name, uint64_t offset,
                               uint64_t length) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_TRY(Bitmap * bitmap, find_bitmap(name));
  INSTAR_TRY(DirtyBits * bits, changing_bits(call, *bitmap));
  return bits->set(call, offset, length);
}

Status Image::resize_bitmaps(const Call& call, uint64_t size) {
  for (const auto& bitmap : bitmaps_)
    if (bitmap.inconsistent) return inconsistent(bitmap);
  for (auto& bitmap : bitmaps_) {
    INSTAR_TRY(DirtyBits * bits, changing_bits(call, bitmap));
    INSTAR_CHECK(bits->resize(call, size));
  }
  return {};
}

Status Image::write_directory(const Call& call, uint64_t offset) {
  std::vector<BitmapRecord> records;
  for (const auto& bitmap : bitmaps_)
    records.push_back(record_of(bitmap, bitmap.inconsistent));
  const auto bytes = serialize_bitmap_directory(records);
  return file_.write(call, offset, bytes.data(), bytes.size());
}

/** A place for `bytes`, which is noted in `taken`. */
Result<uint64_t> Image::take(const Call& call, uint64_t bytes, std::vector<ClusterRange>* taken) {
  const uint64_t count = geometry_.clusters(bytes);
  INSTAR_TRY(const uint64_t first, refcounts_.allocate_run(call, count));
  taken->push_back({first, count});
  return first << geometry_.cluster_bits;
}

/** Gives every changed bitmap a table, and its bits a place; they are written, the tables are not. */
Status Image::place_bitmaps(const Call& call, std::vector<ClusterRange>* taken) {
  const auto allocate = [&] { return take(call, geometry_.cluster_size, taken); };
  for (auto& bitmap : bitmaps_) {
    if (!bitmap.changed) continue;
    INSTAR_TRY(DirtyBits * bits, bits_of(call, bitmap));
    const auto entries = static_cast<uint32_t>(std::max<size_t>(bits->table().size(), 1));
    const ClusterRange old = clusters_of(bitmap.table_offset, bitmap.table_entries * 8ull);
    if (bitmap.table_offset == 0 || old.count != geometry_.clusters(entries * 8ull)) {
      if (bitmap.table_offset != 0) bitmap_tables_.push_back(old);
      INSTAR_TRY(bitmap.table_offset, take(call, entries * 8ull, taken));
    }
    bitmap.table_entries = entries;
    INSTAR_CHECK(bits->write(call, allocate));
    bits->take_dropped(&bitmap_places_);
  }
  return {};
}

Status Image::write_bitmap_table(const Call& call, const Bitmap& bitmap) {
  const auto& table = bitmap.bits->table();
  std::vector<uint8_t> bytes(bitmap.table_entries * 8ull);
  for (size_t i = 0; i < table.size(); ++i)
    store_be(bytes.data() + i * 8, table[i]);
  return file_.write(call, bitmap.table_offset, bytes.data(), bytes.size());
}

/** All that needs room: bits, tables, and a directory of `length` bytes at `*offset`, which is 0 when
 * it is to have a new place. The old directory, if it stays, is not changed yet. */
Status Image::place_bitmaps(const Call& call, uint64_t length, uint64_t* offset,
                            std::vector<ClusterRange>* taken) {
  const bool stays = *offset != 0;
  INSTAR_CHECK(place_bitmaps(call, taken));
  if (!stays && length != 0) {
    INSTAR_TRY(*offset, take(call, length, taken));
  }
  INSTAR_CHECK(write_refcounts(call));
  INSTAR_CHECK(barrier(call));
  for (const auto& bitmap : bitmaps_)
    if (bitmap.changed) INSTAR_CHECK(write_bitmap_table(call, bitmap));
  if (!stays && length != 0) INSTAR_CHECK(write_directory(call, *offset));
  return barrier(call);
}

/** When the image is closed: what changed reaches the file, in an order in which the directory never
 * names what is not there. */
Status Image::store_bitmaps(const Call& call) {
  if (!bitmaps_changed_) return {};
  uint64_t length = 0;
  for (const auto& bitmap : bitmaps_)
    length += bitmap_record_bytes(bitmap.name);
  const auto old = header_.bitmaps;
  const bool stays = old && !bitmaps_listed_anew_;
  uint64_t offset = stays ? uint64_t{old->bitmap_directory_offset} : 0;
  std::vector<ClusterRange> taken;
  if (auto placed = place_bitmaps(call, length, &offset, &taken); !placed) {
    // What is in memory is given up, so that the old bitmaps and nothing else are in the file.
    bitmaps_changed_ = false;
    for (const auto& range : taken)
      (void)release(call, range);
    (void)write_refcounts(call);
    return placed;
  }
  if (stays && length != 0) INSTAR_CHECK(write_directory(call, offset));
  if (!stays) {
    INSTAR_CHECK(name_directory(call, offset, length));
    if (old)
      bitmap_tables_.push_back(
          clusters_of(old->bitmap_directory_offset, old->bitmap_directory_size));
  }
  INSTAR_CHECK(barrier(call));
  for (auto& bitmap : bitmaps_) {
    bitmap.changed = false;
    bitmap.in_use = bitmap.inconsistent;
    bitmap.record_offset = offset;
    offset += bitmap_record_bytes(bitmap.name);
  }
  for (const uint64_t place : bitmap_places_)
    free_later({geometry_.cluster_of(place), 1}, false);
  for (const auto& range : bitmap_tables_)
    free_later(range, false);
  bitmap_places_.clear();
  bitmap_tables_.clear();
  bitmaps_changed_ = bitmaps_listed_anew_ = false;
  return apply_frees(call);
}

/** The header names the directory, or that there is none. */
Status Image::name_directory(const Call& call, uint64_t offset, uint64_t length) {
  Header next = header_;
  next.bitmaps.reset();
  next.autoclear &= ~uint64_t{kAutoclearBitmaps};
  if (length != 0) {
    next.bitmaps = BitmapsExtension{static_cast<uint32_t>(bitmaps_.size()), 0, length, offset};
    next.autoclear |= kAutoclearBitmaps;
  }
  guard_.forget();
  return update_header(call, next);
}

}  // namespace instar::qcow2
