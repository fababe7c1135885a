// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp An open Parallels image. */
#pragma once

#include <memory>
#include <string>

#include "plugins/formats/parallels/cluster_table.hpp"
#include "sdk/abi/check.h"
#include "sdk/cpp/driver.hpp"

namespace instar::parallels {

/** Thread-safe, by BlockMap. */
class Image : public sdk::BlockMap<ClusterTable> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);

  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);

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

  Image(sdk::HostFile file, const Header& header, GrowAhead ahead, uint32_t flags);
  sdk::Status look_at_extension(const sdk::OpenContext& context);
  sdk::Status tidy_up(const sdk::Call& call);
  sdk::Status check_closed(const Check& check);
  sdk::Status survey(Check& check);
  sdk::Status check_data_off(const Check& check);
  sdk::Status check_places(const Check& check);
  sdk::Status check_end(Check& check);
  sdk::Status check_twice_used(const Check& check);
  sdk::Status copy_cluster(const Check& check, uint64_t cluster, uint64_t from);
  sdk::Status count(const Check& check);

  uint64_t extension_end_ = 0;  ///< sector; of a format extension that stays
};

}  // namespace instar::parallels
