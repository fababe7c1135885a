// SPDX-License-Identifier: Apache-2.0
// Another size of the disk. The header is in one sector, and says at once how large the disk is and where
// the L1 table: what a larger disk needs is in the file before, and what a smaller one does not need is
// given up afterwards.
#include "plugins/formats/qcow/image.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::qcow {

using sdk::Block;
using sdk::Call;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kCopyBytes = 1u << 20;

uint64_t clusters_of(const Header& header, uint64_t size) {
  return sdk::div_up(size, header.cluster_size());
}

}  // namespace

Status ClusterTable::write_header(const Call& call, const Header& header) {
  INSTAR_CHECK(file_.flush(call));
  INSTAR_CHECK(file_.write(call, 0, &header, sizeof header));
  header_ = header;
  l1_.clear();
  return file_.flush(call);
}

Status ClusterTable::set_size(const Call& call, uint64_t size) {
  Header header = header_;
  header.size = size;
  return write_header(call, header);
}

/** A larger one at the end of the file. Where it is. */
Result<uint64_t> ClusterTable::copy_l1(const Call& call, uint64_t entries) {
  const uint64_t bytes = sdk::round_up(entries * sizeof(uint64_t), kSector);
  const uint64_t used = header_.l1_end() - header_.l1_table_offset;
  INSTAR_TRY(const uint64_t place, take(sdk::round_up(next_, header_.cluster_size()), bytes));
  std::vector<uint8_t> piece;
  for (uint64_t at = 0; at < used; at += piece.size()) {
    piece.resize(std::min(used - at, kCopyBytes));
    INSTAR_CHECK(file_.read(call, header_.l1_table_offset + at, piece.data(), piece.size()));
    INSTAR_CHECK(file_.write(call, place + at, piece.data(), piece.size()));
  }
  INSTAR_CHECK(file_.write_zeroes(call, place + used, bytes - used, 0));
  return place;
}

Status ClusterTable::grow(const Call& call, uint64_t size) {
  // Who shrank it, or let it grow, may not have come to an end.
  const uint64_t clusters = clusters_of(header_, header_.size);
  const uint64_t end = sdk::round_up(clusters, header_.l2_entries());
  if (clusters < end) INSTAR_CHECK(unlink(call, clusters, end));
  INSTAR_CHECK(write_back(call));
  Header grown = header_;
  grown.size = size;
  if (grown.l1_entries() == header_.l1_entries()) return {};
  INSTAR_TRY(grown.l1_table_offset, copy_l1(call, grown.l1_entries()));
  grown.size = header_.size;
  return write_header(call, grown);
}

/** Clusters [first, end), of one L2 table, are absent from now on. Where plain ones lay. */
Result<std::vector<uint64_t>> ClusterTable::unlink(const Call& call, uint64_t first, uint64_t end) {
  std::vector<uint64_t> free;
  INSTAR_TRY(const uint64_t table, l2_table(call, first));
  if (table == 0) return free;
  for (uint64_t cluster = first; cluster < end; ++cluster) {
    const uint64_t position = table + cluster % header_.l2_entries() * sizeof(uint64_t);
    INSTAR_TRY(const auto entry, l2_.get<Be<uint64_t>>(call, position));
    if (entry == 0) continue;
    const Block block = block_of(entry);
    if (block.kind == Block::Kind::kData) free.push_back(block.offset);
    INSTAR_CHECK(l2_.set(call, position, Be<uint64_t>(0)));
  }
  return free;
}

/** Clusters that are given up become holes. Nobody looks at tables that lie behind the end as a
 * whole. */
Status ClusterTable::shrink(const Call& call, uint64_t size) {
  const uint64_t entries = header_.l2_entries();
  const uint64_t before = clusters_of(header_, header_.size);
  INSTAR_CHECK(set_size(call, size));
  for (uint64_t first = clusters_of(header_, size); first < before;) {
    if (l1_position(first) >= file_.size()) break;
    const uint64_t end = std::min(before, sdk::round_down(first, entries) + entries);
    INSTAR_TRY(const std::vector<uint64_t> free, unlink(call, first, end));
    if (first % entries != 0 || crowded()) {
      INSTAR_CHECK(write_back(call));
      INSTAR_CHECK(file_.flush(call));
    }
    for (const uint64_t offset : free)
      INSTAR_CHECK(file_.discard(call, offset, header_.cluster_size()));
    first = end;
  }
  INSTAR_CHECK(write_back(call));
  return file_.flush(call);
}

/** Of a packed cluster at the end becomes a plain one. */
Status Image::unpack_last(const Call& call) {
  const uint64_t end = size();
  if (end == 0) return {};
  {
    const std::lock_guard lock(mutex());
    INSTAR_TRY(const Block last, table().lookup(call, (end - 1) / table().header().cluster_size()));
    if (last.kind != Block::Kind::kPacked) return {};
  }
  std::vector<uint8_t> sector(kSector);
  const instar_iovec piece{sector.data(), sector.size()};
  INSTAR_CHECK(read(call, end - kSector, sdk::IoVec(&piece, 1)));
  return write(call, end - kSector, sdk::IoVec(&piece, 1), 0);
}

Status Image::grow(const Call& call, uint64_t size) {
  const uint64_t before = this->size();
  INSTAR_CHECK(unpack_last(call));
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_CHECK(write_tables(call));
    INSTAR_CHECK(clear_rest(call));
    INSTAR_CHECK(table().grow(call, size));
  }
  // A longer backing file is not seen in what the disk grows by.
  const uint64_t below = std::min(size, sdk::round_up(backing_size(), kSector));
  if (below > before) INSTAR_CHECK(write_zeroes(call, before, below - before, 0));
  const std::lock_guard lock(mutex());
  INSTAR_CHECK(write_tables(call));
  return table().set_size(call, size);
}

Status Image::shrink(const Call& call, uint64_t size) {
  const std::lock_guard lock(mutex());
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(write_tables(call));
  return table().shrink(call, size);
}

Status Image::resize(const Call& call, uint64_t size, uint32_t mode, uint32_t,
                     const instar_progress*) {
  INSTAR_CHECK(sdk::check_no_preallocation(mode));
  Header asked = table().header();
  asked.size = size;
  INSTAR_CHECK(check_size(asked));
  size = sdk::round_up(size, kSector);
  if (size == this->size()) return {};
  INSTAR_CHECK(size > this->size() ? grow(call, size) : shrink(call, size));
  set_size(size);
  return {};
}

}  // namespace instar::qcow
