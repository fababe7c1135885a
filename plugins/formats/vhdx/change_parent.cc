// SPDX-License-Identifier: Apache-2.0
// A differencing image gets another parent, or has nothing but what its parent has.
#include "plugins/formats/vhdx/image.hpp"
#include "plugins/formats/vhdx/parent.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::fail;
using sdk::Status;

/** It stays in its place if nothing is in the way, else it goes behind all others. */
Status BlockTable::change_parent(const Call& call, const std::vector<uint8_t>& item) {
  const auto table = std::make_unique<MetadataTable>();
  sdk::MetadataCache& cache = image_->cache;
  INSTAR_CHECK(cache.read(call, metadata_.region_offset, table.get(), sizeof *table));
  const uint32_t count = std::min<uint32_t>(table->entry_count, kMostMetadata);
  MetadataEntry* const end = table->entries + count;
  MetadataEntry* const own = std::find_if(
      table->entries, end, [](const auto& entry) { return entry.item == kParentLocator; });
  if (own == end) return fail(EINVAL, sdk::errno_text(EINVAL));
  uint64_t place = own->offset;
  uint64_t behind = sizeof(MetadataTable);
  for (const MetadataEntry* other = table->entries; other != end; ++other) {
    if (other == own) continue;
    behind = std::max<uint64_t>(behind, uint64_t{other->offset} + other->length);
    if (other->offset + uint64_t{other->length} > place && other->offset < place + item.size())
      place = UINT64_MAX;
  }
  if (place == UINT64_MAX) place = behind;
  if (place + item.size() > metadata_.region_length)
    return fail(ENOSPC, "The name of the parent is too long");
  own->offset = static_cast<uint32_t>(place);
  own->length = static_cast<uint32_t>(item.size());
  const auto entry = static_cast<uint64_t>(reinterpret_cast<const uint8_t*>(own) -
                                           reinterpret_cast<const uint8_t*>(table.get()));
  INSTAR_CHECK(cache.write(call, metadata_.region_offset + entry, own, sizeof *own));
  INSTAR_CHECK(cache.write(call, metadata_.region_offset + place, item.data(), item.size()));
  INSTAR_CHECK(write_back(call));
  metadata_.parent_item = item;
  return file().flush(call);
}

Status BlockTable::forget_blocks(const Call& call) {
  for (uint64_t index = 0; index < metadata_.entries(); ++index) {
    INSTAR_TRY(const uint64_t value, entry(call, index));
    if (value != 0) INSTAR_CHECK(set_entry(call, index, 0, BlockState::kNotPresent));
    if (crowded()) INSTAR_CHECK(write_back(call));
  }
  INSTAR_CHECK(write_back(call));
  INSTAR_CHECK(file().flush(call));
  end_ = 0;
  for (const Area& area : metadata_.areas)
    end_ = std::max(end_, area.end);
  end_ = sdk::round_up(end_, kAlignment);
  return cut_file(call, end_);
}

Status Image::change_backing(const Call& call, const char* name, const char* format) {
  if (name == nullptr || *name == '\0') return fail(ENOTSUP, "The image can't be without a parent");
  if (format != nullptr && std::string_view(format) != "vhdx")
    return fail(EINVAL, "The parent of a vhdx image has to be one");
  INSTAR_TRY(const auto locator, locate_parent(host_, call, filename_, name));
  const std::lock_guard lock(mutex());
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(write_tables(call));
  INSTAR_CHECK(table().change_parent(call, parent_item(locator)));
  parent_name_ = name;
  return {};
}

/** Before a commit: whenever that is cut short, the image is opened again and can be committed. */
Status Image::expect_backing(const Call& call, const char* identity) {
  if (parent_identity_.empty()) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  const std::lock_guard lock(mutex());
  INSTAR_TRY(ParentLocator locator, parse_parent_locator(table().metadata().parent_item));
  expect_parent(locator, parent_identity_, identity);
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(write_tables(call));
  return table().change_parent(call, parent_item(locator));
}

/** Its parent was changed, as it expected. */
Status Image::make_empty(const Call& call) {
  INSTAR_CHECK(change_backing(call, parent_name_.c_str(), nullptr));
  const std::lock_guard lock(mutex());
  return table().forget_blocks(call);
}

}  // namespace instar::vhdx
