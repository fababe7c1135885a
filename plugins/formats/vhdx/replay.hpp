// SPDX-License-Identifier: Apache-2.0
/** @file replay.hpp Opening a file after a power cut. */
#pragma once

#include "plugins/formats/vhdx/block_table.hpp"

namespace instar::vhdx {

/**
 * Replays the log, if it is to be: into the file, or where that is only read into the cache above it.
 * Before anything but the headers is read.
 */
sdk::Status replay(const sdk::Call& call, ImageFile& image, bool writable);

}  // namespace instar::vhdx
