// SPDX-License-Identifier: Apache-2.0
/** @file huffman.hpp Prefix codes as deflate has them (RFC 1951, section 3.2.2). */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace instar::zlib {

constexpr size_t kMaxSymbols = 288;

/**
 * Makes a nearly optimal code whose words have at most `max_length` bits (7 or 15). At least two
 * symbols get a word, since readers refuse some codes of one. All spans have one entry per symbol, at
 * most kMaxSymbols.
 * @param lengths bits of each word; 0: none
 * @param words first bit lowest, as they are written
 */
void make_code(std::span<const uint32_t> counts, unsigned max_length, std::span<uint8_t> lengths,
               std::span<uint16_t> words);

}  // namespace instar::zlib
