// SPDX-License-Identifier: Apache-2.0
/** @file legacy_aes.hpp The scheme "aes" of qcow and old qcow2: AES-128-CBC, the password itself is
 * the key, the initialisation vector is the guest's sector number. */
#pragma once

#include <memory>

#include "plugins/filters/luks/sector_cipher.hpp"
#include "sdk/cpp/encryption.hpp"

namespace instar::luks {

class LegacyAes {
 public:
  static sdk::Result<std::unique_ptr<LegacyAes>> open(const sdk::Host& host, const sdk::Call& call,
                                                      const sdk::EncryptionArgs& args);
  sdk::Result<std::string> describe(bool with_format) const;
  instar_encryption_info info() const { return {sizeof(instar_encryption_info), kSectorSize, 0}; }
  sdk::Status encrypt(uint64_t offset, sdk::Bytes data);
  sdk::Status decrypt(uint64_t offset, sdk::Bytes data);

 private:
  std::unique_ptr<SectorCipher> cipher_;  ///< absent when opened only to be described
};

}  // namespace instar::luks
