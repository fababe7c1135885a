// SPDX-License-Identifier: Apache-2.0
/** @file base64.hpp RFC 4648 section 4, as secrets are given. */
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace instar::objects {

/** White space is passed over, padding may be missing; nullopt: another character. */
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace instar::objects
