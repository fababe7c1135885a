// SPDX-License-Identifier: Apache-2.0
/** @file extension.hpp The format extension: a cluster of features, of which dirty bitmaps are known. */
#pragma once

#include <string>
#include <vector>

#include "plugins/formats/parallels/format.hpp"
#include "sdk/cpp/host.hpp"
#include "sdk/cpp/host_file.hpp"

namespace instar::parallels {

/** A dirty bitmap. */
struct Bitmap {
  std::string name;
  uint64_t granularity = 0;  ///< bytes of the disk behind a bit
  uint64_t table = 0;        ///< byte of the file where its L1 table is, of 64-bit entries
  uint64_t table_entries = 0;
};

struct Extension {
  uint64_t end = 0;  ///< sector behind it and the bitmaps
  std::vector<Bitmap> bitmaps;
};

/** Reads it, and checks all of it. */
sdk::Result<Extension> read_extension(const sdk::Host& host, const sdk::Call& call,
                                      const sdk::HostFile& file, const Header& header);

}  // namespace instar::parallels
