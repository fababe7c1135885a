// SPDX-License-Identifier: Apache-2.0
#include "core/objects/secret.hpp"

#include <linux/keyctl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "core/base/file.hpp"
#include "core/base/hex.hpp"
#include "sdk/cpp/base64.hpp"

namespace instar::objects {

namespace {

using Properties = std::map<std::string, std::string>;

constexpr size_t kMaxSecret = 1 << 20;
constexpr size_t kKeySize = 32;
constexpr size_t kBlockSize = 16;

std::optional<std::string> property(const Properties& properties, const char* name) {
  const auto found = properties.find(name);
  if (found == properties.end()) return std::nullopt;
  return found->second;
}

Result<std::string> read_secret_file(const std::string& path) {
  auto bytes = base::read_file(path, kMaxSecret);
  if (bytes) return bytes;
  const int code = bytes.error().code;
  const char* what = code == EISDIR ? "Error reading" : "Failed to open";
  return fail(code, "Unable to read ", path, ": ", what, " file \u201c", path,
              "\u201d: ", sdk::errno_text(code));
}

/** A key of the kernel, whole. */
Result<SecretBytes> read_key(const std::string& text) {
  const auto serial = static_cast<int32_t>(std::strtol(text.c_str(), nullptr, 0));
  if (serial == 0) return fail(EINVAL, "'serial' should not be equal to 0");
  const auto failed = [&](int code) {
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", static_cast<uint32_t>(serial));
    return fail(code, "Unable to read serial key ", digits, ": ", sdk::errno_text(code));
  };
  const long size = ::syscall(SYS_keyctl, KEYCTL_READ, serial, nullptr, 0);
  if (size < 0) return failed(errno);
  std::string bytes(static_cast<size_t>(size), '\0');
  const long again = ::syscall(SYS_keyctl, KEYCTL_READ, serial, bytes.data(), bytes.size());
  if (again < 0) return failed(errno);
  if (again != size) return failed(EAGAIN);  // changed meanwhile
  return SecretBytes(std::move(bytes));
}

Result<SecretBytes> read_bytes(Properties& properties) {
  if (const auto serial = property(properties, "serial")) return read_key(*serial);
  SecretBytes data(property(properties, "data").value_or(""));
  const bool has_data = properties.count("data") != 0;
  const auto file = property(properties, "file");
  if (auto entry = properties.find("data"); entry != properties.end()) {
    explicit_bzero(entry->second.data(), entry->second.size());
    properties.erase(entry);
  }
  if (has_data && file) return fail(EINVAL, "'file' and 'data' are mutually exclusive");
  if (!has_data && !file) return fail(EINVAL, "Either 'file' or 'data' must be provided");
  if (!file) return data;
  INSTAR_TRY(std::string bytes, read_secret_file(*file));
  return SecretBytes(std::move(bytes));
}

Result<SecretBytes> decode(SecretBytes text) {
  auto decoded = sdk::decode_base64(text.view());
  if (!decoded) return fail(EINVAL, "Base64 data contains invalid characters");
  return SecretBytes(*std::move(decoded));
}

/** In hexadecimal digits. */
Result<std::string> read_iv(const Properties& properties) {
  const auto text = property(properties, "iv");
  if (!text) return fail(EINVAL, "IV is required to decrypt secret");
  const auto iv = sdk::decode_base64(*text);
  if (!iv) return fail(EINVAL, "Base64 data contains invalid characters");
  if (iv->size() != kBlockSize)
    return fail(EINVAL, "IV should be ", kBlockSize, " bytes in length not ", iv->size());
  return base::to_hex({reinterpret_cast<const uint8_t*>(iv->data()), iv->size()});
}

/** What PKCS #7 has added; as QEMU does, only the last byte is looked at. */
Status remove_padding(SecretBytes& plain) {
  if (plain.view().empty()) return {};
  const auto count = static_cast<uint8_t>(plain.view().back());
  if (count > kBlockSize)
    return fail(EINVAL, "Incorrect number of padding bytes (", int{count},
                ") found on decrypted data");
  plain.shorten(plain.view().size() - count);
  return {};
}

}  // namespace

SecretBytes::SecretBytes(std::string bytes) : bytes_(bytes.begin(), bytes.end()) {
  explicit_bzero(bytes.data(), bytes.size());
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  wipe();
  bytes_ = std::move(other.bytes_);
  return *this;
}

void SecretBytes::shorten(size_t size) {
  if (size < bytes_.size()) explicit_bzero(bytes_.data() + size, bytes_.size() - size);
  bytes_.resize(size);
}

void SecretBytes::wipe() noexcept {
  if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
}

Result<SecretBytes> load_secret(Properties& properties, const FindSecret& find,
                                const Decrypt& decrypt) {
  INSTAR_TRY(SecretBytes bytes, read_bytes(properties));
  const bool base64 = property(properties, "format").value_or("raw") == "base64";
  const auto key_id = property(properties, "keyid");
  std::string iv;
  if (key_id) {
    INSTAR_TRY(const auto key, find(*key_id));
    if (key.size() != kKeySize) return fail(EINVAL, "Key should be 32 bytes in length");
    INSTAR_TRY(iv, read_iv(properties));
  }
  if (base64) {
    INSTAR_TRY(bytes, decode(std::move(bytes)));
  }
  if (!key_id) return bytes;
  if (bytes.view().size() % kBlockSize != 0)
    return fail(EINVAL, "Length ", bytes.view().size(), " must be a multiple of block size ",
                kBlockSize);
  if (decrypt == nullptr) return fail(ENOTSUP, "there is nothing to decrypt secrets with");
  INSTAR_CHECK(decrypt(*key_id, iv, bytes.bytes()));
  INSTAR_CHECK(remove_padding(bytes));
  return bytes;
}

}  // namespace instar::objects
