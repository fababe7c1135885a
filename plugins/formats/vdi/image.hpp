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

  void info(sdk::JsonWriter& json) const;
  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);

 private:
  Image(sdk::HostFile file, const Header& header, uint32_t flags);
};

}  // namespace instar::vdi
