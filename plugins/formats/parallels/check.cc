// SPDX-License-Identifier: Apache-2.0
// Every cluster has a place of its own, in the file and behind the header.
#include <vector>

#include "plugins/formats/parallels/image.hpp"

namespace instar::parallels {

using sdk::BlockSpace;
using sdk::Call;
using sdk::cat;
using sdk::fail;
using sdk::Status;

namespace {

/** A bit for each: more would need too much memory. */
constexpr uint64_t kMostClusters = uint64_t{1} << 30;
constexpr size_t kCopyBytes = 1u << 20;

bool valid_data_off(const Header& header, uint64_t file_sectors) {
  if (header.data_off == 0) return !header.counts_clusters();
  return header.data_off >= header.least_data_off() && header.data_off <= file_sectors;
}

}  // namespace

Status Image::Check::report(uint32_t kind, const std::string& what) const {
  if (messages == nullptr) return {};
  return sdk::send(messages, cat(repairs(kind) ? "Repairing " : "ERROR ", what, "\n"));
}

Status Image::Check::corrupt(const std::string& what) const {
  ++result.corruptions;
  if (repairs(INSTAR_FIX_ERRORS)) ++result.corruptions_fixed;
  return report(INSTAR_FIX_ERRORS, what);
}

Status Image::check_closed(const Check& check) {
  if (!table().unclean()) return {};
  INSTAR_CHECK(check.corrupt("image was not closed correctly"));
  if (!check.repairs(INSTAR_FIX_ERRORS)) return {};
  INSTAR_CHECK(begin_change(check.call));
  table().set_clean();
  return {};
}

Status Image::survey(Check& check) {
  return table().for_each(check.call, [&](uint64_t, uint64_t sector) -> Status {
    if (!table().inside(sector)) {
      check.outside = true;
      check.last = std::max<uint64_t>(check.last, sector + table().header().tracks);
      return {};
    }
    check.first = std::min(check.first, sector);
    check.end = std::max<uint64_t>(check.end, sector + table().header().tracks);
    return {};
  });
}

/** A cluster that lies before data_off stays: what is wrong is the field. */
Status Image::check_data_off(const Check& check) {
  Header& header = table().header();
  const bool valid = valid_data_off(header, table().file_sectors());
  if (valid && check.first >= header.data_off) return {};
  const uint64_t right = header.least_data_off();
  INSTAR_CHECK(check.corrupt("data_off field has incorrect value"));
  table().set_data_begin(right);
  if (!check.repairs(INSTAR_FIX_ERRORS)) return {};
  INSTAR_CHECK(begin_change(check.call));
  header.data_off = static_cast<uint32_t>(right);
  if (table().file_sectors() >= right) return {};
  return table().file().resize(check.call, right * kSector);
}

Status Image::check_places(const Check& check) {
  if (!check.outside) return {};
  return table().for_each(check.call, [&](uint64_t cluster, uint64_t sector) -> Status {
    if (table().inside(sector)) return {};
    INSTAR_CHECK(check.corrupt(cat("cluster ", cluster, " is outside image")));
    if (!check.repairs(INSTAR_FIX_ERRORS)) return {};
    INSTAR_CHECK(begin_change(check.call));
    return table().set_entry(check.call, cluster, 0);
  });
}

Status Image::check_end(Check& check) {
  const uint64_t extension = std::min(extension_.end, table().file_sectors());
  check.end = std::max({check.end, table().data_begin(), extension});
  // Of a cluster that is outside in part, the rest would be cut off.
  if (check.outside && !check.repairs(INSTAR_FIX_ERRORS)) return {};
  if (table().file_sectors() <= check.end) return {};
  const uint64_t leaked = (table().file_sectors() - check.end) * kSector;
  const auto clusters = static_cast<int64_t>(sdk::div_up(leaked, table().header().cluster_bytes()));
  check.result.leaks += clusters;
  INSTAR_CHECK(
      check.report(INSTAR_FIX_LEAKS, cat("space leaked at the end of the image ", leaked)));
  if (!check.repairs(INSTAR_FIX_LEAKS)) return {};
  INSTAR_CHECK(begin_change(check.call));
  INSTAR_CHECK(write_tables(check.call));
  INSTAR_CHECK(table().file().resize(check.call, check.end * kSector));
  check.result.leaks_fixed += clusters;
  return {};
}

Status Image::check_twice_used(const Check& check) {
  const uint64_t begin = table().data_begin();
  const uint64_t tracks = table().header().tracks;
  const uint64_t places = sdk::div_up(check.end - begin, tracks);
  if (places > kMostClusters) return fail(ENOMEM, sdk::errno_text(ENOMEM));
  std::vector<bool> used(places);
  if (check.repairs(INSTAR_FIX_ERRORS)) table().place_from(check.end);
  return table().for_each(check.call, [&](uint64_t cluster, uint64_t sector) -> Status {
    if (!table().inside(sector)) return {};
    auto place = used[(sector - begin) / tracks];
    if (!place) {
      place = true;
      return {};
    }
    INSTAR_CHECK(check.corrupt(cat("duplicate offset in BAT entry ", cluster)));
    if (!check.repairs(INSTAR_FIX_ERRORS)) return {};
    INSTAR_CHECK(begin_change(check.call));
    return copy_cluster(check.call, cluster, sector);
  });
}

/** To a place of its own; the table says so when it is written. */
Status Image::copy_cluster(const Call& call, uint64_t cluster, uint64_t from) {
  INSTAR_TRY(const BlockSpace space, table().allocate(call, cluster, 1));
  sdk::HostFile& file = table().file();
  const uint64_t length = table().header().cluster_bytes();
  std::vector<uint8_t> bytes(std::min<uint64_t>(length, kCopyBytes));
  for (uint64_t at = 0; at < length; at += bytes.size()) {
    bytes.resize(std::min<uint64_t>(bytes.size(), length - at));
    INSTAR_CHECK(file.read(call, from * kSector + at, bytes.data(), bytes.size()));
    INSTAR_CHECK(file.write(call, space.offset + at, bytes.data(), bytes.size()));
  }
  return table().store(call, cluster, {sdk::Block::Kind::kData, space.offset, 0});
}

/** Clusters that are far outside count only if there are no others, as for the genuine tool. */
Status Image::count(const Check& check) {
  const uint64_t tracks = table().header().tracks;
  instar_check_result& result = check.result;
  const bool none = check.first == UINT64_MAX && !check.repairs(INSTAR_FIX_ERRORS);
  uint64_t end = none ? std::max(check.end, check.last) : check.end;
  uint64_t next = UINT64_MAX;  // cluster
  uint64_t after = 0;          // where it should be
  INSTAR_CHECK(table().for_each(check.call, [&](uint64_t cluster, uint64_t sector) -> Status {
    const bool inside = table().inside(sector);
    if (!inside && sector > end) return {};
    ++result.allocated_clusters;
    if (cluster == next && sector != after) ++result.fragmented_clusters;
    next = cluster + 1;
    after = sector + tracks;
    if (inside) end = std::max(end, after);
    return {};
  }));
  result.total_clusters = table().header().bat_entries;
  result.image_end_offset = static_cast<int64_t>(end * kSector);
  return {};
}

Status Image::check(const Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress*) {
  const std::lock_guard lock(mutex());
  Check check{call, fix, result, messages};
  INSTAR_CHECK(check_closed(check));
  INSTAR_CHECK(survey(check));
  INSTAR_CHECK(check_data_off(check));
  INSTAR_CHECK(check_places(check));
  INSTAR_CHECK(check_end(check));
  INSTAR_CHECK(check_twice_used(check));
  INSTAR_CHECK(count(check));
  return table().dirty() ? write_tables(call) : Status{};
}

}  // namespace instar::parallels
