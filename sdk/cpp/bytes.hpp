// SPDX-License-Identifier: Apache-2.0
/** @file bytes.hpp Numbers in byte buffers, alignment, and scatter-gather helpers. */
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "../abi/types.h"

namespace instar::sdk {

namespace detail {
template <class T>
constexpr T byte_swap(T value) {
  if constexpr (sizeof(T) == 1)
    return value;
  else if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(value));
  else if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(value));
  else
    return static_cast<T>(__builtin_bswap64(value));
}
}  // namespace detail

/** Big-endian, unaligned. The caller has checked that sizeof(T) bytes are there. */
template <class T>
T load_be(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::big ? value : detail::byte_swap(value);
}
template <class T>
void store_be(void* to, T value) {
  if (std::endian::native != std::endian::big) value = detail::byte_swap(value);
  std::memcpy(to, &value, sizeof value);
}
template <class T>
T load_le(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? value : detail::byte_swap(value);
}
template <class T>
void store_le(void* to, T value) {
  if (std::endian::native != std::endian::little) value = detail::byte_swap(value);
  std::memcpy(to, &value, sizeof value);
}

/** A big-endian number as it lies on disk, for on-disk structures (alignment 1). */
template <class T>
class Be {
 public:
  Be() = default;
  Be(T value) { store_be(bytes_, value); }
  operator T() const { return load_be<T>(bytes_); }

 private:
  uint8_t bytes_[sizeof(T)] = {};
};
/** The same, little-endian. */
template <class T>
class Le {
 public:
  Le() = default;
  Le(T value) { store_le(bytes_, value); }
  operator T() const { return load_le<T>(bytes_); }

 private:
  uint8_t bytes_[sizeof(T)] = {};
};

/** Rounding to a multiple of `unit` (> 0, any number). The caller makes sure that up does not
 * overflow. */
constexpr uint64_t round_down(uint64_t value, uint64_t unit) {
  return value - value % unit;
}
constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
  return round_down(value + unit - 1, unit);
}
constexpr uint64_t div_up(uint64_t value, uint64_t unit) {
  return value / unit + (value % unit != 0);
}

/** a + b or a * b, or false when it does not fit into 64 bits. */
inline bool add_overflows(uint64_t a, uint64_t b, uint64_t* sum) {
  return __builtin_add_overflow(a, b, sum);
}
inline bool mul_overflows(uint64_t a, uint64_t b, uint64_t* product) {
  return __builtin_mul_overflow(a, b, product);
}

/** Whether all bytes are zero. Fast on long runs. */
inline bool is_zero(const void* data, size_t len) {
  const auto* p = static_cast<const uint8_t*>(data);
  if (len < 16) return std::all_of(p, p + len, [](uint8_t b) { return b == 0; });
  uint64_t first[2];
  std::memcpy(first, p, sizeof first);
  return (first[0] | first[1]) == 0 && std::memcmp(p, p + 16, len - 16) == 0;
}

/** Pieces of memory that make up one request. Does not own them. */
class IoVec {
 public:
  IoVec() = default;
  IoVec(const instar_iovec* pieces, size_t count) : pieces_(pieces), count_(count) {}

  const instar_iovec* data() const { return pieces_; }
  size_t count() const { return count_; }
  const instar_iovec* begin() const { return pieces_; }
  const instar_iovec* end() const { return pieces_ + count_; }

  uint64_t length() const {
    uint64_t sum = 0;
    for (const auto& piece : *this)
      sum += piece.len;
    return sum;
  }
  /** Copies from `position` in the pieces to `to`, or the reverse; the range lies inside. */
  void copy_out(uint64_t position, void* to, size_t len) const {
    walk(position, len, [&](uint8_t* piece, size_t done, size_t n) {
      std::memcpy(static_cast<uint8_t*>(to) + done, piece, n);
    });
  }
  void copy_in(uint64_t position, const void* from, size_t len) const {
    walk(position, len, [&](uint8_t* piece, size_t done, size_t n) {
      std::memcpy(piece, static_cast<const uint8_t*>(from) + done, n);
    });
  }
  void fill_zero(uint64_t position, uint64_t len) const {
    walk(position, len, [&](uint8_t* piece, size_t, size_t n) { std::memset(piece, 0, n); });
  }
  /** Calls each(pointer, bytes done before, bytes) for the pieces of [position, position + len). */
  template <class Each>
  void walk(uint64_t position, uint64_t len, Each each) const {
    uint64_t done = 0;
    for (const auto& piece : *this) {
      if (done == len) return;
      if (position >= piece.len) {
        position -= piece.len;
        continue;
      }
      const auto n = static_cast<size_t>(std::min<uint64_t>(piece.len - position, len - done));
      each(static_cast<uint8_t*>(piece.base) + position, done, n);
      done += n;
      position = 0;
    }
  }

 private:
  const instar_iovec* pieces_ = nullptr;
  size_t count_ = 0;
};

using Bytes = std::span<uint8_t>;
using ConstBytes = std::span<const uint8_t>;

}  // namespace instar::sdk
