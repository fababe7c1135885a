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
  sdk::Status change_backing(const sdk::Call& call, const char* filename, const char* format);
  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t mode, uint32_t flags,
                     const instar_progress* progress);
  sdk::Result<int64_t> pack(const sdk::Call& call, sdk::ConstBytes block, sdk::Bytes out);
  sdk::Status store(const sdk::Call& call, uint64_t offset, size_t length, sdk::ConstBytes packed);

 private:
  class Check;

  Image(sdk::OpenContext& context, sdk::HostFile file, const Header& header, std::string backing,
        std::unique_ptr<sdk::ContentCipher> cipher);

  sdk::Status check_table(const sdk::Call& call, Check& check, uint64_t first);
  sdk::Status unpack_last(const sdk::Call& call);
  sdk::Status grow(const sdk::Call& call, uint64_t size);
  sdk::Status shrink(const sdk::Call& call, uint64_t size);

  std::string backing_name_;
  const bool strict_;  ///< the genuine tool does not check, resize or rebase images of the format
};

/** Fails where a disk would be too large for its clusters. */
sdk::Status check_size(const Header& header);

}  // namespace instar::qcow
