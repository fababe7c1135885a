// SPDX-License-Identifier: Apache-2.0
/** @file resizing.hpp New lengths of files and devices, with preallocation. */
#pragma once

#include <cstdint>

#include "sdk/abi/resize.h"
#include "sdk/cpp/call.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::file {

/** @param fd of a regular file; it keeps its old length when this fails. */
sdk::Status resize_file(const sdk::Call& call, int fd, uint64_t size, instar_preallocation mode,
                        const instar_progress* progress);

/** Devices only check. @param exact any other size than the device's is refused, else only a larger
 * one. */
sdk::Status resize_device(int fd, uint64_t size, instar_preallocation mode, bool exact);

}  // namespace instar::file
