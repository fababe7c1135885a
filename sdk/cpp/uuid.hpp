// SPDX-License-Identifier: Apache-2.0
/** @file uuid.hpp Identifiers of images. */
#pragma once

#include <array>
#include <cstdint>
#include <random>

namespace instar::sdk {

/** 16 bytes as they lie on disk. */
using Uuid = std::array<uint8_t, 16>;

/** A random one (RFC 4122, version 4), its first three fields little-endian, as disk images have it.
 */
inline Uuid random_uuid() {
  std::random_device source;
  Uuid uuid;
  for (auto& byte : uuid)
    byte = static_cast<uint8_t>(source());
  uuid[7] = static_cast<uint8_t>((uuid[7] & 0x0f) | 0x40);
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

}  // namespace instar::sdk
