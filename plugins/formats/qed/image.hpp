// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp An open QED image. */
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plugins/formats/qed/cluster_table.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::qed {

/** Thread-safe, by BlockMap. */
class Image : public sdk::BlockMap<ClusterTable> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);

  void info(sdk::JsonWriter& json);
  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  sdk::Status change_backing(const sdk::Call& call, const char* filename, const char* format);

 private:
  Image(sdk::HostFile file, const Header& header, std::string backing, uint32_t flags);
  sdk::Status tidy_up(const sdk::Call& call, bool checked_by_user);
  sdk::Status check_l1(const sdk::Call& call, bool fix, instar_check_result& result,
                       std::vector<bool>& used);
  sdk::Status check_l2(const sdk::Call& call, bool fix, instar_check_result& result,
                       std::vector<bool>& used, uint64_t table);
  bool use(std::vector<bool>& used, uint64_t offset, uint64_t clusters,
           instar_check_result& result) const;

  std::string backing_name_;
};

}  // namespace instar::qed
