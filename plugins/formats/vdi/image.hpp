// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp An open VDI image. */
#pragma once

#include <memory>
#include <string>

#include "plugins/formats/vdi/block_table.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::vdi {

/** Thread-safe, by BlockMap. */
class Image : public sdk::BlockMap<BlockTable> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);

  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);

  bool offers(std::string_view id) const;
  void info(sdk::JsonWriter& json) const;
  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t mode, uint32_t flags,
                     const instar_progress* progress);

 private:
  Image(sdk::HostFile file, const Header& header, uint32_t flags, bool strict);

  const bool strict_;  ///< the genuine tool does not resize images of the format
};

/** Fails where a disk would be too large. */
sdk::Status check_size(uint64_t size);

}  // namespace instar::vdi
