// SPDX-License-Identifier: Apache-2.0
/**
 * @file interrupt.hpp
 * SIGINT, SIGTERM and SIGHUP ask the work to end, so that a target that isn't whole is removed; a
 * second signal ends the process at once.
 */
#pragma once

#include <cstdint>

namespace instar::host {

void catch_interrupts();

/** Who read what is printed may go: the work is done all the same, as qemu-img does it. */
void outlive_readers();

/** Becomes non-zero with the first signal: what instar_call::cancelled points to. */
const int32_t* interrupted();

/** Ends the process by the signal that was caught, so that the caller sees it; else does nothing.
 */
void end_if_interrupted();

}  // namespace instar::host
