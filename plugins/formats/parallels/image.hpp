// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp An open Parallels image. */
#pragma once

#include <memory>
#include <string>

#include "plugins/formats/parallels/cluster_table.hpp"
#include "plugins/formats/parallels/extension.hpp"
#include "sdk/abi/bitmap.h"
#include "sdk/abi/check.h"
#include "sdk/cpp/driver.hpp"

namespace instar::parallels {

/** Thread-safe, by BlockMap. */
class Image : public sdk::BlockMap<ClusterTable> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);

  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t mode, uint32_t flags,
                     const instar_progress* progress);
  bool offers(std::string_view id) const;

  sdk::Result<std::string> bitmap_list() const;
  sdk::Status bitmap_walk(const sdk::Call& call, std::string_view name, void* opaque,
                          instar_bitmap_run_fn each) const;
  // Nobody changes the bitmaps of an image that is read.
  sdk::Status bitmap_add(const sdk::Call&, std::string_view, uint32_t, bool) const {
    return kept();
  }
  sdk::Status bitmap_remove(const sdk::Call&, std::string_view) const { return kept(); }
  sdk::Status bitmap_clear(const sdk::Call&, std::string_view) const { return kept(); }
  sdk::Status bitmap_set_enabled(const sdk::Call&, std::string_view, bool) const { return kept(); }
  sdk::Status bitmap_set_dirty(const sdk::Call&, std::string_view, uint64_t, uint64_t) const {
    return kept();
  }

 private:
  /** One check while it goes on. Places are sectors of the file. */
  struct Check {
    const sdk::Call& call;
    uint32_t fix;
    instar_check_result& result;
    const instar_sink* messages;
    uint64_t first = UINT64_MAX;  ///< the first cluster's place
    uint64_t end = 0;             ///< behind the last cluster
    bool outside = false;         ///< some clusters are not in the file
    uint64_t last = 0;            ///< behind the last of these

    /** @param kind enum instar_check_fix: what would repair it. */
    bool repairs(uint32_t kind) const { return (fix & kind) != 0; }
    sdk::Status report(uint32_t kind, const std::string& what) const;
    /** … which makes the image corrupt. */
    sdk::Status corrupt(const std::string& what) const;
  };

  Image(sdk::HostFile file, const Header& header, GrowAhead ahead, uint32_t flags, bool strict);
  sdk::Status look_at_extension(const sdk::OpenContext& context);
  sdk::Status tidy_up(const sdk::Call& call);
  sdk::Status check_closed(const Check& check);
  sdk::Status survey(Check& check);
  sdk::Status check_data_off(const Check& check);
  sdk::Status check_places(const Check& check);
  sdk::Status check_end(Check& check);
  sdk::Status check_twice_used(const Check& check);
  sdk::Status copy_cluster(const sdk::Call& call, uint64_t cluster, uint64_t from);
  sdk::Status count(const Check& check);

  sdk::Status grow(const sdk::Call& call, const Header& header);
  sdk::Status move_front(const sdk::Call& call, uint64_t begin);
  sdk::Status shrink(const sdk::Call& call, const Header& header);

  static sdk::Status kept() { return sdk::fail(EACCES, sdk::errno_text(EACCES)); }

  const bool strict_;    ///< the genuine tool does not resize images of the format
  Extension extension_;  ///< one that stays
};

/** Fails where a disk would be too large for clusters of that many sectors. */
sdk::Status check_size(uint64_t size, uint64_t tracks);

}  // namespace instar::parallels
