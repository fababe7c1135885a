// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "plugins/formats/qcow2/image.hpp"
#include "plugins/formats/qcow2/stream.hpp"

namespace instar::qcow2 {
namespace {
constexpr uint32_t kDeflateWindowBits = 12;
}

Result<std::unique_ptr<sdk::CodecPool>> open_codec(const sdk::Host& host, const Header& header,
                                                   int level) {
  const bool zstd = header.compression_type == kCompressionZstd;
  instar_codec_params params{};
  params.framing = zstd ? INSTAR_FRAMING_DEFAULT : INSTAR_FRAMING_RAW;
  params.window_bits = zstd ? 0 : kDeflateWindowBits;
  params.level = level;
  params.max_output = uint64_t{1} << header.cluster_bits;
  return sdk::CodecPool::open(host, zstd ? "zstd" : "zlib", params);
}

Result<sdk::CodecPool*> Image::codec() {
  const std::lock_guard lock(codec_mutex_);
  if (codec_ == nullptr) {
    INSTAR_TRY(codec_, open_codec(host_, header_, settings_.compression_level));
  }
  return codec_.get();
}

Status Image::read_packed(const Call& call, const Run& run, const IoVec& to, uint64_t position) {
  if ((flags_ & INSTAR_OPEN_WRITE) != 0) {
    Lock lock(mutex_);
    if (packed_.holds(run.host, run.packed_length)) INSTAR_CHECK(packed_.drain(call, lock));
  }
  INSTAR_TRY(sdk::CodecPool * codec, this->codec());
  const auto packed = packed_buffers_.take();
  file_.say("read_compressed");
  INSTAR_CHECK(file_.read(call, run.host, packed.data(), run.packed_length));

  const uint64_t cluster = geometry_.cluster_start(run.guest);
  const auto unpack = [&](uint8_t* cluster_bytes) -> Status {
    INSTAR_TRY(const int64_t n, codec->decompress(ConstBytes(packed.data(), run.packed_length),
                                                  Bytes(cluster_bytes, geometry_.cluster_size)));
    const auto unpacked = static_cast<uint64_t>(std::max<int64_t>(n, 0));
    if (n < 0 || unpacked < run.guest - cluster + run.length)
      return fail(EIO, "Compressed cluster at offset ", hex(cluster), " is too short");
    return {};
  };
  // Straight to where it is wanted, if that is a whole cluster in one piece.
  Bytes target;
  to.walk(position, run.length, [&](uint8_t* piece, uint64_t done, size_t n) {
    if (done == 0) target = Bytes(piece, n);
  });
  if (target.size() == geometry_.cluster_size) return unpack(target.data());
  const auto whole = clusters_.take();
  INSTAR_CHECK(unpack(whole.data()));
  to.copy_in(position, whole.data() + (run.guest - cluster), run.length);
  return {};
}

Result<int64_t> Image::pack(const Call&, ConstBytes block, Bytes out) {
  INSTAR_TRY(sdk::CodecPool * codec, this->codec());
  // Not even one byte smaller: the reader's descriptor has no room for more.
  const Bytes room = out.first(std::min<size_t>(out.size(), geometry_.cluster_size - 1));
  if (block.size() == geometry_.cluster_size) return codec->compress(block, room);
  const auto padded = clusters_.take();
  std::memcpy(padded.data(), block.data(), block.size());
  std::memset(padded.data() + block.size(), 0, geometry_.cluster_size - block.size());
  return codec->compress(ConstBytes(padded.data(), geometry_.cluster_size), room);
}

/** Host bytes for a packed cluster, counted. The mutex is held. */
Result<uint64_t> Image::allocate_packed(const Call& call, uint64_t length) {
  file_.say("cluster_alloc_bytes");
  const uint64_t used = geometry_.in_cluster(packed_next_);
  if (packed_next_ != 0 && used != 0) {
    const uint64_t cluster = geometry_.cluster_of(packed_next_);
    const uint64_t room = geometry_.cluster_size - used;
    INSTAR_TRY(const uint64_t count, refcounts_.get(call, cluster));
    bool fits = count != 0 && count < geometry_.refcount_max();
    if (fits && room < length) {
      INSTAR_TRY(const uint64_t more, refcounts_.allocate_at(call, cluster + 1, 1));
      fits = more == 1;
    }
    if (fits) {
      INSTAR_CHECK(refcounts_.increase(call, {cluster, 1}));
      const uint64_t offset = packed_next_;
      packed_next_ += length;
      return offset;
    }
  }
  INSTAR_TRY(const ClusterRange range, refcounts_.allocate(call, 1));
  const uint64_t offset = range.first << geometry_.cluster_bits;
  packed_next_ = offset + length;
  return offset;
}

Status Image::store(const Call& call, uint64_t offset, size_t length, ConstBytes packed) {
  if (geometry_.in_cluster(offset) != 0 || length > geometry_.cluster_size || packed.empty() ||
      packed.size() >= geometry_.cluster_size || data_file_)
    return fail(EINVAL, "Not a packed cluster");
  INSTAR_CHECK(record_change(call, offset, length));
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  const uint64_t end = offset + geometry_.cluster_size;
  ranges_.wait(lock, offset, end, Mode::kExclusive);
  INSTAR_CHECK(own_table(call, offset));
  INSTAR_TRY(const uint64_t host, allocate_packed(call, packed.size()));
  // The bytes come before the entry that refers to them: the lock may be let go of in between.
  ranges_.add(offset, end, Mode::kExclusive);
  Status result = packed_.append(call, lock, host, packed);
  if (result) result = link_packed(call, offset, geometry_.packed_entry(host, packed.size()));
  ranges_.remove(offset, end, Mode::kExclusive);
  return result;
}

Status Image::link_packed(const Call& call, uint64_t guest, uint64_t word) {
  INSTAR_TRY(const L2Tables::Slice slice, l2_.slice(call, guest));
  if (slice.entries == nullptr) return fail(EIO, "L2 table is missing");
  const uint64_t index = (guest - slice.first_guest) >> geometry_.cluster_bits;
  const Entry old = l2_.get(slice, index);
  l2_.set(slice, index, {word, 0});
  free_entry(old, false);
  return {};
}

}  // namespace instar::qcow2
