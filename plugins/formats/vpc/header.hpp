// SPDX-License-Identifier: Apache-2.0
/** @file header.hpp What footer and dynamic header say of an image. */
#pragma once

#include "plugins/formats/vpc/format.hpp"
#include "sdk/cpp/host_file.hpp"
#include "sdk/cpp/options.hpp"

namespace instar::vpc {

/** Checked. Offsets and sizes are bytes. */
struct Header {
  Footer footer;
  DynamicHeader dynamic{};   ///< all zero for a fixed disk without one
  uint64_t size = 0;         ///< of the disk
  bool by_geometry = false;  ///< the geometry says how large it is, if it can say so much

  bool fixed() const { return footer.disk_type == static_cast<uint32_t>(DiskType::kFixed); }
  bool differencing() const {
    return footer.disk_type == static_cast<uint32_t>(DiskType::kDifferencing);
  }
  uint64_t block_size() const { return fixed() ? kDefaultBlockSize : uint32_t{dynamic.block_size}; }
  /** Of the sector bitmap that stands before a block. */
  uint64_t bitmap_size() const {
    return sdk::round_up(sdk::div_up(dynamic.block_size, uint64_t{8} * kSectorSize), kSectorSize);
  }
  uint64_t table_end() const {
    return sdk::round_up(dynamic.table_offset + 4 * uint64_t{dynamic.max_table_entries},
                         kSectorSize);
  }
};

/** @param options those of open: force_size_calc. */
sdk::Result<Header> read_header(const sdk::Call& call, const sdk::HostFile& file,
                                const std::string& filename, const sdk::Options& options);

/** The footer of a disk of another size, which is rounded up to a geometry where that counts. */
sdk::Result<Footer> resized_footer(const Header& header, uint64_t size);

/** How large the footer says that the disk is, in bytes. */
uint64_t size_by(const Footer& footer, bool by_geometry);

/** What is said of an image whose blocks lie beyond the file's end. */
sdk::Error truncated();

}  // namespace instar::vpc
