// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blklogwrites/blklogwrites_node.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "sdk/cpp/plugin.hpp"

namespace instar::blklogwrites {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kMaxSector = 1u << 23;
/** Behind the last entry of a log that is there already. */
Result<Position> find_end(const Call& call, const NodeRef& log, uint64_t sector_size,
                          uint64_t entries) {
  INSTAR_TRY(const uint64_t size, log.size());
  Position end;
  for (; end.entries < entries; ++end.entries) {
    if (end.sector >= size / sector_size)
      return fail(EINVAL, "The log ends before its entry ", end.entries, " of ", entries);
    Entry entry;
    INSTAR_CHECK(log.read(call, end.sector * sector_size, &entry, sizeof entry));
    const uint64_t data = (entry.flags & kDiscard) == 0 ? uint64_t{entry.sectors} : 0;
    if (data > size / sector_size - end.sector)
      return fail(EINVAL, "Entry ", end.entries, " of the log is longer than the log");
    end.sector += 1 + data;
  }
  return end;
}

Result<SuperBlock> read_super(const Call& call, const NodeRef& log) {
  SuperBlock super;
  if (const auto got = log.read(call, 0, &super, sizeof super); !got)
    return fail(got.error().code, "Could not read log superblock: ", got.error().message);
  if (super.magic != kMagic) return fail(EINVAL, "Invalid log superblock magic");
  if (super.version != kVersion)
    return fail(EINVAL, "Unsupported log version ", uint64_t{super.version});
  const uint32_t size = super.sector_size;
  if (!std::has_single_bit(size) || size < sizeof(Entry) || size >= kMaxSector)
    return fail(EINVAL, "Invalid log sector size ", size);
  return super;
}

}  // namespace

Result<std::unique_ptr<BlklogwritesNode>> BlklogwritesNode::open(sdk::OpenContext& context) {
  const auto options = context.options();
  INSTAR_TRY(const NodeRef below, context.file(INSTAR_CHILD_FILTERED));
  INSTAR_TRY(const NodeRef log, context.child("log", INSTAR_CHILD_DATA));
  const bool append = options.flag("log-append");
  Settings settings;
  Position next;
  if (append) {
    if (options.has("log-sector-size"))
      return fail(EINVAL, "log-append and log-sector-size are mutually exclusive");
    INSTAR_TRY(const uint64_t size, log.size());
    if (size != 0) {
      INSTAR_TRY(const SuperBlock super, read_super(context.call(), log));
      settings.sector_size = super.sector_size;
      INSTAR_TRY(next, find_end(context.call(), log, settings.sector_size, super.entries));
    }
  } else {
    settings.sector_size = options.number("log-sector-size", settings.sector_size);
    if (!std::has_single_bit(settings.sector_size) || settings.sector_size < sizeof(Entry) ||
        settings.sector_size >= kMaxSector)
      return fail(EINVAL, "Invalid log sector size ", settings.sector_size);
  }
  settings.update_interval = options.number("log-super-update-interval", settings.update_interval);
  if (settings.update_interval == 0)
    return fail(EINVAL, "Invalid log superblock update interval ", settings.update_interval);
  return std::make_unique<BlklogwritesNode>(below, log, settings, next);
}

/** Entries count whole sectors. */
void BlklogwritesNode::limits(instar_node_limits& limits) const {
  PassThrough::limits(limits);
  limits.request_alignment = static_cast<uint32_t>(settings_.sector_size);
}

Status BlklogwritesNode::write_super(const Call& call) {
  SuperBlock super;
  super.magic = kMagic;
  super.version = kVersion;
  super.entries = next_.entries;
  super.sector_size = static_cast<uint32_t>(settings_.sector_size);
  std::vector<uint8_t> sector(settings_.sector_size);
  std::memcpy(sector.data(), &super, sizeof super);
  return log_.write(call, 0, sector.data(), sector.size());
}

/** Appends an entry. @param zeroes its data are zeroes */
Status BlklogwritesNode::add(const Call& call, uint64_t offset, uint64_t length, uint64_t flags,
                             const IoVec& data, bool zeroes) {
  const uint64_t sector = settings_.sector_size;
  Entry entry;
  entry.sector = offset / sector;
  entry.sectors = sdk::div_up(length, sector);
  entry.flags = flags;
  std::vector<uint8_t> head(sector);
  std::memcpy(head.data(), &entry, sizeof entry);
  const std::lock_guard lock(mutex_);
  const uint64_t at = next_.sector * sector;
  INSTAR_CHECK(log_.write(call, at, head.data(), head.size()));
  if (zeroes)
    INSTAR_CHECK(log_.write_zeroes(call, at + sector, length));
  else if (data.count() != 0)
    INSTAR_CHECK(log_.write(call, at + sector, data));
  next_.sector += (flags & kDiscard) != 0 ? 1 : 1 + entry.sectors;
  ++next_.entries;
  changed_ = true;
  const bool flushes = (flags & (kFlush | kFua)) != 0;
  if (flushes || next_.entries % settings_.update_interval == 0) INSTAR_CHECK(write_super(call));
  return flushes ? log_.flush(call) : Status{};
}

Status BlklogwritesNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  INSTAR_CHECK(PassThrough::write(call, offset, from, flags));
  const uint64_t fua = (flags & INSTAR_WRITE_FUA) != 0 ? uint64_t{kFua} : 0;
  return add(call, offset, from.length(), fua, from, false);
}

Status BlklogwritesNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                      uint32_t flags) {
  INSTAR_CHECK(PassThrough::write_zeroes(call, offset, length, flags));
  const uint64_t fua = (flags & INSTAR_WRITE_FUA) != 0 ? uint64_t{kFua} : 0;
  return add(call, offset, length, fua, {}, true);
}

Status BlklogwritesNode::discard(const Call& call, uint64_t offset, uint64_t length) {
  INSTAR_CHECK(PassThrough::discard(call, offset, length));
  return add(call, offset, length, kDiscard, {}, false);
}

Status BlklogwritesNode::flush(const Call& call) {
  INSTAR_CHECK(PassThrough::flush(call));
  return add(call, 0, 0, kFlush, {}, false);
}

Status BlklogwritesNode::close(const Call& call) {
  if (!changed_) return {};
  INSTAR_CHECK(write_super(call));
  return log_.flush(call);
}

}  // namespace instar::blklogwrites

INSTAR_PLUGIN("blklogwrites", "1.0.0",
              instar::sdk::filter<instar::blklogwrites::BlklogwritesNode>("blklogwrites"))
