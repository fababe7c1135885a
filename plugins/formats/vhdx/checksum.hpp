// SPDX-License-Identifier: Apache-2.0
/** @file checksum.hpp CRC-32C of structures that hold it themselves. */
#pragma once

#include <isa-l/crc.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sdk/cpp/bytes.hpp"

namespace instar::vhdx {

constexpr size_t kChecksumOffset = 4;

/** Of `length` bytes, at least 8, with zeroes in place of the checksum. */
inline uint32_t checksum_of(const void* data, size_t length) {
  const auto part = [](const void* from, size_t n, uint32_t crc) {
    return crc32_iscsi(static_cast<unsigned char*>(const_cast<void*>(from)), static_cast<int>(n),
                       crc);
  };
  constexpr uint32_t kNoChecksum = 0;
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint32_t crc = part(bytes, kChecksumOffset, UINT32_MAX);
  crc = part(&kNoChecksum, sizeof kNoChecksum, crc);
  constexpr size_t kRest = kChecksumOffset + sizeof kNoChecksum;
  return ~part(bytes + kRest, length - kRest, crc);
}

inline bool has_checksum(const void* data, size_t length) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  return sdk::load_le<uint32_t>(bytes + kChecksumOffset) == checksum_of(data, length);
}

inline void set_checksum(void* data, size_t length) {
  sdk::store_le(static_cast<uint8_t*>(data) + kChecksumOffset, checksum_of(data, length));
}

}  // namespace instar::vhdx
