// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vmdk/grain_table.hpp"

#include <algorithm>

namespace instar::vmdk {

using sdk::Block;
using sdk::BlockSpace;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

/** The upper half of a seSparse directory entry that has a table. */
constexpr uint64_t kSeTableThere = 0x10000000;
/** Bytes of a file in which a grain, or a table, can lie. */
constexpr uint64_t kMostPlaces = kMostSectors * kSector;
enum class SeKind : uint64_t { kAbsent = 0, kUnmapped = 1, kZero = 2, kData = 3 };

sdk::Error wrong() {
  return fail(EIO, sdk::errno_text(EIO));
}

}  // namespace

GrainTable::GrainTable(sdk::HostFile file, const GrainLayout& layout,
                       std::unique_ptr<sdk::CodecPool> codec)
    : file_(std::move(file)),
      layout_(layout),
      codec_(std::move(codec)),
      directory_(file_, kCacheBytes),
      tables_(file_, kCacheBytes),
      gd_offset_(layout.gd_offset),
      next_(sdk::round_up(file_.size(), kSector)) {}

Result<uint64_t> GrainTable::se_table_sector(const Call& call, uint64_t index) {
  INSTAR_TRY(const auto entry,
             directory_.get<Le<uint64_t>>(call, gd_offset_ + index * sizeof(uint64_t)));
  if (entry == 0) return uint64_t{0};
  if (entry >> 32 != kSeTableThere) return wrong();
  const uint64_t tables = (entry & UINT32_MAX) * (layout_.table_bytes() / kSector);
  if (layout_.se_tables_sector > UINT32_MAX || tables > UINT32_MAX - layout_.se_tables_sector)
    return wrong();
  return layout_.se_tables_sector + tables;
}

/** Of the table that a grain is in; 0: there is none. */
Result<uint64_t> GrainTable::table_sector(const Call& call, uint64_t directory, uint64_t grain) {
  const uint64_t index = grain / layout_.table_entries;
  if (index >= layout_.gd_entries) return wrong();
  if (layout_.se_sparse) return se_table_sector(call, index);
  INSTAR_TRY(const auto sector,
             directory_.get<Le<uint32_t>>(call, directory + index * sizeof(uint32_t)));
  return uint64_t{sector};
}

Result<Block> GrainTable::se_lookup(const Call& call, uint64_t position) {
  INSTAR_TRY(const auto number, tables_.get<Le<uint64_t>>(call, position));
  const uint64_t entry = number;
  switch (static_cast<SeKind>(entry >> 60)) {
    case SeKind::kAbsent:
      return entry == 0 ? Result<Block>(Block{}) : wrong();
    case SeKind::kUnmapped:
    case SeKind::kZero:
      return Block{.kind = Block::Kind::kZero};
    case SeKind::kData:
      break;
    default:
      return wrong();
  }
  const uint64_t grain = (entry & 0x0fff000000000000) >> 48 | (entry & 0x0000ffffffffffff) << 12;
  uint64_t offset = 0;
  if (sdk::mul_overflows(grain, layout_.grain_bytes(), &offset) ||
      sdk::add_overflows(offset, layout_.se_grains_sector * kSector, &offset) ||
      offset > INT64_MAX - layout_.grain_bytes())
    return wrong();
  return Block{Block::Kind::kData, offset, 0};
}

Result<Block> GrainTable::lookup(const Call& call, uint64_t grain) {
  INSTAR_TRY(const uint64_t table, table_sector(call, gd_offset_, grain));
  if (table == 0) return Block{.count = layout_.table_entries - grain % layout_.table_entries};
  const uint64_t position = table * kSector + index_in_table(grain);
  if (layout_.se_sparse) return se_lookup(call, position);
  INSTAR_TRY(const auto sector, tables_.get<Le<uint32_t>>(call, position));
  if (sector == 0) return Block{};
  if (layout_.zeroed_grains && sector == kZeroedGrain) return Block{.kind = Block::Kind::kZero};
  const uint64_t offset = sector * kSector;
  // With what stands before it, a packed grain is at most twice as long.
  if (layout_.compressed) return Block{Block::Kind::kPacked, offset, 2 * layout_.grain_bytes()};
  return Block{Block::Kind::kData, offset, 0};
}

/** All of it within what an entry can say. */
Result<uint64_t> GrainTable::allocate_bytes(uint64_t length) {
  const uint64_t offset = next_;
  if (length > kMostPlaces || offset > kMostPlaces - length)
    return fail(EINVAL, sdk::errno_text(EINVAL));
  next_ = sdk::round_up(offset + length, kSector);
  return offset;
}

Result<BlockSpace> GrainTable::allocate(const Call&, uint64_t, uint64_t count) {
  next_ = sdk::round_up(next_, layout_.grain_bytes());
  const uint64_t room = (kMostPlaces - std::min(next_, kMostPlaces)) / layout_.grain_bytes();
  count = std::clamp<uint64_t>(room, 1, count);
  INSTAR_TRY(const uint64_t offset, allocate_bytes(count * layout_.grain_bytes()));
  return BlockSpace{offset, count};
}

bool GrainTable::release(uint64_t, uint64_t offset) {
  if (next_ != offset + layout_.grain_bytes()) return false;
  next_ = offset;
  return true;
}

/** Extents of others, and streams, have tables only where there are grains. */
Status GrainTable::make_table(const Call& call, uint64_t directory, uint64_t grain) {
  const uint64_t marker_bytes = layout_.markers ? sizeof(Marker) : 0;
  INSTAR_TRY(uint64_t offset, allocate_bytes(marker_bytes + layout_.table_bytes()));
  if (layout_.markers) {
    const Marker marker = make_marker(MarkerType::kGrainTable, layout_.table_bytes());
    INSTAR_CHECK(tables_.write(call, offset, &marker, sizeof marker));
    offset += sizeof marker;
  }
  INSTAR_CHECK(tables_.write_zeroes(call, offset, layout_.table_bytes()));
  const uint64_t index = grain / layout_.table_entries;
  return directory_.set(call, directory + index * sizeof(uint32_t),
                        Le<uint32_t>(static_cast<uint32_t>(offset / kSector)));
}

Status GrainTable::set_entry(const Call& call, uint64_t directory, uint64_t grain, uint32_t entry) {
  INSTAR_TRY(uint64_t table, table_sector(call, directory, grain));
  if (table == 0) {
    const uint64_t before = next_;
    if (auto made = make_table(call, directory, grain); !made) {
      next_ = before;
      return made;
    }
    INSTAR_TRY(table, table_sector(call, directory, grain));
  }
  return tables_.set(call, table * kSector + index_in_table(grain), Le<uint32_t>(entry));
}

Status GrainTable::store(const Call& call, uint64_t grain, const Block& what) {
  const uint32_t entry =
      what.kind == Block::Kind::kZero ? kZeroedGrain : static_cast<uint32_t>(what.offset / kSector);
  INSTAR_CHECK(set_entry(call, gd_offset_, grain, entry));
  if (layout_.rgd_offset == 0 || layout_.rgd_offset == layout_.gd_offset) return {};
  return set_entry(call, layout_.rgd_offset, grain, entry);
}

/** Tables before the directory that refers to them. */
Status GrainTable::write_back(const Call& call) {
  INSTAR_CHECK(tables_.write_back(call));
  if (!directory_.dirty()) return {};
  INSTAR_CHECK(file_.flush(call));
  return directory_.write_back(call);
}

/** Tables that come with the grains make the stream as short as it can be. Until the header says so,
 * the second directory is the one that counts. */
Status GrainTable::begin_stream(const Call& call) {
  layout_.fresh = false;
  SparseHeader header;
  INSTAR_CHECK(file_.read(call, 0, &header, sizeof header));
  directory_.clear();
  tables_.clear();
  INSTAR_CHECK(directory_.write_zeroes(call, layout_.rgd_offset, directory_bytes()));
  INSTAR_CHECK(directory_.write_back(call));
  INSTAR_CHECK(file_.flush(call));
  header.flags = header.flags & ~kFlagRedundantTable;
  header.gd_offset = header.rgd_offset;
  next_ = sdk::round_up(layout_.rgd_offset + directory_bytes(), layout_.grain_bytes());
  header.overhead = next_ / kSector;
  INSTAR_CHECK(file_.write(call, 0, &header, sizeof header));
  INSTAR_CHECK(file_.flush(call));
  gd_offset_ = layout_.gd_offset = layout_.rgd_offset;
  layout_.gd_in_front = true;
  layout_.rgd_offset = 0;
  return file_.resize(call, next_);
}

/** A finished stream begins again where its end was. */
Status GrainTable::start_writing(const Call& call) {
  if (layout_.fresh) return begin_stream(call);
  if (layout_.gd_at_end) return fail(EINVAL, "A finished stream can't be written to");
  if (layout_.tail_offset == 0) return {};
  next_ = layout_.tail_offset;
  return file_.resize(call, next_);
}

/** Directory, footer and end-of-stream marker, as a reader of a stream expects them. The header goes on
 * naming the directory in front: the inspectors of OpenStack refuse a footer that counts. */
Status GrainTable::end_writing(const Call& call) {
  if (!layout_.gd_in_front) return {};
  const uint64_t bytes = directory_bytes();
  const uint64_t total = sizeof(Marker) + bytes + sizeof(Tail);
  INSTAR_TRY(const uint64_t offset, allocate_bytes(total));
  const Marker marker = make_marker(MarkerType::kGrainDirectory, bytes);
  INSTAR_CHECK(file_.write(call, offset, &marker, sizeof marker));
  const uint64_t copy = offset + sizeof marker;
  uint8_t sector[kSector];
  for (uint64_t at = 0; at < bytes; at += kSector) {
    INSTAR_CHECK(directory_.read(call, gd_offset_ + at, sector, kSector));
    INSTAR_CHECK(file_.write(call, copy + at, sector, kSector));
  }
  Tail tail{};
  tail.footer_marker = make_marker(MarkerType::kFooter, kSector);
  tail.end_of_stream = make_marker(MarkerType::kEndOfStream, 0);
  INSTAR_CHECK(file_.read(call, 0, &tail.footer, sizeof tail.footer));
  tail.footer.gd_offset = copy / kSector;
  INSTAR_CHECK(file_.write(call, copy + bytes, &tail, sizeof tail));
  INSTAR_CHECK(file_.resize(call, offset + total));
  return file_.flush(call);
}

Status GrainTable::check_backing() const {
  return trusted_ ? Status{} : fail(EINVAL, sdk::errno_text(EINVAL));
}

Status GrainTable::unpack(const Call& call, uint64_t, const Block& packed, sdk::Bytes out) {
  const auto unreadable = [] { return fail(EINVAL, sdk::errno_text(EINVAL)); };
  std::vector<uint8_t> bytes;
  uint64_t length = layout_.grain_bytes();
  uint64_t offset = packed.offset;
  if (layout_.markers) {
    GrainMarker marker;
    INSTAR_CHECK(file_.read(call, offset, &marker, sizeof marker));
    offset += sizeof marker;
    length = marker.size;
  }
  if (length == 0 || length > packed.length) return unreadable();
  bytes.resize(length);
  INSTAR_CHECK(file_.read(call, offset, bytes.data(), bytes.size()));
  INSTAR_TRY(const int64_t n, codec_->decompress(bytes, out));
  if (n <= 0) return unreadable();
  // The last grain may be shorter than others.
  std::fill(out.begin() + n, out.end(), uint8_t{0});
  return {};
}

}  // namespace instar::vmdk
