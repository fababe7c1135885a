// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow/cluster_table.hpp"

namespace instar::qcow {

using sdk::Block;
using sdk::BlockSpace;
using sdk::Bytes;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {
sdk::Error unreadable() {
  return fail(EIO, sdk::errno_text(EIO));
}
}  // namespace

ClusterTable::ClusterTable(sdk::HostFile file, const Header& header, const sdk::Host& host,
                           std::unique_ptr<sdk::ContentCipher> cipher)
    : file_(std::move(file)),
      header_(header),
      host_(host),
      cipher_(std::move(cipher)),
      l1_(file_, kCacheBytes),
      l2_(file_, kCacheBytes),
      next_(std::max(file_.size(), header_.l1_end())) {}

Result<uint64_t> ClusterTable::l2_table(const Call& call, uint64_t cluster) {
  INSTAR_TRY(const auto entry, l1_.get<Be<uint64_t>>(call, l1_position(cluster)));
  if (entry > INT64_MAX - header_.l2_bytes()) return unreadable();
  return uint64_t{entry};
}

Block ClusterTable::block_of(uint64_t entry) const {
  if (entry == 0) return Block{};
  if ((entry & kEntryPacked) == 0) {
    const bool sound = entry % kSector == 0 && entry <= INT64_MAX - header_.cluster_size();
    return Block{sound ? Block::Kind::kData : Block::Kind::kBroken, entry, 0};
  }
  const uint64_t mask = (uint64_t{1} << packed_shift()) - 1;
  return Block{Block::Kind::kPacked, entry & mask, (entry & ~kEntryPacked) >> packed_shift()};
}

Result<Block> ClusterTable::lookup(const Call& call, uint64_t cluster) {
  const uint64_t entries = header_.l2_entries();
  // A table that is cut short: what the file does not have is no cluster.
  if (beyond_file(cluster)) return Block{.count = header_.l1_entries() * entries - cluster};
  INSTAR_TRY(const uint64_t table, l2_table(call, cluster));
  const uint64_t index = cluster % entries;
  if (table == 0) return Block{.count = entries - index};
  INSTAR_TRY(const auto entry, l2_.get<Be<uint64_t>>(call, table + index * sizeof(uint64_t)));
  return block_of(entry);
}

Result<uint64_t> ClusterTable::take(uint64_t offset, uint64_t length) {
  if (offset > INT64_MAX - length) return fail(EFBIG, sdk::errno_text(EFBIG));
  next_ = offset + length;
  return offset;
}

Result<BlockSpace> ClusterTable::allocate(const Call&, uint64_t, uint64_t count) {
  INSTAR_TRY(const uint64_t offset,
             take(sdk::round_up(next_, header_.cluster_size()), count * header_.cluster_size()));
  return BlockSpace{offset, count};
}

bool ClusterTable::release(uint64_t, uint64_t offset) {
  if (next_ != offset + header_.cluster_size()) return false;
  next_ = offset;
  return true;
}

Result<uint64_t> ClusterTable::allocate_packed(uint64_t length) {
  if (next_ >> packed_shift() != 0) return fail(EFBIG, sdk::errno_text(EFBIG));
  return take(next_, length);
}

Status ClusterTable::store(const Call& call, uint64_t cluster, const Block& what) {
  INSTAR_TRY(uint64_t table, l2_table(call, cluster));
  if (table == 0) {
    INSTAR_TRY(table, take(sdk::round_up(next_, header_.cluster_size()), header_.l2_bytes()));
    INSTAR_CHECK(l2_.write_zeroes(call, table, header_.l2_bytes()));
    INSTAR_CHECK(l1_.set(call, l1_position(cluster), Be<uint64_t>(table)));
  }
  const uint64_t entry = what.kind == Block::Kind::kPacked
                             ? kEntryPacked | what.length << packed_shift() | what.offset
                             : what.offset;
  return l2_.set(call, table + cluster % header_.l2_entries() * sizeof(uint64_t),
                 Be<uint64_t>(entry));
}

/** Tables before the table that refers to them. */
Status ClusterTable::write_back(const Call& call) {
  INSTAR_CHECK(l2_.write_back(call));
  if (!l1_.dirty()) return {};
  INSTAR_CHECK(file_.flush(call));
  return l1_.write_back(call);
}

Result<sdk::CodecPool*> ClusterTable::codec() {
  const std::lock_guard lock(codec_mutex_);
  if (codec_ == nullptr) {
    instar_codec_params params{};
    params.framing = INSTAR_FRAMING_RAW;
    params.window_bits = kDeflateWindowBits;
    params.max_output = header_.cluster_size();
    INSTAR_TRY(codec_, sdk::CodecPool::open(host_, "zlib", params));
  }
  return codec_.get();
}

Status ClusterTable::unpack(const Call& call, uint64_t, const Block& packed, Bytes out) {
  INSTAR_TRY(sdk::CodecPool * codec, this->codec());
  std::vector<uint8_t> bytes(packed.length);
  file_.say("read_compressed");
  INSTAR_CHECK(file_.read(call, packed.offset, bytes.data(), bytes.size()));
  const auto n = codec->decompress(bytes, out);
  if (!n || *n != static_cast<int64_t>(out.size())) return unreadable();
  return {};
}

/** The name is there before the header says so, by way of the cache, which has the header's sector. */
Status ClusterTable::record_backing(const Call& call, const std::string& name) {
  uint64_t place = 0;
  if (!name.empty()) {
    INSTAR_TRY(place, take(next_, name.size()));
    INSTAR_CHECK(file_.write(call, place, name.data(), name.size()));
    INSTAR_CHECK(file_.flush(call));
  }
  header_.backing_file_offset = place;
  header_.backing_file_size = static_cast<uint32_t>(name.size());
  INSTAR_CHECK(l1_.write(call, 0, &header_, sizeof header_));
  INSTAR_CHECK(l1_.write_back(call));
  return file_.flush(call);
}

Status ClusterTable::clear(const Call& call) {
  const uint64_t end = header_.l1_end();
  l1_.clear();
  l2_.clear();
  INSTAR_CHECK(file_.write_zeroes(call, header_.l1_table_offset, end - header_.l1_table_offset, 0));
  INSTAR_CHECK(file_.flush(call));
  INSTAR_CHECK(file_.resize(call, end));
  next_ = end;
  return {};
}

}  // namespace instar::qcow
