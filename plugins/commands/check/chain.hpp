// SPDX-License-Identifier: Apache-2.0
/** @file chain.hpp check --chain: an image and all that it stands on. [main] */
#pragma once

#include "plugins/commands/check/checking.hpp"

namespace instar::check {

/** Checks the images of the chain under `top`, prints what it found and gives the exit status. */
int check_chain(const sdk::CommandContext& context, const instar_image_spec& top, bool quiet,
                instar_output_style style);

}  // namespace instar::check
