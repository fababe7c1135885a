// SPDX-License-Identifier: Apache-2.0
/** @file place.hpp Where a file lies and how it is reached, from options and names, and back into a
 * name. */
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/cpp/options.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::nfs {

/** Numbers are 0 where nothing was said. */
struct Place {
  std::string host;
  std::string path;  ///< of the file, with that of the export before it
  uint64_t user = 0;
  uint64_t group = 0;
  uint64_t syn_count = 0;   ///< attempts to connect
  uint64_t read_ahead = 0;  ///< bytes
  uint64_t page_cache = 0;  ///< pages of 4 KiB
  uint64_t debug = 0;       ///< what libnfs tells on standard error

  /** What is mounted: the path up to the last slash. */
  std::string_view folder() const;
  /** The rest, with the slash. */
  std::string_view file() const;
};

/** Options by their names, in order. */
using Settings = std::vector<std::pair<std::string, std::string>>;

/** "nfs://HOST/PATH[?uid=…&gid=…&tcp-syncnt=…&readahead=…&pagecache=…&debug=…]". */
sdk::Result<Settings> parse_name(std::string_view filename);

/** Errors in QEMU's words. */
sdk::Result<Place> read_place(const sdk::Options& options);
/** What a name says. */
sdk::Result<Place> read_place(std::string_view filename);

std::string name_of(const Place& place);

}  // namespace instar::nfs
