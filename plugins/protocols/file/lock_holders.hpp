// SPDX-License-Identifier: Apache-2.0
/** @file lock_holders.hpp Who holds the lock that somebody else wants. */
#pragma once

#include <string>

namespace instar::file {

/**
 * The processes that hold a lock over byte `byte` of the open file `fd`, by descriptors other than that
 * one: "Held by process 1234 (qemu-system-x86)", a line each, without a newline at the end. Only those
 * that we may look into; "" where there are none. Looks through /proc, which takes its time.
 */
std::string lock_holders(int fd, int byte);

}  // namespace instar::file
