// SPDX-License-Identifier: Apache-2.0
/** @file block_writer.hpp Writes a run of literals and matches as one block of deflate, in whichever
 * of its three forms is shortest (RFC 1951, section 3.2.3). */
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "plugins/filters/zlib/huffman.hpp"
#include "sdk/cpp/bytes.hpp"

namespace instar::zlib {

constexpr unsigned kMinMatch = 3;
constexpr unsigned kMaxMatch = 258;
constexpr size_t kLengthSymbols = 288;  ///< literals, end of block, lengths
constexpr size_t kDistanceSymbols = 30;

/** A literal byte, or a match. */
class Token {
 public:
  Token() = default;
  static Token literal(uint8_t byte) { return Token(byte); }
  static Token match(unsigned length, unsigned distance) {
    return Token(length | distance << kDistanceShift);
  }
  bool is_match() const { return bits_ >> kDistanceShift != 0; }
  uint8_t byte() const { return static_cast<uint8_t>(bits_); }
  unsigned length() const { return bits_ & ((1u << kDistanceShift) - 1); }
  unsigned distance() const { return bits_ >> kDistanceShift; }

 private:
  static constexpr unsigned kDistanceShift = 9;
  explicit Token(uint32_t bits) : bits_(bits) {}
  uint32_t bits_ = 0;
};

/** How often each symbol of a block occurs. */
struct SymbolCounts {
  std::array<uint32_t, kLengthSymbols> lengths{};
  std::array<uint32_t, kDistanceSymbols> distances{};

  void add(Token token);
  void add(const SymbolCounts& other);
};

class BlockWriter {
 public:
  explicit BlockWriter(sdk::Bytes out) : out_(out) {}

  /** @param plain the bytes that the tokens stand for. False: `out` is full. */
  bool write(std::span<const Token> tokens, const SymbolCounts& counts, sdk::ConstBytes plain,
             bool last);
  /** Fills up the last byte; the length of all. */
  size_t finish();

 private:
  struct Code;
  struct Header;
  bool fits(uint64_t bits) const { return bits <= (out_.size() - at_) * 8 - pending_; }
  void put(uint64_t bits, unsigned count);
  void write_stored(sdk::ConstBytes plain, bool last);
  void write_header(const Header& header);
  void write_tokens(std::span<const Token> tokens, const Code& code);

  sdk::Bytes out_;
  size_t at_ = 0;
  uint64_t bits_ = 0;
  unsigned pending_ = 0;  ///< bits that are not in `out` yet; below 8 between calls of put
};

}  // namespace instar::zlib
