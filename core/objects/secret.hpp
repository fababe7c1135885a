// SPDX-License-Identifier: Apache-2.0
/** @file secret.hpp The bytes of a secret: given or read from a file, decoded, decrypted. */
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace instar::objects {

/** Bytes that are wiped before their memory is given back. */
class SecretBytes {
 public:
  SecretBytes() = default;
  /** Wipes `bytes`. */
  explicit SecretBytes(std::string bytes);
  SecretBytes(SecretBytes&& other) noexcept = default;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { wipe(); }

  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  std::span<uint8_t> bytes() { return bytes_; }
  /** `size` is not above what it has. */
  void shorten(size_t size);

 private:
  void wipe() noexcept;
  std::vector<uint8_t> bytes_;
};

/** Decrypts AES-256-CBC in place, with the secret `key_id` as the key. The host has no cipher of its
 * own: a plugin does it. */
using Decrypt = std::function<Status(const std::string& key_id, const std::string& iv_hex,
                                     std::span<uint8_t> data)>;
/** The secret of an id, or an error in QEMU's wording. */
using FindSecret = std::function<Result<std::string_view>(const std::string& id)>;

/** Loads a secret by its properties, of which "data" is taken away. Errors in QEMU's wording. */
Result<SecretBytes> load_secret(std::map<std::string, std::string>& properties,
                                const FindSecret& find, const Decrypt& decrypt);

}  // namespace instar::objects
