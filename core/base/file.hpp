// SPDX-License-Identifier: Apache-2.0
/** @file file.hpp Whole small files: manifests, secrets, configuration. */
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace instar::base {

/**
 * The content of a file of at most `limit` bytes, pipes included. Errors name the file: "Could not
 * open 'X': …", "Could not read 'X': …", "'X' is larger than N bytes" (EFBIG).
 */
Result<std::string> read_file(const std::string& path, size_t limit);

/** The same from an open descriptor, from where it stands to its end; `name` is for the messages.
 */
Result<std::string> read_fd(int fd, std::string_view name, size_t limit);

/** Writes all of it, in as many calls as it takes. */
Status write_all(int fd, std::string_view bytes);

}  // namespace instar::base
