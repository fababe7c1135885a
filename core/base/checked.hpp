// SPDX-License-Identifier: Apache-2.0
/** @file checked.hpp Arithmetic that tells about overflow instead of wrapping. For every number
 * read from an image. */
#pragma once

#include <concepts>
#include <optional>

namespace instar::base {

/** a + b, or nothing if it does not fit in T. */
template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/** a - b, or nothing if it does not fit in T. */
template <std::integral T>
constexpr std::optional<T> checked_sub(T a, T b) {
  T difference;
  if (__builtin_sub_overflow(a, b, &difference)) return std::nullopt;
  return difference;
}

/** a * b, or nothing if it does not fit in T. */
template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/** The smallest multiple of `unit` (> 0) that is not below `value`, or nothing if it does not fit.
 */
template <std::unsigned_integral T>
constexpr std::optional<T> checked_round_up(T value, T unit) {
  const T rest = value % unit;
  if (rest == 0) return value;
  return checked_add<T>(value, unit - rest);
}

/** True if [offset, offset + length) lies within [0, size). An empty range at the end does. */
template <std::unsigned_integral T>
constexpr bool range_within(T offset, T length, T size) {
  return offset <= size && length <= size - offset;
}

}  // namespace instar::base
