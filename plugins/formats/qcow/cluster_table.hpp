// SPDX-License-Identifier: Apache-2.0
/** @file cluster_table.hpp Where the clusters of a qcow image lie: two levels of tables. */
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "plugins/formats/qcow/format.hpp"
#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/codec.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::qcow {

/** A Table of sdk::BlockMap. The header is checked. What entries say of bytes beyond the file's end
 * reads as zeroes, as with QEMU; a plain cluster that begins inside a sector can't be read. */
class ClusterTable {
 public:
  static constexpr bool kBacked = true;

  /** @param cipher nullptr: the image is not encrypted */
  ClusterTable(sdk::HostFile file, const Header& header, const sdk::Host& host,
               std::unique_ptr<sdk::ContentCipher> cipher);

  const Header& header() const { return header_; }
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  sdk::ContentCipher* cipher() const { return cipher_.get(); }
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t cluster);
  sdk::Result<sdk::BlockSpace> allocate(const sdk::Call& call, uint64_t cluster, uint64_t count);
  bool release(uint64_t cluster, uint64_t offset);
  uint64_t end() const { return next_; }
  sdk::Status store(const sdk::Call& call, uint64_t cluster, const sdk::Block& what);
  bool dirty() const { return l1_.dirty() || l2_.dirty(); }
  bool crowded() const { return l1_.crowded() || l2_.crowded(); }
  sdk::Status write_back(const sdk::Call& call);
  sdk::Status unpack(const sdk::Call& call, uint64_t cluster, const sdk::Block& packed,
                     sdk::Bytes out);

  /** Offset of the table that a cluster is in; 0: there is none. */
  sdk::Result<uint64_t> l2_table(const sdk::Call& call, uint64_t cluster);
  /** The L1 table is cut short before the entry for this cluster, and for those that follow. */
  bool beyond_file(uint64_t cluster) const {
    return l1_position(cluster) >= file_.size() && !l1_.dirty();
  }
  /** Space for a packed cluster, behind everything. */
  sdk::Result<uint64_t> allocate_packed(uint64_t length);
  /** The codec of packed clusters, opened when it is needed first. Any thread. */
  sdk::Result<sdk::CodecPool*> codec();
  /** The header names this backing file, or with "" none. Nothing may be dirty. */
  sdk::Status record_backing(const sdk::Call& call, const std::string& name);
  /** No cluster is there any more, and the file ends behind the L1 table. */
  sdk::Status clear(const sdk::Call& call);
  /** Makes entries for a disk of `size` bytes, which is larger. Nothing is dirty. */
  sdk::Status grow(const sdk::Call& call, uint64_t size);
  /** Behind a barrier, and before one: the disk has `size` bytes. */
  sdk::Status set_size(const sdk::Call& call, uint64_t size);
  /** Makes a disk of `size` bytes of a larger one. Nothing is dirty. */
  sdk::Status shrink(const sdk::Call& call, uint64_t size);

 private:
  static constexpr uint64_t kCacheBytes = 4u << 20;

  uint64_t l1_position(uint64_t cluster) const {
    return header_.l1_table_offset + cluster / header_.l2_entries() * sizeof(uint64_t);
  }
  sdk::Block block_of(uint64_t entry) const;
  uint64_t packed_shift() const { return 63 - header_.cluster_bits; }
  sdk::Result<uint64_t> take(uint64_t offset, uint64_t length);
  sdk::Status write_header(const sdk::Call& call, const Header& header);
  sdk::Result<uint64_t> copy_l1(const sdk::Call& call, uint64_t entries);
  sdk::Result<std::vector<uint64_t>> unlink(const sdk::Call& call, uint64_t first, uint64_t end);

  sdk::HostFile file_;
  Header header_;
  const sdk::Host host_;
  const std::unique_ptr<sdk::ContentCipher> cipher_;
  std::mutex codec_mutex_;
  std::unique_ptr<sdk::CodecPool> codec_;
  sdk::MetadataCache l1_;
  sdk::MetadataCache l2_;
  uint64_t next_;  ///< everything from here on is free
};

}  // namespace instar::qcow
