// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>

#include "plugins/formats/qcow2/header.hpp"

namespace instar::qcow2 {
namespace {

/** The old header again, with all that follows its first sector out of the new one's way: nothing
 * where there is no room for that. */
struct Bridge {
  std::vector<uint8_t> bytes;
  uint64_t name_at = 0;
};

Result<std::optional<Bridge>> make_bridge(const Header& old, uint64_t free_from) {
  const uint64_t cluster = uint64_t{1} << old.cluster_bits;
  Header nameless = old;
  nameless.backing_file.clear();
  const auto extensions = serialize_header(nameless, {.feature_names = false});
  if (!extensions || extensions->size() > kSector) return std::optional<Bridge>();
  Bridge bridge;
  bridge.name_at = std::max<uint64_t>(sdk::round_up(free_from, 8), kSector);
  if (bridge.name_at + old.backing_file.size() > cluster) return std::optional<Bridge>();
  INSTAR_TRY(bridge.bytes,
             serialize_header(old, {.feature_names = false, .name_at = bridge.name_at}));
  bridge.bytes.resize(cluster);
  return std::optional(std::move(bridge));
}

/** Where the cluster on the disk ends to have content. */
uint64_t used_length(const std::vector<uint8_t>& cluster) {
  const auto last =
      std::find_if(cluster.rbegin(), cluster.rend(), [](uint8_t b) { return b != 0; });
  return static_cast<uint64_t>(cluster.rend() - last);
}

}  // namespace

Status replace_header(const Call& call, HostFile& file, const Header& old, const Header& next) {
  INSTAR_TRY(std::vector<uint8_t> fresh, serialize_header(next));
  const uint64_t fresh_end = fresh.size();
  const size_t cluster = size_t{1} << old.cluster_bits;
  fresh.resize(cluster);
  std::vector<uint8_t> disk(cluster);
  INSTAR_CHECK(file.read(call, 0, disk.data(), cluster));
  INSTAR_CHECK(file.flush(call));
  const auto put = [&](const std::vector<uint8_t>& bytes, size_t begin, size_t end) -> Status {
    if (begin < end) INSTAR_CHECK(file.write(call, begin, bytes.data() + begin, end - begin));
    return file.flush(call);
  };
  // A sector is written whole or not at all; it decides what the rest of the cluster means.
  if (std::equal(fresh.begin() + kSector, fresh.end(), disk.begin() + kSector))
    return put(fresh, 0, kSector);
  INSTAR_TRY(const auto bridge, make_bridge(old, std::max(fresh_end, used_length(disk))));
  if (!bridge) return put(fresh, 0, cluster);
  const size_t name_end = bridge->name_at + old.backing_file.size();
  INSTAR_CHECK(put(bridge->bytes, bridge->name_at, name_end));
  INSTAR_CHECK(put(bridge->bytes, 0, kSector));
  INSTAR_CHECK(put(fresh, kSector, bridge->name_at));
  INSTAR_CHECK(put(fresh, 0, kSector));
  return put(fresh, bridge->name_at, name_end);
}

}  // namespace instar::qcow2
