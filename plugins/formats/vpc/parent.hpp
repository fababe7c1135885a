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

}  // namespace instar::vpc
