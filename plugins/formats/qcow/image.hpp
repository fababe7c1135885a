// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp An open qcow image, version 1. Any calls at once: see sdk::BlockMap. */
#pragma once

#include <memory>
#include <string>

#include "plugins/formats/qcow/cluster_table.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::qcow {

class Image : public sdk::BlockMap<ClusterTable> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);

  bool offers(std::string_view id) const;
  void info(sdk::JsonWriter& json) const;
  sdk::Status make_empty(const sdk::Call& call);
  sdk::Result<int64_t> pack(const sdk::Call& call, sdk::ConstBytes block, sdk::Bytes out);
  sdk::Status store(const sdk::Call& call, uint64_t offset, size_t length, sdk::ConstBytes packed);

 private:
  Image(sdk::OpenContext& context, sdk::HostFile file, const Header& header, std::string backing,
        std::unique_ptr<sdk::ContentCipher> cipher);

  const std::string backing_name_;
};

}  // namespace instar::qcow
