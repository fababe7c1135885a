// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/block_writer.hpp"

#include <algorithm>

namespace instar::zlib {
namespace {

constexpr unsigned kEndOfBlock = 256;
constexpr unsigned kMaxWord = 15;
constexpr unsigned kMaxPrecodeWord = 7;
constexpr size_t kPrecodeSymbols = 19;
constexpr size_t kMaxStored = 65535;

/** Section 3.2.5: a length's or distance's symbol is its base's; the rest are extra bits. */
struct Bucket {
  uint8_t symbol;
  uint8_t extra_bits;
  uint16_t base;
};

constexpr auto kLengthBuckets = [] {
  constexpr uint8_t kExtra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2,
                                2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5};
  std::array<Bucket, kMaxMatch + 1> buckets{};
  unsigned length = kMinMatch;
  for (size_t symbol = 0; symbol < std::size(kExtra); ++symbol) {
    const unsigned base = length;
    for (; length < base + (1u << kExtra[symbol]) && length < kMaxMatch; ++length)
      buckets[length] = {static_cast<uint8_t>(symbol + 1), kExtra[symbol],
                         static_cast<uint16_t>(base)};
  }
  buckets[kMaxMatch] = {29, 0, kMaxMatch};
  return buckets;
}();

Bucket distance_bucket(unsigned distance) {
  const unsigned from_zero = distance - 1;
  if (from_zero < 2) return {static_cast<uint8_t>(from_zero), 0, static_cast<uint16_t>(distance)};
  const auto extra = static_cast<uint8_t>(std::bit_width(from_zero) - 2);
  const unsigned half = from_zero >> extra & 1;
  return {static_cast<uint8_t>(2 * extra + 2 + half), extra,
          static_cast<uint16_t>(((2 + half) << extra) + 1)};
}

unsigned extra_bits_of_length_symbol(size_t symbol) {
  const size_t index = symbol - kEndOfBlock - 1;
  return index < 8 || index == 28 ? 0 : static_cast<unsigned>(index / 4 - 1);
}

unsigned extra_bits_of_distance_symbol(size_t symbol) {
  return symbol < 4 ? 0 : static_cast<unsigned>(symbol / 2 - 1);
}

}  // namespace

void SymbolCounts::add(Token token) {
  if (!token.is_match()) {
    ++lengths[token.byte()];
    return;
  }
  ++lengths[kEndOfBlock + kLengthBuckets[token.length()].symbol];
  ++distances[distance_bucket(token.distance()).symbol];
}

void SymbolCounts::add(const SymbolCounts& other) {
  for (size_t i = 0; i < lengths.size(); ++i)
    lengths[i] += other.lengths[i];
  for (size_t i = 0; i < distances.size(); ++i)
    distances[i] += other.distances[i];
}

/** The two codes of a block. */
struct BlockWriter::Code {
  std::array<uint8_t, kLengthSymbols> length_bits{};
  std::array<uint16_t, kLengthSymbols> length_words{};
  std::array<uint8_t, kDistanceSymbols> distance_bits{};
  std::array<uint16_t, kDistanceSymbols> distance_words{};

  /** Bits of a block's symbols, its header aside. */
  uint64_t cost(const SymbolCounts& counts) const {
    uint64_t bits = 0;
    for (size_t i = 0; i < kLengthSymbols; ++i) {
      const unsigned extra = i > kEndOfBlock ? extra_bits_of_length_symbol(i) : 0;
      bits += uint64_t{counts.lengths[i]} * (length_bits[i] + extra);
    }
    for (size_t i = 0; i < kDistanceSymbols; ++i)
      bits += uint64_t{counts.distances[i]} * (distance_bits[i] + extra_bits_of_distance_symbol(i));
    return bits;
  }
  static Code fit(const SymbolCounts& counts) {
    Code code;
    // Symbols 286 and 287 never occur, and a header may not describe them.
    make_code(std::span(counts.lengths).first(286), kMaxWord,
              std::span(code.length_bits).first(286), code.length_words);
    make_code(counts.distances, kMaxWord, code.distance_bits, code.distance_words);
    return code;
  }
  /** Section 3.2.6. */
  static const Code& fixed() {
    static const Code code = [] {
      Code made;
      // These counts lead to the lengths that the specification sets.
      SymbolCounts counts;
      for (size_t i = 0; i < kLengthSymbols; ++i)
        counts.lengths[i] = i < 144 ? 2 : i < 256 ? 1 : i < 280 ? 4 : 2;
      make_code(counts.lengths, kMaxWord, made.length_bits, made.length_words);
      for (size_t i = 0; i < kDistanceSymbols; ++i) {
        made.distance_bits[i] = 5;
        for (size_t bit = 0; bit < 5; ++bit)
          made.distance_words[i] |= static_cast<uint16_t>((i >> bit & 1) << (4 - bit));
      }
      return made;
    }();
    return code;
  }
};

/** Section 3.2.7: the codes' lengths, packed by runs and a code of their own. */
struct BlockWriter::Header {
  struct Item {
    uint8_t symbol;
    uint8_t extra;
  };
  std::array<Item, kLengthSymbols + kDistanceSymbols> items;
  size_t item_count = 0;
  size_t length_count = 0;
  size_t distance_count = 0;
  size_t precode_count = 0;
  std::array<uint8_t, kPrecodeSymbols> bits{};
  std::array<uint16_t, kPrecodeSymbols> words{};
  static constexpr uint8_t kOrder[kPrecodeSymbols] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                      11, 4,  12, 3, 13, 2, 14, 1, 15};

  explicit Header(const Code& code) {
    length_count = used(code.length_bits, kEndOfBlock + 1);
    distance_count = used(code.distance_bits, 1);
    std::array<uint8_t, kLengthSymbols + kDistanceSymbols> all{};
    std::copy_n(code.length_bits.begin(), length_count, all.begin());
    std::copy_n(code.distance_bits.begin(), distance_count,
                all.begin() + static_cast<ptrdiff_t>(length_count));
    pack(std::span(all).first(length_count + distance_count));
    std::array<uint32_t, kPrecodeSymbols> counts{};
    for (size_t i = 0; i < item_count; ++i)
      ++counts[items[i].symbol];
    make_code(counts, kMaxPrecodeWord, bits, words);
    for (precode_count = kPrecodeSymbols; precode_count > 4; --precode_count)
      if (bits[kOrder[precode_count - 1]] != 0) break;
  }
  static unsigned extra_bits(uint8_t symbol) {
    return symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
  }
  uint64_t cost() const {
    uint64_t sum = 5 + 5 + 4 + 3 * precode_count;
    for (size_t i = 0; i < item_count; ++i)
      sum += bits[items[i].symbol] + extra_bits(items[i].symbol);
    return sum;
  }

 private:
  static size_t used(std::span<const uint8_t> lengths, size_t least) {
    size_t count = lengths.size();
    while (count > least && lengths[count - 1] == 0)
      --count;
    return count;
  }
  void add(unsigned symbol, size_t extra) {
    items[item_count++] = {static_cast<uint8_t>(symbol), static_cast<uint8_t>(extra)};
  }
  void pack(std::span<const uint8_t> lengths) {
    for (size_t i = 0; i < lengths.size();) {
      size_t run = 1;
      while (i + run < lengths.size() && lengths[i + run] == lengths[i])
        ++run;
      i += run;
      const unsigned length = lengths[i - 1];
      if (length != 0) {
        add(length, 0);
        --run;
      }
      while (run >= 3) {
        const size_t most = length != 0 ? 6 : run < 11 ? 10 : 138;
        const size_t n = std::min(run, most);
        add(length != 0 ? 16 : n < 11 ? 17 : 18, n - (n < 11 ? 3 : 11));
        run -= n;
      }
      for (; run > 0; --run)
        add(length, 0);
    }
  }
};

void BlockWriter::put(uint64_t bits, unsigned count) {
  bits_ |= bits << pending_;
  pending_ += count;
  if (at_ + 8 <= out_.size()) {
    sdk::store_le(out_.data() + at_, bits_);
    at_ += pending_ / 8;
    bits_ >>= pending_ & ~7u;
    pending_ &= 7;
    return;
  }
  for (; pending_ >= 8; pending_ -= 8, bits_ >>= 8)
    out_[at_++] = static_cast<uint8_t>(bits_);
}

void BlockWriter::write_stored(sdk::ConstBytes plain, bool last) {
  do {
    const auto part = plain.first(std::min(plain.size(), kMaxStored));
    plain = plain.subspan(part.size());
    put(last && plain.empty() ? 1 : 0, 3);
    if (pending_ > 0) put(0, 8 - pending_);
    put(part.size() | (~part.size() & 0xffff) << 16, 32);
    if (!part.empty()) std::memcpy(out_.data() + at_, part.data(), part.size());
    at_ += part.size();
  } while (!plain.empty());
}

void BlockWriter::write_header(const Header& header) {
  put(header.length_count - 257, 5);
  put(header.distance_count - 1, 5);
  put(header.precode_count - 4, 4);
  for (size_t i = 0; i < header.precode_count; ++i)
    put(header.bits[Header::kOrder[i]], 3);
  for (size_t i = 0; i < header.item_count; ++i) {
    const auto [symbol, extra] = header.items[i];
    put(header.words[symbol], header.bits[symbol]);
    put(extra, Header::extra_bits(symbol));
  }
}

void BlockWriter::write_tokens(std::span<const Token> tokens, const Code& code) {
  for (const Token token : tokens) {
    if (!token.is_match()) {
      put(code.length_words[token.byte()], code.length_bits[token.byte()]);
      continue;
    }
    const Bucket length = kLengthBuckets[token.length()];
    const Bucket distance = distance_bucket(token.distance());
    const size_t symbol = kEndOfBlock + length.symbol;
    // 15 + 5 + 15 + 13 bits at the most: one put.
    uint64_t bits = code.length_words[symbol];
    unsigned count = code.length_bits[symbol];
    bits |= uint64_t{token.length() - length.base} << count;
    count += length.extra_bits;
    bits |= uint64_t{code.distance_words[distance.symbol]} << count;
    count += code.distance_bits[distance.symbol];
    bits |= uint64_t{token.distance() - distance.base} << count;
    put(bits, count + distance.extra_bits);
  }
  put(code.length_words[kEndOfBlock], code.length_bits[kEndOfBlock]);
}

bool BlockWriter::write(std::span<const Token> tokens, const SymbolCounts& given,
                        sdk::ConstBytes plain, bool last) {
  SymbolCounts counts = given;
  counts.lengths[kEndOfBlock] = 1;
  const Code code = Code::fit(counts);
  const Header header(code);
  const uint64_t dynamic = 3 + header.cost() + code.cost(counts);
  const uint64_t fixed = 3 + Code::fixed().cost(counts);
  const uint64_t pieces = std::max<uint64_t>(1, sdk::div_up(plain.size(), kMaxStored));
  const uint64_t stored = pieces * (3 + 7 + 32) + 8 * uint64_t{plain.size()};
  if (!fits(std::min({dynamic, fixed, stored}))) return false;
  if (stored <= dynamic && stored <= fixed) {
    write_stored(plain, last);
    return true;
  }
  const bool use_fixed = fixed <= dynamic;
  put((last ? 1u : 0u) | (use_fixed ? 1u : 2u) << 1, 3);
  if (!use_fixed) write_header(header);
  write_tokens(tokens, use_fixed ? Code::fixed() : code);
  return true;
}

size_t BlockWriter::finish() {
  if (pending_ > 0) out_[at_++] = static_cast<uint8_t>(bits_);
  return at_;
}

}  // namespace instar::zlib
