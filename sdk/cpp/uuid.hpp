// SPDX-License-Identifier: Apache-2.0
/** @file uuid.hpp Identifiers of images. */
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>

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

/** "01234567-89ab-cdef-0123-456789abcdef". @param mixed the first three fields are little-endian, as
 * Microsoft's GUIDs are. */
inline std::string uuid_text(const Uuid& uuid, bool mixed) {
  static constexpr size_t kMixedOrder[] = {3, 2, 1, 0, 5, 4, 7, 6};
  std::string text;
  for (size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const uint8_t byte = uuid[mixed && i < 8 ? kMixedOrder[i] : i];
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace instar::sdk
