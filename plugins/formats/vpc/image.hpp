// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp An open VHD image. */
#pragma once

#include <memory>
#include <string>

#include "plugins/formats/vpc/block_table.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::vpc {

/** Thread-safe, by BlockMap. */
class Image : public sdk::BlockMap<BlockTable> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);

  void limits(instar_node_limits& limits) const;
  void info(sdk::JsonWriter& json) const;
  sdk::Result<std::string> identity() const;

 private:
  Image(sdk::HostFile file, const Header& header, uint32_t flags);
  sdk::Status find_parent(const sdk::OpenContext& context);

  std::string parent_name_;
};

}  // namespace instar::vpc
