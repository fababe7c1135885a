// SPDX-License-Identifier: Apache-2.0
/** @file secret_cipher.hpp The scheme "secret": how --object secret,keyid=…,iv=… is encrypted. It is
 * AES-256-CBC; the host asks for it, so that the host itself needs no cipher. */
#pragma once

#include <memory>

#include "plugins/filters/luks/sector_cipher.hpp"
#include "sdk/cpp/encryption.hpp"

namespace instar::luks {

class SecretCipher {
 public:
  /** Options: key-secret (of 32 bytes), iv (32 hexadecimal digits). */
  static sdk::Result<std::unique_ptr<SecretCipher>> open(const sdk::Host& host,
                                                         const sdk::Call& call,
                                                         const sdk::EncryptionArgs& args);
  sdk::Result<std::string> describe(bool with_format) const;
  instar_encryption_info info() const { return {sizeof(instar_encryption_info), kBlock, 0}; }
  /** The whole at once: one chain begins at offset 0. */
  sdk::Status encrypt(uint64_t offset, sdk::Bytes data);
  sdk::Status decrypt(uint64_t offset, sdk::Bytes data);

 private:
  static constexpr size_t kBlock = 16;
  using Work = decltype(&gcry_cipher_encrypt);
  sdk::Status run(Work work, uint64_t offset, sdk::Bytes data);

  std::mutex mutex_;
  CipherHandle cipher_;
  uint8_t iv_[kBlock] = {};
};

}  // namespace instar::luks
