// SPDX-License-Identifier: Apache-2.0
/** @file luks2_metadata.hpp The JSON text of a LUKS version 2 header (LUKS2 On-Disk Format
 * Specification 1.1, section 3): what it says, and how key slots are put in and taken out, while
 * everything else (tokens, flags, what is unknown here) stays as it is. */
#pragma once

#include <array>
#include <optional>
#include <string>

#include "plugins/filters/luks/header.hpp"
#include "plugins/filters/luks/kdf.hpp"

namespace instar::luks {

inline constexpr size_t kLuks2Slots = 32;

/** Bytes in the header's file. */
struct Luks2Area {
  uint64_t offset = 0, length = 0;
  uint64_t end() const { return offset + length; }
};

struct Luks2Slot {
  Luks2Area area;
  std::string encryption;    ///< of the area: "aes-xts-plain64"
  size_t area_key_size = 0;  ///< bytes
  const Hash* af_hash = nullptr;
  Kdf kdf;
  bool usable = false;  ///< by us, and it opens the segment
};

struct Luks2Digest {
  std::string id;
  const Hash* hash = nullptr;
  uint64_t iterations = 0;
  std::string salt, digest;
};

struct Luks2Segment {
  std::string id;
  uint64_t offset = 0;    ///< bytes
  uint64_t iv_tweak = 0;  ///< added to the sectors' numbers
  uint64_t sector_size = 512;
  std::string encryption;
};

struct Luks2Metadata {
  Luks2Segment segment;
  Luks2Digest digest;
  size_t key_size = 0;  ///< bytes, of the master key
  CipherSpec spec;
  Luks2Area slots_area;
  std::array<std::optional<Luks2Slot>, kLuks2Slots> slots;

  /** @param header_size bytes of one of the two headers. */
  static sdk::Result<Luks2Metadata> read(const std::string& json, uint64_t header_size);
  /** Room for a slot's material. */
  sdk::Result<Luks2Area> free_area() const;
};

/** Length of a slot's material, and of its area, in bytes. */
size_t luks2_material(size_t key_size);

/** The text with a key slot that the segment's digest knows; without it when `slot` is nullptr. */
std::string change_slot(const std::string& json, size_t id, const Luks2Slot* slot,
                        const Luks2Metadata& metadata);
/** The text of a volume without key slots. @param json_size bytes that the text may take. */
std::string make_metadata(const Luks2Metadata& metadata, uint64_t json_size);

/** "aes-xts-plain64" with a key of that length. */
sdk::Result<CipherSpec> read_encryption(const std::string& text, size_t key_size);

}  // namespace instar::luks
