// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/iscsi/scsi.hpp"

#include <iscsi/scsi-lowlevel.h>

#include <algorithm>
#include <bit>

namespace instar::iscsi {

namespace {

using sdk::ConstBytes;
using sdk::Error;
using sdk::fail;
using sdk::load_be;
using sdk::Result;

constexpr uint32_t kSector = 512;
constexpr uint32_t kLargestBlock = 64 << 10;

constexpr uint8_t kCachingPage = 0x08;

/** Descriptors of GET LBA STATUS. */
constexpr size_t kStatusHeader = 8;
constexpr size_t kStatusDescriptor = 16;
constexpr uint8_t kMapped = 0;

/** A number, or 0 where the answer ends before it. */
template <class T>
T field(ConstBytes answer, size_t at) {
  return at + sizeof(T) <= answer.size() ? load_be<T>(answer.data() + at) : T{0};
}

bool flag(ConstBytes answer, size_t at, uint8_t mask) {
  return (field<uint8_t>(answer, at) & mask) != 0;
}

Result<Capacity> checked(Capacity capacity, uint64_t last) {
  const uint32_t size = capacity.block_size;
  if (size < kSector || size > kLargestBlock || !std::has_single_bit(size))
    return fail(EINVAL, "iSCSI: the target returned an invalid block size of ", size, ".");
  if (last >= uint64_t{INT64_MAX} / size)
    return fail(EFBIG, "iSCSI: the target returned an impossible last block of ", last, ".");
  capacity.blocks = last + 1;
  return capacity;
}

Error too_short(const char* what) {
  return fail(EINVAL, "iSCSI: Failed to unmarshall ", what, " data.");
}

}  // namespace

Result<Capacity> parse_capacity_16(ConstBytes answer) {
  if (answer.size() < 16) return too_short("readcapacity16");
  Capacity capacity;
  capacity.block_size = load_be<uint32_t>(answer.data() + 8);
  capacity.thin = flag(answer, 14, 0x80);
  capacity.reads_zero = flag(answer, 14, 0x40);
  return checked(capacity, load_be<uint64_t>(answer.data()));
}

Result<Capacity> parse_capacity_10(ConstBytes answer) {
  if (answer.size() < 8) return too_short("readcapacity10");
  Capacity capacity;
  capacity.block_size = load_be<uint32_t>(answer.data() + 4);
  const auto last = load_be<uint32_t>(answer.data());
  if (last == UINT32_MAX)  // more than this command can tell
    return fail(EFBIG, "iSCSI: failed to send readcapacity10/16 command");
  return checked(capacity, last);
}

Mode parse_mode(ConstBytes answer) {
  Mode mode;
  mode.write_protected = flag(answer, 2, 0x80);
  mode.fua = flag(answer, 2, 0x10);
  const size_t end = std::min<size_t>(answer.size(), field<uint8_t>(answer, 0) + 1);
  size_t at = 4 + field<uint8_t>(answer, 3);
  while (at + 4 <= end) {
    const uint8_t code = answer[at];
    const bool long_form = (code & 0x40) != 0;
    if (code % 0x40 == kCachingPage && !long_form) mode.write_cache = flag(answer, at + 2, 0x04);
    at += long_form ? 4 + field<uint16_t>(answer, at + 2) : 2 + answer[at + 1];
  }
  return mode;
}

BlockLimits parse_block_limits(ConstBytes page) {
  if (field<uint8_t>(page, 1) != kBlockLimitsPage) return {};
  BlockLimits limits;
  limits.max_transfer = field<uint32_t>(page, 8);
  limits.max_unmap = field<uint32_t>(page, 20);
  limits.unmap_granularity = field<uint32_t>(page, 28);
  limits.max_write_same = field<uint64_t>(page, 36);
  return limits;
}

Provisioning parse_provisioning(ConstBytes page) {
  if (field<uint8_t>(page, 1) != kProvisioningPage) return {};
  return {flag(page, 5, 0x80), flag(page, 5, 0x40)};
}

Result<size_t> parse_lba_status(ConstBytes answer, const Capacity& capacity, uint64_t first,
                                uint64_t count, instar_extent* out, size_t max) {
  constexpr uint32_t kPlain = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;
  const uint64_t end = first + count;
  const size_t said = size_t{field<uint32_t>(answer, 0)} + 4;
  answer = answer.first(std::min(answer.size(), said));
  size_t extents = 0;
  uint64_t covered = first;
  for (size_t at = kStatusHeader; at + kStatusDescriptor <= answer.size();
       at += kStatusDescriptor) {
    const auto begin = load_be<uint64_t>(answer.data() + at);
    const auto blocks = load_be<uint32_t>(answer.data() + at + 8);
    // The first may begin earlier; each other follows the one before.
    const bool fits = extents == 0 ? begin <= covered : begin == covered;
    if (!fits || covered >= end || extents == max || blocks <= covered - begin) break;
    const uint64_t until = std::min(end, begin + blocks);
    const bool mapped = (answer[at + 12] & 0x0f) == kMapped;
    const uint32_t unmapped = capacity.reads_zero ? INSTAR_EXTENT_ZERO | kPlain : 0;
    out[extents++] = {(until - covered) * capacity.block_size, covered * capacity.block_size,
                      mapped ? INSTAR_EXTENT_DATA | kPlain : unmapped, 0};
    covered = until;
  }
  if (extents == 0)
    return fail(EIO, "iSCSI: the target's block status at lba ", first, " does not begin there");
  return extents;
}

int errno_of_sense(int key, int asc) {
  if (key != SCSI_SENSE_NOT_READY && key != SCSI_SENSE_ILLEGAL_REQUEST &&
      key != SCSI_SENSE_DATA_PROTECTION)
    return EIO;
  switch (asc) {
    case 0x1a00:  // parameter list length
    case 0x2000:  // operation code
    case 0x2400:  // field in the command
    case 0x2600:  // field in the parameters
      return EINVAL;
    case 0x2100:  // address out of range
    case 0x2707:  // thin space is used up
      return ENOSPC;
    case 0x2500:  // logical unit
      return ENOTSUP;
    case 0x2700:  // write protected
      return EACCES;
    case 0x3a00:  // no medium, and where the tray is
    case 0x3a01:
    case 0x3a02:
      return ENOMEDIUM;
    default:
      return EIO;
  }
}

}  // namespace instar::iscsi
