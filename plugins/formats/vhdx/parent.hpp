// SPDX-License-Identifier: Apache-2.0
/** @file parent.hpp The parent of a differencing disk, by the parent locator (2.6.2.6). */
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sdk/cpp/driver.hpp"

namespace instar::vhdx {

/** What a locator says: keys and values in UTF-8. */
using ParentLocator = std::map<std::string, std::string>;

sdk::Result<ParentLocator> parse_parent_locator(const std::vector<uint8_t>& item);

/** Names that the parent may have, most likely ones first. */
std::vector<std::string> parent_names(const ParentLocator& locator);

/** Its identity. Fails when its content is not what the image was made over. */
sdk::Result<std::string> check_parent(const sdk::NodeRef& parent, const std::string& name,
                                      const ParentLocator& locator);

/** Lets it have the identity `next` as well as the present one. */
void expect_parent(ParentLocator& locator, const std::string& present, const std::string& next);

/** The item of a locator. */
std::vector<uint8_t> parent_item(const ParentLocator& locator);

/** What the image `image` records of its parent `name`, as that is now. */
sdk::Result<ParentLocator> locate_parent(const sdk::Host& host, const sdk::Call& call,
                                         const std::string& image, const std::string& name);

}  // namespace instar::vhdx
