// SPDX-License-Identifier: Apache-2.0
/** @file luks2_header.hpp The two headers of LUKS version 2 as they lie on disk (LUKS2 On-Disk Format
 * Specification 1.1, section 2): binary fields, and JSON text that luks2_metadata.hpp reads. */
#pragma once

#include <string>

#include "plugins/filters/luks/algorithms.hpp"
#include "sdk/cpp/encryption.hpp"

namespace instar::luks {

struct Luks2Binary {
  char magic[6];
  sdk::Be<uint16_t> version;
  sdk::Be<uint64_t> header_size;  ///< bytes, with the JSON area
  sdk::Be<uint64_t> sequence;
  char label[48];
  char checksum_algorithm[32];
  uint8_t salt[64];
  char uuid[40];
  char subsystem[48];
  sdk::Be<uint64_t> header_offset;  ///< bytes, of this very header
  uint8_t padding[184];
  uint8_t checksum[64];
  uint8_t padding_to_4096[7 * 512];
};
static_assert(sizeof(Luks2Binary) == 4096);

/** What both headers of a volume say. */
class Luks2Header {
 public:
  /** Of a new volume. @param size of one header with its JSON area, in bytes. */
  static sdk::Result<Luks2Header> make(uint64_t size);
  /** The newer one of those that are whole. */
  static sdk::Result<Luks2Header> read(const sdk::HeaderIo& io);

  /** Bytes of one header. The key slots' areas begin behind the second one. */
  uint64_t size() const { return binary_.header_size; }
  uint64_t json_size() const { return size() - sizeof binary_; }
  std::string uuid_text() const;
  std::string label_text() const;

  std::string json;

  /** Writes the first, then the second, as the next in their sequence: a power cut leaves one of
   * them whole. */
  sdk::Status write(const sdk::HeaderIo& io);

 private:
  static sdk::Result<Luks2Header> read_copy(const sdk::HeaderIo& io, uint64_t offset);
  sdk::Status write_copy(const sdk::HeaderIo& io, uint64_t offset);
  /** The checksum of a header's bytes, whose own field is zero. */
  static std::string checksum_of(const Hash& hash, const std::string& bytes);

  Luks2Binary binary_{};
};

}  // namespace instar::luks
