// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qed/cluster_table.hpp"

namespace instar::qed {

using sdk::Block;
using sdk::BlockSpace;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {
sdk::Error invalid() {
  return fail(EINVAL, sdk::errno_text(EINVAL));
}
}  // namespace

ClusterTable::ClusterTable(sdk::HostFile file, const Header& header)
    : file_(std::move(file)),
      header_(header),
      l1_(file_, kCacheBytes),
      l2_(file_, kCacheBytes),
      next_(sdk::round_down(file_.size(), header_.cluster_size)) {}

bool ClusterTable::valid_cluster(uint64_t offset) const {
  return offset % header_.cluster_size == 0 && offset >= header_.header_bytes() && offset < next_;
}

bool ClusterTable::valid_table(uint64_t offset) const {
  const uint64_t rest = header_.table_bytes() - header_.cluster_size;
  return valid_cluster(offset) && offset < next_ - rest && next_ > rest;
}

Result<uint64_t> ClusterTable::l1_entry(const Call& call, uint64_t index) {
  INSTAR_TRY(const auto entry,
             l1_.get<Le<uint64_t>>(call, header_.l1_table_offset + index * sizeof(uint64_t)));
  return uint64_t{entry};
}

Status ClusterTable::clear_l1_entry(const Call& call, uint64_t index) {
  return l1_.set(call, header_.l1_table_offset + index * sizeof(uint64_t), Le<uint64_t>(0));
}

Result<uint64_t> ClusterTable::l2_entry(const Call& call, uint64_t table, uint64_t index) {
  INSTAR_TRY(const auto entry, l2_.get<Le<uint64_t>>(call, table + index * sizeof(uint64_t)));
  return uint64_t{entry};
}

Status ClusterTable::set_l2_entry(const Call& call, uint64_t table, uint64_t index,
                                  uint64_t entry) {
  return l2_.set(call, table + index * sizeof(uint64_t), Le<uint64_t>(entry));
}

Result<Block> ClusterTable::lookup(const Call& call, uint64_t cluster) {
  const uint64_t entries = header_.table_entries();
  const uint64_t index = cluster % entries;
  INSTAR_TRY(const uint64_t table, l1_entry(call, cluster / entries));
  if (table == 0) return Block{.count = entries - index};
  if (!valid_table(table)) return invalid();
  INSTAR_TRY(const uint64_t offset, l2_entry(call, table, index));
  if (offset == 0) return Block{};
  if (offset == kZeroCluster) return Block{.kind = Block::Kind::kZero};
  if (!valid_cluster(offset)) return invalid();
  return Block{Block::Kind::kData, offset, 0};
}

Result<BlockSpace> ClusterTable::allocate(const Call&, uint64_t, uint64_t count) {
  const uint64_t offset = next_;
  const uint64_t bytes = count * header_.cluster_size;
  if (offset > INT64_MAX - bytes) return fail(EFBIG, sdk::errno_text(EFBIG));
  next_ += bytes;
  return BlockSpace{offset, count};
}

bool ClusterTable::release(uint64_t, uint64_t offset) {
  if (next_ != offset + header_.cluster_size) return false;
  next_ = offset;
  return true;
}

Status ClusterTable::store(const Call& call, uint64_t cluster, const Block& what) {
  const uint64_t entries = header_.table_entries();
  INSTAR_TRY(uint64_t table, l1_entry(call, cluster / entries));
  if (table == 0) {
    INSTAR_TRY(const BlockSpace space, allocate(call, cluster, header_.table_size));
    table = space.offset;
    Status made = l2_.write_zeroes(call, table, header_.table_bytes());
    if (made)
      made = l1_.set(call, header_.l1_table_offset + cluster / entries * sizeof(uint64_t),
                     Le<uint64_t>(table));
    if (!made) {
      next_ = table;
      return made;
    }
  }
  const uint64_t entry = what.kind == Block::Kind::kZero ? kZeroCluster : what.offset;
  return set_l2_entry(call, table, cluster % entries, entry);
}

/** Tables before the table that refers to them. */
Status ClusterTable::write_back(const Call& call) {
  INSTAR_CHECK(l2_.write_back(call));
  if (!l1_.dirty()) return {};
  INSTAR_CHECK(file_.flush(call));
  return l1_.write_back(call);
}

Status ClusterTable::write_header(const Call& call) {
  INSTAR_CHECK(file_.write(call, 0, &header_, sizeof header_));
  return file_.flush(call);
}

}  // namespace instar::qed
