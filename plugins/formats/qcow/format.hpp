// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The on-disk structures of qcow images, version 1. Big-endian; offsets and sizes
 * are bytes. */
#pragma once

#include <cstdint>

#include "sdk/cpp/bytes.hpp"

namespace instar::qcow {

using sdk::Be;

constexpr uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kSector = 512;
constexpr uint32_t kCryptNone = 0;
constexpr uint32_t kCryptAes = 1;
constexpr uint8_t kMinClusterBits = 9;
constexpr uint8_t kMaxClusterBits = 16;
constexpr uint8_t kMinL2Bits = 6;
constexpr uint8_t kMaxL2Bits = 13;
constexpr uint32_t kLongestBackingName = 1023;
/** Entries of the largest L1 table. */
constexpr uint64_t kMostL1Entries = INT32_MAX / sizeof(uint64_t);
/** In an L2 entry: raw deflate. Below it as many bits as a cluster has hold the packed length, and
 * the rest the offset. */
constexpr uint64_t kEntryPacked = uint64_t{1} << 63;
constexpr uint32_t kDeflateWindowBits = 12;

struct Header {
  Be<uint32_t> magic;
  Be<uint32_t> version;
  Be<uint64_t> backing_file_offset;  ///< 0: there is none
  Be<uint32_t> backing_file_size;
  Be<uint32_t> mtime;
  Be<uint64_t> size;
  uint8_t cluster_bits;
  uint8_t l2_bits;  ///< a table has 1 << l2_bits entries
  Be<uint16_t> padding;
  Be<uint32_t> crypt_method;
  Be<uint64_t> l1_table_offset;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint64_t l2_entries() const { return uint64_t{1} << l2_bits; }
  uint64_t l2_bytes() const { return l2_entries() * sizeof(uint64_t); }
  /** Guest bytes behind one L1 entry. */
  uint64_t l2_reach() const { return uint64_t{1} << (cluster_bits + l2_bits); }
  uint64_t l1_entries() const { return sdk::div_up(size, l2_reach()); }
  uint64_t l1_end() const { return l1_table_offset + l1_entries() * sizeof(uint64_t); }
};
static_assert(sizeof(Header) == 48, "header");

}  // namespace instar::qcow
