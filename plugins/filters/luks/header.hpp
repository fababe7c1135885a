// SPDX-License-Identifier: Apache-2.0
/** @file header.hpp The header of LUKS version 1 as it lies on disk (LUKS On-Disk Format
 * Specification 1.2.3, section 3), and what it says once it is checked. */
#pragma once

#include <string>
#include <string_view>

#include "plugins/filters/luks/algorithms.hpp"
#include "plugins/filters/luks/sector_cipher.hpp"

namespace instar::luks {

inline constexpr size_t kSlots = 8;
inline constexpr size_t kSaltSize = 32;
inline constexpr size_t kDigestSize = 20;
/** What QEMU and cryptsetup write, and QEMU reads. */
inline constexpr uint32_t kStripes = 4000;
/** The header's area, and what the areas of the slots are multiples of; in sectors. */
inline constexpr uint64_t kHeaderSectors = 4096 / kSectorSize;
inline constexpr uint32_t kSlotActive = 0x00ac71f3;
inline constexpr uint32_t kSlotInactive = 0x0000dead;
inline constexpr uint64_t kMinIterations = 1000;
/** All active slots together; beyond it (minutes) a header is taken for an attack. */
inline constexpr uint64_t kMaxIterations = uint64_t{1} << 29;

struct KeySlot {
  sdk::Be<uint32_t> active;
  sdk::Be<uint32_t> iterations;
  uint8_t salt[kSaltSize];
  sdk::Be<uint32_t> key_offset;  ///< sectors
  sdk::Be<uint32_t> stripes;

  bool is_active() const { return active == kSlotActive; }
};
static_assert(sizeof(KeySlot) == 48);

struct Header {
  char magic[6];
  sdk::Be<uint16_t> version;
  char cipher_name[32];
  char cipher_mode[32];
  char hash_spec[32];
  sdk::Be<uint32_t> payload_offset;  ///< sectors
  sdk::Be<uint32_t> key_size;        ///< bytes
  uint8_t digest[kDigestSize];       ///< of the master key
  uint8_t digest_salt[kSaltSize];
  sdk::Be<uint32_t> digest_iterations;
  char uuid[40];
  KeySlot slots[kSlots];

  size_t active_slots() const;
  std::string uuid_text() const;
};
static_assert(sizeof(Header) == 592);

/** What the header's strings stand for. */
struct Meaning {
  CipherSpec spec;
  const Hash* hash = nullptr;
};

/** Length of a slot's key material, and of the area that it has, in sectors. */
uint64_t material_sectors(uint64_t key_size);
uint64_t slot_sectors(uint64_t key_size);

/** Checks numbers and areas. `detached`: the payload is elsewhere. Errors in QEMU's words. */
sdk::Status check_header(const Header& header, bool detached);
/** Whether the passwords can be tried in a sane time. */
sdk::Status check_work(const Header& header);
sdk::Result<Meaning> read_meaning(const Header& header);
/** "aes" and "cbc-essiv:sha256", as headers have them, with the length of the key in bytes. */
sdk::Result<CipherSpec> read_spec(std::string_view cipher_name, std::string_view mode_text,
                                  uint32_t key_size);
std::string mode_text(const CipherSpec& spec);

/** A header with inactive slots, without digest, salt and uuid. */
sdk::Result<Header> make_header(const CipherSpec& spec, const Hash& hash, bool detached);
/** Bytes that a header and its slots take. */
uint64_t header_length(const CipherSpec& spec);

}  // namespace instar::luks
