// SPDX-License-Identifier: Apache-2.0
/** @file testing_damage.hpp For unit tests of formats: images with damage at random places, of which
 * nothing is expected but that they do no harm. The same seed gives the same damage. */
#pragma once

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

#include "testing.hpp"

namespace instar::sdk::testing {

/** How many damages a test tries: $INSTAR_FUZZ_ROUNDS or what the test says. */
inline int damage_rounds(int usual) {
  const char* wanted = std::getenv("INSTAR_FUZZ_ROUNDS");
  return wanted != nullptr ? std::atoi(wanted) : kSanitized ? usual / 4 : usual;
}

/** A number as wrong numbers are: random, near the image's length, small, or all ones. */
inline uint64_t wrong_number(size_t length, std::mt19937_64& random) {
  switch (random() % 5) {
    case 0:
      return random();
    case 1:
      return random() % (length + 65536) | (random() % 4) << 62;
    case 2:
      return random() % 300;
    case 3:
      return uint64_t{1} << random() % 64;
    default:
      return ~uint64_t{0} >> random() % 64;
  }
}

/** Cuts the image, or overwrites up to eight numbers of it, mostly near its end, at the beginning of
 * sectors, and in the 128 bytes from each of `tables` on, which are offsets of headers and tables. */
inline void damage(std::vector<uint8_t>& bytes, std::mt19937_64& random,
                   const std::vector<uint64_t>& tables = {0}) {
  constexpr size_t kWidest = 8;
  if (random() % 16 == 0) bytes.resize(random() % bytes.size());
  for (uint64_t n = 1 + random() % 8; n > 0 && bytes.size() > kWidest; --n) {
    const uint64_t places[] = {tables[random() % tables.size()] + random() % 128,
                               bytes.size() - 1 - random() % std::min<size_t>(512, bytes.size()),
                               random() % bytes.size(),
                               random() % (bytes.size() / 512 + 1) * 512 + random() % 32};
    const size_t width = size_t{1} << random() % 4;
    const size_t at = places[random() % 4] % (bytes.size() - kWidest) / width * width;
    uint8_t number[kWidest];
    if (random() % 2 == 0)
      store_be(number, wrong_number(bytes.size(), random) << 8 * (kWidest - width));
    else
      store_le(number, wrong_number(bytes.size(), random));
    std::copy_n(number, width, &bytes[at]);
  }
}

/** Uses an image in every way; results do not matter. */
inline void exercise(const NodeRef& node, bool writes, std::mt19937_64& random) {
  const auto size = node.size();
  if (!size || *size == 0) return;
  std::vector<instar_extent> extents(64);
  (void)static_cast<bool>(node.extents(quiet_call(), 0, *size, extents.data(), extents.size()));
  std::vector<uint8_t> buffer(std::min<uint64_t>(*size, 200 * 1024));
  for (int i = 0; i < 6; ++i) {
    const uint64_t at = random() % ((*size - buffer.size()) / 512 + 1) * 512;
    (void)static_cast<bool>(node.read(quiet_call(), at, buffer.data(), buffer.size()));
    if (!writes) continue;
    if (i % 2 == 0)
      (void)static_cast<bool>(node.write(quiet_call(), at, buffer.data(), buffer.size()));
    else
      (void)static_cast<bool>(node.write_zeroes(quiet_call(), at, buffer.size()));
    if (i == 3) (void)static_cast<bool>(node.flush(quiet_call()));
  }
}

}  // namespace instar::sdk::testing
