// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/secret_cipher.hpp"

#include <charconv>

#include "plugins/filters/luks/secret.hpp"

namespace instar::luks {
namespace {

sdk::Status read_hex(std::string_view text, sdk::Bytes to) {
  bool valid = text.size() == to.size() * 2;
  for (size_t i = 0; valid && i < to.size(); ++i) {
    const char* digits = text.data() + i * 2;
    valid = std::from_chars(digits, digits + 2, to[i], 16).ptr == digits + 2;
  }
  if (!valid) return sdk::fail(EINVAL, "'", text, "' is not an IV of ", to.size(), " bytes in hex");
  return {};
}

}  // namespace

sdk::Result<std::unique_ptr<SecretCipher>> SecretCipher::open(const sdk::Host& host,
                                                              const sdk::Call& call,
                                                              const sdk::EncryptionArgs& args) {
  auto out = std::make_unique<SecretCipher>();
  INSTAR_CHECK(read_hex(args.options().text("iv"), out->iv_));
  INSTAR_TRY(const std::string id, key_secret_id(args));
  INSTAR_TRY(const SecureBytes key, read_secret(host, call, id));
  const Cipher* cipher = find_cipher("aes-256");
  if (key.size() != cipher->key_size) return sdk::fail(EINVAL, "Key should be 32 bytes in length");
  INSTAR_TRY(out->cipher_, CipherHandle::open(*cipher, Mode::kCbc, key.bytes()));
  return out;
}

sdk::Result<std::string> SecretCipher::describe(bool with_format) const {
  return std::string(with_format ? R"({"format":"secret"})" : "{}");
}

sdk::Status SecretCipher::encrypt(uint64_t offset, sdk::Bytes data) {
  return run(&gcry_cipher_encrypt, offset, data);
}

sdk::Status SecretCipher::decrypt(uint64_t offset, sdk::Bytes data) {
  return run(&gcry_cipher_decrypt, offset, data);
}

sdk::Status SecretCipher::run(Work work, uint64_t offset, sdk::Bytes data) {
  if (offset != 0 || data.size() % kBlock != 0)
    return sdk::fail(EINVAL, "Length ", data.size(), " must be a multiple of block size ", kBlock);
  const std::lock_guard lock(mutex_);
  auto error = gcry_cipher_setiv(cipher_.get(), iv_, kBlock);
  if (error == 0) error = work(cipher_.get(), data.data(), data.size(), nullptr, 0);
  if (error != 0) return sdk::fail(EIO, "Failed to decrypt: ", gcrypt_text(error));
  return {};
}

}  // namespace instar::luks
