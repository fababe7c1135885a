// SPDX-License-Identifier: Apache-2.0
/** @file main.hpp The whole tool: what main() calls. */
#pragma once

namespace instar::host {

/** Finds the command and runs it; the result is the process' exit status. Once per process. */
[[gnu::visibility("default")]] int run(int argc, char** argv);

}  // namespace instar::host
