// SPDX-License-Identifier: Apache-2.0
/** @file secure.hpp Memory for keys, random bytes, and what libgcrypt needs before it is used. */
#pragma once

#include <cstddef>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::luks {

/**
 * Bytes on pages of their own, which are kept out of core dumps, locked into memory where the
 * limits allow it, and wiped before they are given back. Zero at first.
 */
class SecureBytes {
 public:
  SecureBytes() = default;
  /** Throws std::bad_alloc. */
  explicit SecureBytes(size_t size);
  SecureBytes(SecureBytes&& other) noexcept;
  SecureBytes& operator=(SecureBytes&& other) noexcept;
  SecureBytes(const SecureBytes&) = delete;
  SecureBytes& operator=(const SecureBytes&) = delete;
  ~SecureBytes();

  SecureBytes copy() const;
  /** Keeps the content; what it had before is wiped. */
  void resize(size_t size);

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  sdk::Bytes bytes() { return {data_, size_}; }
  sdk::ConstBytes bytes() const { return {data_, size_}; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/** In a time that does not depend on where they differ. */
bool equal_in_constant_time(sdk::ConstBytes a, sdk::ConstBytes b);

/** From the kernel's generator. */
sdk::Status fill_random(sdk::Bytes to);

/** The 36 characters of a random UUID (RFC 4122, version 4). */
sdk::Status make_uuid(char* to);

/** Makes libgcrypt ready, once per process; its memory for keys is kept out of core dumps. */
sdk::Status prepare_gcrypt();

}  // namespace instar::luks
