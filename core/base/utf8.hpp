// SPDX-License-Identifier: Apache-2.0
/** @file utf8.hpp UTF-8 as QEMU's JSON reads and writes it: U+0000 may also be the two bytes C0 80.
 */
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace instar::base {

constexpr int32_t kInvalidCodepoint = -1;

/**
 * Takes one code point off the front of `text` (not empty). kInvalidCodepoint for bytes that are
 * none: those are taken off as far as they belong together. Surrogates and noncharacters count as
 * invalid.
 */
int32_t take_codepoint(std::string_view& text);

/** True for what may stand in a text: not a surrogate, not a noncharacter, not above U+10FFFF. */
bool is_valid_codepoint(int32_t codepoint);

/** Appends it in UTF-8; U+0000 as C0 80, so that a C string can hold it. */
void append_codepoint(std::string& out, int32_t codepoint);

}  // namespace instar::base
