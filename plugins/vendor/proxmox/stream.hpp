// SPDX-License-Identifier: Apache-2.0
/** @file stream.hpp Standard input and output as ends of a copy. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "sdk/cpp/call.hpp"

namespace instar::proxmox {

/** Reads until `size` bytes are there or the input ends; how many there are. ECANCELED when the call
 * is cancelled meanwhile. */
sdk::Result<size_t> read_full(const sdk::Call& call, int descriptor, uint8_t* to, size_t size);

/** Writes all of it; ECANCELED as above. */
sdk::Status write_full(const sdk::Call& call, int descriptor, const uint8_t* from, size_t size);

}  // namespace instar::proxmox
