// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The qcow2 on-disk structures, by the specification's terms. Big-endian, bytes.
 */
#pragma once

#include <cstdint>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/call.hpp"
#include "sdk/cpp/host_file.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::qcow2 {

using sdk::Be;
using sdk::Bytes;
using sdk::Call;
using sdk::ConstBytes;
using sdk::Error;
using sdk::fail;
using sdk::hex;
using sdk::HostFile;
using sdk::IoSlice;
using sdk::IoVec;
using sdk::load_be;
using sdk::Result;
using sdk::Status;
using sdk::store_be;

constexpr uint32_t kMagic = 0x514649fb;  // "QFI\xfb"

/** Header, version 2: the first 72 bytes of every image. */
struct HeaderV2 {
  Be<uint32_t> magic;
  Be<uint32_t> version;
  Be<uint64_t> backing_file_offset;
  Be<uint32_t> backing_file_size;
  Be<uint32_t> cluster_bits;
  Be<uint64_t> size;
  Be<uint32_t> crypt_method;
  Be<uint32_t> l1_size;
  Be<uint64_t> l1_table_offset;
  Be<uint64_t> refcount_table_offset;
  Be<uint32_t> refcount_table_clusters;
  Be<uint32_t> nb_snapshots;
  Be<uint64_t> snapshots_offset;
};
static_assert(sizeof(HeaderV2) == 72, "header, version 2");

/** Header, version 3. Fields from `compression_type` on are there when header_length says so. */
struct HeaderV3 {
  HeaderV2 v2;
  Be<uint64_t> incompatible_features;
  Be<uint64_t> compatible_features;
  Be<uint64_t> autoclear_features;
  Be<uint32_t> refcount_order;
  Be<uint32_t> header_length;
  Be<uint8_t> compression_type;
  uint8_t padding[7] = {};
};
static_assert(sizeof(HeaderV3) == 112, "header, version 3");
constexpr uint32_t kHeaderV3MinimumLength = 104;

enum IncompatibleFeature : uint64_t {
  kIncompatDirty = 1u << 0,
  kIncompatCorrupt = 1u << 1,
  kIncompatDataFile = 1u << 2,
  kIncompatCompression = 1u << 3,
  kIncompatExtendedL2 = 1u << 4,
  kIncompatKnown = 31
};
enum CompatibleFeature : uint64_t { kCompatLazyRefcounts = 1u << 0 };
enum AutoclearFeature : uint64_t {
  kAutoclearBitmaps = 1u << 0,
  kAutoclearDataFileRaw = 1u << 1,
  kAutoclearKnown = 3
};
enum CryptMethod : uint32_t { kCryptNone = 0, kCryptAes = 1, kCryptLuks = 2 };
enum CompressionType : uint8_t { kCompressionZlib = 0, kCompressionZstd = 1 };

/** Header extensions follow the header; data is padded to 8 bytes. */
struct ExtensionHeader {
  Be<uint32_t> type;
  Be<uint32_t> length;
};
static_assert(sizeof(ExtensionHeader) == 8, "header extension");
enum ExtensionType : uint32_t {
  kExtensionEnd = 0,
  kExtensionBackingFormat = 0xe2792aca,
  kExtensionFeatureNames = 0x6803f857,
  kExtensionBitmaps = 0x23852875,
  kExtensionCrypto = 0x0537be77,
  kExtensionDataFile = 0x44415441
};

struct FeatureName {
  Be<uint8_t> type;  // 0 incompatible, 1 compatible, 2 autoclear
  Be<uint8_t> bit;
  char name[46] = {};
};
static_assert(sizeof(FeatureName) == 48, "feature name table entry");

struct CryptoExtension {
  Be<uint64_t> offset;
  Be<uint64_t> length;
};
static_assert(sizeof(CryptoExtension) == 16, "full disk encryption header pointer");

struct BitmapsExtension {
  Be<uint32_t> nb_bitmaps;
  Be<uint32_t> reserved;
  Be<uint64_t> bitmap_directory_size;
  Be<uint64_t> bitmap_directory_offset;
};
static_assert(sizeof(BitmapsExtension) == 24, "bitmaps extension");

/** Bitmap directory entry; extra data, name and padding to 8 bytes follow. */
struct BitmapDirectoryEntry {
  Be<uint64_t> bitmap_table_offset;
  Be<uint32_t> bitmap_table_size;
  Be<uint32_t> flags;
  Be<uint8_t> type;
  Be<uint8_t> granularity_bits;
  Be<uint16_t> name_size;
  Be<uint32_t> extra_data_size;
};
static_assert(sizeof(BitmapDirectoryEntry) == 24, "bitmap directory entry");
enum BitmapFlag : uint32_t { kBitmapInUse = 1u << 0, kBitmapAuto = 1u << 1 };
constexpr uint32_t kMaxBitmaps = 65535;
constexpr uint64_t kMaxBitmapDirectory = uint64_t{65535} * 1024;

/** Snapshot table entry; extra data, id, name and padding to 8 bytes follow. */
struct SnapshotEntry {
  Be<uint64_t> l1_table_offset;
  Be<uint32_t> l1_size;
  Be<uint16_t> id_str_size;
  Be<uint16_t> name_size;
  Be<uint32_t> date_sec;
  Be<uint32_t> date_nsec;
  Be<uint64_t> vm_clock_nsec;
  Be<uint32_t> vm_state_size;
  Be<uint32_t> extra_data_size;
};
static_assert(sizeof(SnapshotEntry) == 40, "snapshot table entry");
struct SnapshotExtra {
  Be<uint64_t> vm_state_size_large;
  Be<uint64_t> disk_size;
  Be<uint64_t> icount;
};
static_assert(sizeof(SnapshotExtra) == 24, "snapshot extra data");
constexpr uint32_t kMaxSnapshots = 65536;
constexpr uint32_t kMaxSnapshotExtra = 1024;
constexpr uint64_t kMaxSnapshotTable = uint64_t{1024} * kMaxSnapshots;

/** L1 and L2 entries. */
constexpr uint64_t kEntryCopied = uint64_t{1} << 63;
constexpr uint64_t kEntryCompressed = uint64_t{1} << 62;
constexpr uint64_t kEntryZero = 1;
constexpr uint64_t kEntryOffsetMask = 0x00fffffffffffe00;
constexpr uint64_t kL1OffsetMask = 0x00fffffffffffe00;
constexpr uint64_t kRefcountTableOffsetMask = 0xfffffffffffffe00;
constexpr uint32_t kSubclusters = 32;

constexpr uint32_t kMinClusterBits = 9;
constexpr uint32_t kMaxClusterBits = 21;
constexpr uint64_t kMaxL1Bytes = 32u << 20;
constexpr uint64_t kMaxRefcountTableBytes = 8u << 20;
constexpr uint32_t kMaxBackingName = 1023;
constexpr uint32_t kSectorBits = 9;
constexpr uint32_t kSector = 512;

}  // namespace instar::qcow2
