// SPDX-License-Identifier: Apache-2.0
/** @file parent.hpp The parent of a differencing disk. */
#pragma once

#include <string>
#include <vector>

#include "plugins/formats/vpc/header.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::vpc {

/** Names that the parent may have, most likely ones first: relative ones, then that of a file beside
 * the image, then absolute ones. */
sdk::Result<std::vector<std::string>> parent_names(const sdk::Call& call, const sdk::HostFile& file,
                                                   const DynamicHeader& header);

/** Fails when it is not the disk that the image was made over. */
sdk::Status check_parent(const sdk::NodeRef& parent, const std::string& name,
                         const DynamicHeader& header);

/** When the parent was changed, as images record it; 0: that is not known. */
uint32_t parent_time(const std::string& image, const std::string& name);

/** What a dynamic header says of a parent. */
struct ParentFields {
  Uuid unique_id{};
  uint32_t time_stamp = 0;
  std::string name;            ///< without its folder
  uint32_t platform_code = 0;  ///< of the locator
  std::vector<uint8_t> path;   ///< the locator's data
};

/** Looks at the image `name`, which is to be the parent of `image`. */
sdk::Result<ParentFields> parent_fields(const sdk::Host& host, const sdk::Call& call,
                                        const std::string& image, const std::string& name);

/** Puts them into a header; the path goes to `offset`, where there are `space` bytes for it. */
sdk::Status record_parent(DynamicHeader& header, const ParentFields& parent, uint64_t offset,
                          uint32_t space);

/** Where the header's own name of the parent is; nothing is there if it has none. */
ParentLocator place_of_path(const DynamicHeader& header);

}  // namespace instar::vpc
