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

  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);

  bool offers(std::string_view id) const;
  void limits(instar_node_limits& limits) const;
  void info(sdk::JsonWriter& json) const;
  sdk::Result<std::string> identity() const;
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t mode, uint32_t flags,
                     const instar_progress* progress);
  sdk::Status change_backing(const sdk::Call& call, const char* name, const char* format);
  sdk::Status make_empty(const sdk::Call& call);
  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);

 private:
  Image(sdk::HostFile file, const Header& header, const sdk::OpenContext& context);
  sdk::Status find_parent(const sdk::OpenContext& context);
  sdk::Status check_blocks(const sdk::Call& call, instar_check_result& result,
                           const instar_sink* messages);

  sdk::Host host_;
  const std::string filename_;
  std::string parent_name_;
};

}  // namespace instar::vpc
