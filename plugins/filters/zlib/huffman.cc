// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/huffman.hpp"

#include <algorithm>
#include <array>

namespace instar::zlib {
namespace {

constexpr unsigned kMaxLength = 15;

struct Leaf {
  uint32_t count;
  uint16_t symbol;
};

/** The symbols that occur, rarest first. */
size_t sort_leaves(std::span<const uint32_t> counts, std::array<Leaf, kMaxSymbols>& leaves) {
  size_t used = 0;
  for (size_t symbol = 0; symbol < counts.size(); ++symbol)
    if (counts[symbol] != 0) leaves[used++] = {counts[symbol], static_cast<uint16_t>(symbol)};
  for (uint16_t symbol = 0; used < 2; ++symbol)
    if (counts[symbol] == 0) leaves[used++] = {1, symbol};
  std::sort(leaves.begin(), leaves.begin() + used, [](const Leaf& a, const Leaf& b) {
    return a.count != b.count ? a.count < b.count : a.symbol < b.symbol;
  });
  return used;
}

/** Huffman's tree of sorted leaves, by two queues: how many words there are of each length, those
 * that are too long counted as of max_length. */
std::array<unsigned, kMaxLength + 1> count_lengths(std::span<const Leaf> leaves,
                                                   unsigned max_length) {
  std::array<uint64_t, kMaxSymbols> weight{};
  std::array<uint16_t, 2 * kMaxSymbols> parent{};
  const size_t n = leaves.size();
  size_t leaf = 0, inner = 0;
  const auto take = [&](size_t made) {
    const bool from_leaves = leaf < n && (inner == made || leaves[leaf].count <= weight[inner]);
    return from_leaves ? leaf++ : n + inner++;
  };
  const auto weight_of = [&](size_t node) -> uint64_t {
    return node < n ? leaves[node].count : weight[node - n];
  };
  for (size_t made = 0; made + 1 < n; ++made) {
    const size_t a = take(made), b = take(made);
    weight[made] = weight_of(a) + weight_of(b);
    parent[a] = parent[b] = static_cast<uint16_t>(n + made);
  }
  std::array<unsigned, kMaxLength + 1> of_length{};
  std::array<uint16_t, 2 * kMaxSymbols> depth{};
  for (size_t node = 2 * n - 2; node-- > 0;) {
    depth[node] = static_cast<uint16_t>(depth[parent[node]] + 1);
    if (node < n) ++of_length[std::min<unsigned>(depth[node], max_length)];
  }
  return of_length;
}

/** Makes room for the words that were cut to max_length. */
void restore_prefix_property(std::array<unsigned, kMaxLength + 1>& of_length, unsigned max_length) {
  uint32_t space = 0;
  for (unsigned length = 1; length <= max_length; ++length)
    space += of_length[length] << (max_length - length);
  for (; space > 1u << max_length; --space) {
    --of_length[max_length];
    unsigned length = max_length - 1;
    while (of_length[length] == 0)
      --length;
    --of_length[length];
    of_length[length + 1] += 2;
  }
}

uint16_t reverse_bits(uint32_t word, unsigned length) {
  uint32_t reversed = 0;
  for (unsigned i = 0; i < length; ++i)
    reversed |= (word >> i & 1) << (length - 1 - i);
  return static_cast<uint16_t>(reversed);
}

}  // namespace

void make_code(std::span<const uint32_t> counts, unsigned max_length, std::span<uint8_t> lengths,
               std::span<uint16_t> words) {
  std::array<Leaf, kMaxSymbols> leaves;
  const size_t used = sort_leaves(counts, leaves);
  auto of_length = count_lengths(std::span(leaves).first(used), max_length);
  restore_prefix_property(of_length, max_length);
  std::fill(lengths.begin(), lengths.end(), uint8_t{0});
  size_t next = 0;
  for (unsigned length = max_length; length > 0; --length)
    for (unsigned i = 0; i < of_length[length]; ++i)
      lengths[leaves[next++].symbol] = static_cast<uint8_t>(length);
  std::array<uint32_t, kMaxLength + 2> word{};
  for (unsigned length = 1; length <= max_length; ++length)
    word[length + 1] = (word[length] + of_length[length]) << 1;
  for (size_t symbol = 0; symbol < lengths.size(); ++symbol)
    if (lengths[symbol] != 0)
      words[symbol] = reverse_bits(word[lengths[symbol]]++, lengths[symbol]);
}

}  // namespace instar::zlib
