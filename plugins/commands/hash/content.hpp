// SPDX-License-Identifier: Apache-2.0
/** @file content.hpp What an image reads as, handed to a digest. */
#pragma once

#include "plugins/commands/hash/digest.hpp"
#include "sdk/cpp/command.hpp"

namespace instar::hash {

/** All of the image in whole sectors of 512 bytes; runs that are zero by the image's own account are
 * not read. */
sdk::Status add_content(const sdk::CommandContext& context, const sdk::Image& image,
                        const instar_progress& progress, Digest& digest);

}  // namespace instar::hash
