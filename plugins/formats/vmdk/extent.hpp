// SPDX-License-Identifier: Apache-2.0
/** @file extent.hpp One extent of an image: a file, or a window of one, with a part of the disk. */
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "plugins/formats/vmdk/grain_table.hpp"

namespace instar::vmdk {

/** What packs and unpacks grains. */
sdk::Result<std::unique_ptr<sdk::CodecPool>> open_grain_codec(const sdk::Host& host);
/** A packed grain as it lies in the file: whole sectors. @param sector of the guest */
std::vector<uint8_t> with_marker(uint64_t sector, sdk::ConstBytes packed);

/** A sparse extent. Thread-safe, by BlockMap. */
class SparseMap : public sdk::BlockMap<GrainTable> {
 public:
  SparseMap(const GrainLayout& layout, uint64_t begin, uint32_t flags, sdk::HostFile file,
            std::unique_ptr<sdk::CodecPool> codec);

  const GrainLayout& layout() const { return table().layout(); }
  bool shows_backing() const { return has_backing(); }
  void show_backing(sdk::HostFile backing, bool trusted);
  /** Packs a grain. The length, or -ENOSPC. */
  sdk::Result<int64_t> pack(sdk::ConstBytes grain, sdk::Bytes out);
  /** Stores a packed grain that lies at guest `offset`, in the place of what was there. */
  sdk::Status store_packed(const sdk::Call& call, uint64_t offset, sdk::ConstBytes packed);
  /** Writes plain bytes into a compressed extent. */
  sdk::Status write_packed(const sdk::Call& call, uint64_t offset, sdk::IoVec from);
  sdk::Status zero_packed(const sdk::Call& call, uint64_t offset, uint64_t length);
  /** @param bytes whole sectors; @param mode enum instar_preallocation of what it grows by */
  sdk::Status resize(const sdk::Call& call, uint64_t bytes, uint32_t mode);
  /** What stands for the grain at guest `offset`. */
  sdk::Result<sdk::Block> grain_at(const sdk::Call& call, uint64_t offset);

 private:
  uint64_t grain_of(uint64_t offset) const { return (offset - begin_) / layout().grain_bytes(); }

  const uint64_t begin_;
  std::mutex packing_;  ///< one plain write at a time: it may be of a part of a grain
};

struct Extent {
  std::string type;       ///< of its line in the descriptor; "" for the image's own file
  std::string filename;   ///< as info prints it
  std::string reference;  ///< the same as the descriptor has it; "" for the image's own file
  uint64_t begin = 0;     ///< guest bytes
  uint64_t size = 0;      ///< bytes
  std::unique_ptr<SparseMap> sparse;  ///< nullptr: flat
  sdk::HostFile flat;
  uint64_t flat_offset = 0;  ///< bytes
  bool own_file = false;     ///< it lies in the image's first file

  uint64_t end() const { return begin + size; }
  bool compressed() const { return sparse && sparse->layout().compressed; }
  /** One as create makes them. @param flat of which kind */
  bool is_plain(bool flat) const {
    if (flat || !sparse) return flat && !sparse && type == "FLAT";
    const bool hosted = !compressed() && sparse->layout().table_entries <= kEntriesPerTable;
    return hosted && (own_file || type == "SPARSE");
  }
  /** It gets another size, `to` bytes of the disk, and is flushed. What it grows by reads as zeroes.
   * @param mode enum instar_preallocation */
  sdk::Status grow(const sdk::Call& call, uint64_t to, uint32_t mode);
  sdk::Status shrink(const sdk::Call& call, uint64_t to);
  sdk::HostFile& file() { return sparse ? sparse->host_file() : flat; }
};

/** Opens the extent in a file that begins with a sparse header, a COWD header or (`se_sparse`) one
 * of seSparse. */
struct SparseExtentFile {
  GrainLayout layout;
  bool embedded_descriptor = false;  ///< there is no extent, but a descriptor
  uint64_t descriptor_offset = 0;    ///< bytes
};
sdk::Result<SparseExtentFile> read_sparse_header(const sdk::Call& call, const sdk::HostFile& file,
                                                 bool writable);
sdk::Result<GrainLayout> read_se_sparse_header(const sdk::Call& call, const sdk::HostFile& file);

}  // namespace instar::vmdk
