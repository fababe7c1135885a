// SPDX-License-Identifier: Apache-2.0
/** @file geometry.hpp Cylinders, heads and sectors, which say how large a disk is to Virtual PC. */
#pragma once

#include <algorithm>
#include <cstdint>

#include "plugins/formats/vpc/format.hpp"

namespace instar::vpc {

struct Geometry {
  uint16_t cylinders = 0;
  uint8_t heads = 0;
  uint8_t sectors_per_track = 0;

  uint64_t sectors() const { return uint64_t{cylinders} * heads * sectors_per_track; }
};

/** The largest geometry with at most so many sectors, by the specification's appendix. More heads
 * than it has for disks beyond 127 GiB: cylinders would not do. */
inline Geometry geometry_below(uint64_t sectors) {
  uint32_t per_track = 255;
  uint32_t heads = 16;
  sectors = std::min(sectors, kMostGeometry);
  uint64_t tracks = sectors / per_track;
  if (sectors < uint64_t{65535} * 16 * 63) {
    per_track = 17;
    tracks = sectors / per_track;
    heads = std::max<uint32_t>(static_cast<uint32_t>((tracks + 1023) / 1024), 4);
    if (tracks >= uint64_t{heads} * 1024 || heads > 16) {
      per_track = 31;
      heads = 16;
      tracks = sectors / per_track;
    }
    if (tracks >= uint64_t{heads} * 1024) {
      per_track = 63;
      heads = 16;
      tracks = sectors / per_track;
    }
  }
  return {static_cast<uint16_t>(tracks / heads), static_cast<uint8_t>(heads),
          static_cast<uint8_t>(per_track)};
}

/** The geometry of the next larger size that has one; nothing smaller than `sectors`, but for disks
 * that no geometry reaches. */
inline Geometry geometry_above(uint64_t sectors) {
  if (sectors == 0) return {};
  const uint64_t wanted = std::min(sectors, kMostGeometry);
  Geometry geometry;
  for (uint64_t tried = wanted; geometry.sectors() < wanted; ++tried)
    geometry = geometry_below(tried);
  return geometry;
}

}  // namespace instar::vpc
