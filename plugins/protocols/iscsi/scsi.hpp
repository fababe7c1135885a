// SPDX-License-Identifier: Apache-2.0
/**
 * @file scsi.hpp
 * What targets answer, checked: nothing in it is to be trusted. The layouts are those of SPC-4 and SBC-3. Counts and
 * addresses are in the logical unit's blocks unless said otherwise.
 */
#pragma once

#include <cstdint>

#include "sdk/abi/node.h"
#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::iscsi {

/** READ CAPACITY. */
struct Capacity {
  uint64_t blocks = 0;
  uint32_t block_size = 0;  ///< bytes, a power of two
  bool thin = false;        ///< blocks can be without a place
  bool reads_zero = false;  ///< ... and those read as zeroes

  uint64_t bytes() const { return blocks * block_size; }
  bool operator==(const Capacity&) const = default;
};
/** @param answer of READ CAPACITY (16) */
sdk::Result<Capacity> parse_capacity_16(sdk::ConstBytes answer);
/** @param answer of READ CAPACITY (10) */
sdk::Result<Capacity> parse_capacity_10(sdk::ConstBytes answer);

/** MODE SENSE (6) of all pages. */
struct Mode {
  bool write_protected = false;
  bool fua = false;         ///< a write can be asked to reach stable storage
  bool write_cache = true;  ///< what was written may be lost until it is flushed
};
Mode parse_mode(sdk::ConstBytes answer);

/** The vital product data page "block limits". 0: none. */
struct BlockLimits {
  uint32_t max_transfer = 0;
  uint32_t max_unmap = 0;
  uint32_t unmap_granularity = 0;
  uint64_t max_write_same = 0;
};
constexpr uint8_t kBlockLimitsPage = 0xb0;
BlockLimits parse_block_limits(sdk::ConstBytes page);

/** The vital product data page "logical block provisioning". */
struct Provisioning {
  bool unmap = false;             ///< UNMAP works
  bool write_same_unmap = false;  ///< WRITE SAME (16) takes its UNMAP bit
};
constexpr uint8_t kProvisioningPage = 0xb2;
Provisioning parse_provisioning(sdk::ConstBytes page);

/**
 * GET LBA STATUS as extents, in bytes, of the range that was asked about; fewer where what follows does not fit.
 * Their number, at least 1.
 */
sdk::Result<size_t> parse_lba_status(sdk::ConstBytes answer, const Capacity& capacity,
                                     uint64_t first, uint64_t count, instar_extent* out,
                                     size_t max);
/** Bytes of an answer that has this many descriptors. */
constexpr uint32_t lba_status_size(uint32_t descriptors) {
  return 8 + 16 * descriptors;
}

/** The errno for sense data, as QEMU has it. @param asc additional sense code and its qualifier */
int errno_of_sense(int key, int asc);

}  // namespace instar::iscsi
