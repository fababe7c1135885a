// SPDX-License-Identifier: Apache-2.0
/** @file bitmap_copy.hpp Persistent dirty bitmaps go from one image to another. */
#pragma once

#include "sdk/cpp/command.hpp"

namespace instar::convert {

/** Whether the image can have any. */
bool has_bitmaps(sdk::NodeRef image);

/** Before anything is copied: the source can have bitmaps, and all of them are whole, unless broken
 * ones are left out. */
sdk::Status check_bitmaps(sdk::NodeRef source, bool skip_broken);

/** @param target whose driver has bitmaps. Warns of those that are left out. */
sdk::Status copy_bitmaps(const sdk::CommandContext& context, sdk::NodeRef source,
                         sdk::NodeRef target);

}  // namespace instar::convert
