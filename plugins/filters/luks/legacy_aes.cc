// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/legacy_aes.hpp"

#include <cstring>

#include "plugins/filters/luks/secret.hpp"

namespace instar::luks {

sdk::Result<std::unique_ptr<LegacyAes>> LegacyAes::open(const sdk::Host& host,
                                                        const sdk::Call& call,
                                                        const sdk::EncryptionArgs& args) {
  auto out = std::make_unique<LegacyAes>();
  if (args.describe_only()) return out;
  INSTAR_TRY(const std::string id, key_secret_id(args));
  INSTAR_TRY(const SecureBytes password, read_password(host, call, id));
  CipherSpec spec;
  spec.cipher = find_cipher("aes-128");
  spec.mode = Mode::kCbc;
  // Of a longer password only the beginning counts, a shorter one is filled up with zeroes.
  SecureBytes key(spec.key_size());
  std::copy_n(password.data(), std::min(password.size(), key.size()), key.data());
  INSTAR_TRY(out->cipher_, SectorCipher::open(spec, key));
  return out;
}

sdk::Result<std::string> LegacyAes::describe(bool with_format) const {
  return std::string(with_format ? R"({"format":"aes"})" : "{}");
}

sdk::Status LegacyAes::encrypt(uint64_t offset, sdk::Bytes data) {
  if (cipher_ == nullptr) return sdk::fail(EACCES, "the image was opened without its key");
  return cipher_->encrypt(offset / kSectorSize, data);
}

sdk::Status LegacyAes::decrypt(uint64_t offset, sdk::Bytes data) {
  if (cipher_ == nullptr) return sdk::fail(EACCES, "the image was opened without its key");
  return cipher_->decrypt(offset / kSectorSize, data);
}

}  // namespace instar::luks
