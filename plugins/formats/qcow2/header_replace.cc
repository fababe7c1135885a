// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>

#include "plugins/formats/qcow2/header.hpp"

namespace instar::qcow2 {
namespace {

/** The old header again, with its extensions and the backing file's name at `begin`, out of the new
 * one's way; a table of feature names, which readers skip, reaches from the fixed fields to there. */
struct Bridge {
  std::vector<uint8_t> bytes;  ///< a cluster
  size_t begin = 0;
  size_t end = 0;
};

/** nullopt where there is no room for that. */
std::optional<Bridge> make_bridge(const Header& old, uint64_t free_from) {
  Bridge bridge;
  bridge.begin = std::max<uint64_t>(sdk::round_up(free_from, 8), kSector);
  auto bytes = serialize_header(old, bridge.begin);
  if (!bytes) return std::nullopt;
  bridge.end = bytes->size();
  bytes->resize(size_t{1} << old.cluster_bits);
  bridge.bytes = *std::move(bytes);
  return bridge;
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
    INSTAR_CHECK(file.write(call, begin, bytes.data() + begin, end - begin));
    return file.flush(call);
  };
  const auto first = std::mismatch(fresh.begin(), fresh.end(), disk.begin()).first - fresh.begin();
  const auto left =
      std::mismatch(fresh.rbegin(), fresh.rend(), disk.rbegin()).first - fresh.rbegin();
  if (left == static_cast<ptrdiff_t>(cluster)) return {};
  const size_t begin = sdk::round_down(static_cast<size_t>(first), kSector);
  const size_t end = sdk::round_up(cluster - static_cast<size_t>(left), kSector);
  // A sector is written whole or not at all; the first one decides what the others mean.
  if (end - begin == kSector) return put(fresh, begin, end);
  const auto bridge = make_bridge(old, std::max(fresh_end, used_length(disk)));
  if (!bridge) return put(fresh, begin, end);
  INSTAR_CHECK(put(bridge->bytes, bridge->begin, bridge->end));
  INSTAR_CHECK(put(bridge->bytes, 0, kSector));
  if (bridge->begin > kSector) INSTAR_CHECK(put(fresh, kSector, bridge->begin));
  INSTAR_CHECK(put(fresh, 0, kSector));
  return put(fresh, bridge->begin, bridge->end);
}

}  // namespace instar::qcow2
