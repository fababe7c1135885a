// SPDX-License-Identifier: Apache-2.0
/** @file help.hpp What --help and --version print. */
#pragma once

#include <string>

#include "core/host/session.hpp"

namespace instar::host {

inline constexpr const char* kVersion = "0.1.0";

std::string version_text(const Invocation& invocation);
std::string help_text(Session& session);

}  // namespace instar::host
