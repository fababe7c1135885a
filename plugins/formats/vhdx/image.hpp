// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp An open VHDX image. */
#pragma once

#include <memory>
#include <string>

#include "plugins/formats/vhdx/block_table.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::vhdx {

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
  sdk::Result<std::string> next_identity() const;
  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t mode, uint32_t flags,
                     const instar_progress* progress);
  sdk::Status change_backing(const sdk::Call& call, const char* name, const char* format);
  sdk::Status expect_backing(const sdk::Call& call, const char* identity);
  sdk::Status make_empty(const sdk::Call& call);

 private:
  Image(std::unique_ptr<ImageFile> file, const Metadata& metadata, const sdk::OpenContext& context);
  static sdk::Result<std::unique_ptr<Image>> open_file(const sdk::OpenContext& context);
  sdk::Status find_parent(const sdk::OpenContext& context);

  sdk::Host host_;
  const std::string filename_;
  std::string parent_name_;
  std::string parent_identity_;  ///< as it was opened
};

}  // namespace instar::vhdx
