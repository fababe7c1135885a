// SPDX-License-Identifier: Apache-2.0
// Another size of the disk. The header is in one sector, and says at once how large the disk and its table
// are and where the clusters begin: where they were in the way of a larger table they have moved before.
#include "plugins/formats/parallels/image.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::parallels {

using sdk::Call;
using sdk::fail;
using sdk::Status;

/** Clusters before `begin` move to the end; nothing of the image is in the way of the table then. */
Status Image::move_front(const Call& call, uint64_t begin) {
  table().set_data_begin(begin);
  table().place_from(table().next_place());
  INSTAR_CHECK(table().for_each(call, [&](uint64_t cluster, uint64_t sector) -> Status {
    if (sector >= begin) return {};
    INSTAR_CHECK(copy_cluster(call, cluster, sector));
    return table().crowded() ? write_tables(call) : Status{};
  }));
  INSTAR_CHECK(write_tables(call));
  if (table().file_sectors() >= begin) return {};
  return table().file().resize(call, begin * kSector);
}

/** The table is written behind what it has, and is part of the image with the header. */
Status Image::grow(const Call& call, const Header& wanted) {
  Header header = wanted;
  const uint64_t used = sdk::div_up(size(), header.cluster_bytes());
  if (header.bat_end() > table().data_begin()) {
    const uint64_t begin = table().aligned(header.bat_end());
    if (begin > UINT32_MAX) return fail(EFBIG, sdk::errno_text(EFBIG));
    INSTAR_CHECK(move_front(call, begin));
    header.data_off = static_cast<uint32_t>(begin);
  }
  const uint64_t before = table().header().bat_entries;
  INSTAR_CHECK(table().clear_entries(call, used, std::max<uint64_t>(before, header.bat_entries)));
  return table().set_header(call, header);
}

/** Clusters that are given up become holes; those at the end go when the image is closed. */
Status Image::shrink(const Call& call, const Header& header) {
  const uint64_t before = table().header().bat_entries;
  INSTAR_CHECK(table().set_header(call, header));
  const uint64_t bytes = header.cluster_bytes();
  INSTAR_CHECK(
      table().for_each(call, header.bat_entries, before, [&](uint64_t, uint64_t sector) -> Status {
        return table().inside(sector) ? table().file().discard(call, sector * kSector, bytes)
                                      : Status{};
      }));
  uint64_t end = 0;
  INSTAR_CHECK(table().for_each(call, [&](uint64_t, uint64_t sector) -> Status {
    end = std::max<uint64_t>(end, sector + header.tracks);
    return {};
  }));
  table().place_from(end);
  return {};
}

Status Image::resize(const Call& call, uint64_t size, uint32_t mode, uint32_t,
                     const instar_progress*) {
  INSTAR_CHECK(sdk::check_file_preallocation(mode));
  INSTAR_CHECK(check_size(size, table().header().tracks));
  size = sdk::round_up(size, kSector);
  const uint64_t before = this->size();
  if (size == before) return {};
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_CHECK(write_tables(call));
    Header header = table().header();
    if (!header.counts_clusters() && size / kSector > UINT32_MAX)
      return fail(EINVAL, "The image's header has no room for a disk of ", size, " bytes");
    header.set_size(size / kSector);
    header.data_off = static_cast<uint32_t>(table().data_begin());
    if (size > before) INSTAR_CHECK(clear_rest(call));
    INSTAR_CHECK(size > before ? grow(call, header) : shrink(call, header));
    set_size(size);
  }
  return reserve(call, before, size, mode);
}

}  // namespace instar::parallels
