// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/parallels/cluster_table.hpp"

namespace instar::parallels {

using sdk::Block;
using sdk::BlockSpace;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {
/** Absent clusters that are reported at once: less than an exbibyte, whatever their size. */
constexpr uint64_t kManyAbsent = uint64_t{1} << 28;
}  // namespace

Result<Block> ClusterTable::lookup(const Call& call, uint64_t cluster) {
  if (cluster >= known_entries()) return Block{.count = kManyAbsent};
  INSTAR_TRY(const auto entry, cache_.get<Le<uint32_t>>(call, position(cluster)));
  if (entry == 0) return Block{};
  return Block{Block::Kind::kData, uint64_t{entry} * header_.entry_unit() * kSector, 0};
}

void ClusterTable::place_from(uint64_t end) {
  next_ = aligned(end);
}

/** Past the cache, for the table may be large. */
Status ClusterTable::clear_entries(const Call& call, uint64_t cluster, uint64_t end) {
  if (cluster >= end) return {};
  INSTAR_CHECK(file_.write_zeroes(call, position(cluster), position(end) - position(cluster), 0));
  cache_.clear();
  return {};
}

Status ClusterTable::set_header(const Call& call, const Header& header) {
  INSTAR_CHECK(file_.flush(call));
  header_ = header;
  if (header_.data_off != 0) data_begin_ = header_.data_off;
  return write_header(call);
}

Result<BlockSpace> ClusterTable::allocate(const Call& call, uint64_t cluster, uint64_t count) {
  if (cluster >= header_.bat_entries)
    return fail(ENOSPC, "Cluster ", cluster, " of the disk has no entry in the table, which has ",
                uint32_t{header_.bat_entries});
  const uint64_t tracks = header_.tracks;
  const uint64_t last = uint64_t{UINT32_MAX} * header_.entry_unit();
  if (!next_ || *next_ > last) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  count = std::min({count, header_.bat_entries - cluster, (last - *next_) / tracks + 1});
  const uint64_t offset = *next_ * kSector;
  const uint64_t end = offset + count * tracks * kSector;
  if (end > INT64_MAX - ahead_.bytes) return fail(EFBIG, sdk::errno_text(EFBIG));
  const bool zeroes = offset >= zeroes_from_ && file_.grows_with_zeroes();
  if (ahead_.bytes != 0 && end > file_.size())
    INSTAR_CHECK(file_.resize(call, end + ahead_.bytes, ahead_.mode));
  *next_ += count * tracks;
  return BlockSpace{offset, count, zeroes};
}

bool ClusterTable::release(uint64_t, uint64_t offset) {
  zeroes_from_ = std::max(zeroes_from_, offset + header_.cluster_bytes());
  if (offset / kSector + header_.tracks != *next_) return false;
  next_ = offset / kSector;
  return true;
}

Status ClusterTable::store(const Call& call, uint64_t cluster, const Block& what) {
  const uint64_t entry = what.offset / kSector / header_.entry_unit();
  return set_entry(call, cluster, static_cast<uint32_t>(entry));
}

/** By way of the cache, which has the first entries in the same sector. */
Status ClusterTable::write_header(const Call& call) {
  INSTAR_CHECK(cache_.write(call, 0, &header_, sizeof header_));
  INSTAR_CHECK(cache_.write_back(call));
  return file_.flush(call);
}

/** Dirty bitmaps that do not know of a write are worse than none. */
Status ClusterTable::start_writing(const Call& call) {
  header_.in_use = kInUse;
  if (!keeps_extension_) header_.ext_off = 0;
  return write_header(call);
}

Status ClusterTable::end_writing(const Call& call) {
  if (next_ && file_.size() > *next_ * kSector) INSTAR_CHECK(file_.resize(call, *next_ * kSector));
  if (unclean_) return {};
  header_.in_use = header_.ext_off != 0 ? kClosed : 0;
  return write_header(call);
}

}  // namespace instar::parallels
