// SPDX-License-Identifier: Apache-2.0
/**
 * @file trust.hpp
 * Who may have written a plugin. As root, code is only loaded from files that nobody but root can
 * change.
 */
#pragma once

#include <sys/stat.h>

#include <string>

#include "core/base/result.hpp"

namespace instar::loader {

/** The program runs with more rights than its caller (AT_SECURE: set-uid, file capabilities). */
bool has_raised_privileges();

/**
 * Not root: always fine. As root: the file or folder and every folder above it must belong to root
 * (or to the owner of the program itself) and must not be writable by group or others. A folder
 * with the sticky bit, such as /tmp, may be: what lies in it must be root's own all the same. The
 * error names the offending path.
 */
Status check_trust(const std::string& path);

/** What check_trust says to root, whoever asks. */
Status check_trust_of_root(const std::string& path);

/** check_trust for the open file of that name (no symbolic link) in a folder that has been checked:
 * the way to it is not walked again. */
Status check_trust_within(const std::string& path, const struct stat& file);

}  // namespace instar::loader
