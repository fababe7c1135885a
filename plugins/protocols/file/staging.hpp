// SPDX-License-Identifier: Apache-2.0
/** @file staging.hpp Files that get their name only when they are whole. */
#pragma once

#include <cstdint>
#include <string>

#include "sdk/cpp/result.hpp"

namespace instar::file {

/**
 * Makes an empty file beside `filename` and gives its name. ENOTSUP: what stands there is no regular
 * file, or nothing can be made in the folder. @param flags INSTAR_SETTLE_NO_REPLACE: EEXIST when
 * something stands there, and the folder's error is told.
 */
sdk::Result<std::string> stage_file(const std::string& filename, uint32_t flags);

/**
 * Gives a staged file its name. One that it replaces passes on its permissions, as far as we may, and
 * stays whole until the new one is on stable storage. @param flags enum instar_settle_flags.
 */
sdk::Status settle_file(const std::string& staged, const std::string& filename, uint32_t flags);

}  // namespace instar::file
