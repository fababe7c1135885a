// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/encryption.hpp"

#include <algorithm>
#include <string_view>

#include "sdk/cpp/encrypt_options.hpp"

namespace instar::qcow2 {
namespace {

const char* scheme_of(uint32_t method) {
  return method == kCryptAes ? "aes" : "luks";
}

/** A message as the kernel's errors are told. */
Status told(Status result, const char* what) {
  if (result) return result;
  return fail(result.error().code, what, ": ", sdk::errno_text(result.error().code));
}

}  // namespace

bool EncryptionHeader::holds(uint64_t offset, uint64_t length) const {
  return length <= where_.length && offset <= where_.length - length;
}

Status EncryptionHeader::read(const Call& call, uint64_t offset, Bytes to) {
  if (!holds(offset, to.size()))
    return fail(EINVAL, "Request for data outside of extension header");
  constexpr const char* kWhat = "Could not read encryption header";
  if (where_.offset + offset > INT64_MAX - to.size()) return told(fail(EIO, ""), kWhat);
  return told(file_.read(call, where_.offset + offset, to.data(), to.size()), kWhat);
}

Status EncryptionHeader::write(const Call& call, uint64_t offset, ConstBytes from) {
  if (!holds(offset, from.size()))
    return fail(EINVAL, "Request for data outside of extension header");
  return told(file_.write(call, where_.offset + offset, from.data(), from.size()),
              "Could not write encryption header");
}

Status EncryptionHeader::allocate(const Call& call, uint64_t length) {
  if (length > room_) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  where_.length = length;
  return told(file_.write_zeroes(call, where_.offset, room_, 0),
              "Could not zero fill encryption header");
}

Status EncryptionHeader::flush(const Call& call) {
  return file_.flush(call);
}

ContentCipher::ContentCipher(sdk::Encryption scheme, bool counts_host)
    : cipher_(std::move(scheme)), counts_host_(counts_host) {}

Result<std::unique_ptr<ContentCipher>> ContentCipher::open(const sdk::OpenContext& context,
                                                           const Header& header, HostFile& file) {
  const bool encrypted = header.crypt_method != kCryptNone;
  const char* scheme_name = encrypted ? scheme_of(header.crypt_method) : "";
  INSTAR_CHECK(sdk::check_encrypt_options(context.options(), scheme_name));
  if (!encrypted) return std::unique_ptr<ContentCipher>();
  const bool luks = header.crypt_method == kCryptLuks;
  if (luks && !header.crypto)
    return fail(EINVAL, "Missing CRYPTO header for crypt method ", header.crypt_method);
  EncryptionHeader store(file, header.crypto.value_or(CryptoExtension{}));
  const sdk::SubOptions options = sdk::encrypt_options(context.options());
  auto request = sdk::encryption_request(scheme_name, options);
  if (luks) request.header = &store;
  if (context.has_flag(INSTAR_OPEN_NO_IO)) request.flags = INSTAR_ENCRYPTION_DESCRIBE;
  INSTAR_TRY(auto scheme, sdk::Encryption::open(context.host(), context.call(), request));
  return std::make_unique<ContentCipher>(std::move(scheme), luks);
}

Status ContentCipher::amend(const Call& call, const sdk::Options& options, const Header& header,
                            HostFile& file, bool force) {
  EncryptionHeader store(file, header.crypto.value_or(CryptoExtension{}));
  const sdk::SubOptions own = sdk::encrypt_options(options);
  return cipher_.scheme().amend(call, own.abi(), store, force);
}

Status ContentCipher::decrypt(uint64_t guest, uint64_t host, const IoVec& to, uint64_t position,
                              uint64_t length) {
  return cipher_.decrypt(counts_host_ ? host : guest, to, position, length);
}

Status ContentCipher::write(const Call& call, HostFile& data, uint64_t guest, uint64_t host,
                            const IoVec& from, uint64_t position, uint64_t length) {
  return cipher_.encrypt(counts_host_ ? host : guest, from, position, length,
                         [&](uint64_t done, const uint8_t* bytes, size_t n) {
                           return data.write(call, host + done, bytes, n);
                         });
}

Result<EncryptionChoice> read_encryption(const sdk::Options& options) {
  INSTAR_TRY(const std::string_view scheme, sdk::chosen_encryption(options));
  if (scheme.empty()) return EncryptionChoice{};
  const CryptMethod method = scheme == "luks" ? kCryptLuks : kCryptAes;
  return EncryptionChoice{method, scheme_of(method)};
}

Result<uint64_t> measure_encryption(const sdk::Host& host, const Call& call,
                                    const EncryptionChoice& choice, const sdk::Options& options) {
  if (choice.method == kCryptNone) return uint64_t{0};
  const sdk::SubOptions own = sdk::encrypt_options(options);
  return sdk::Encryption::measure(host, call, sdk::encryption_request(choice.scheme, own));
}

Result<std::optional<CryptoExtension>> create_encryption(const sdk::CreateContext& context,
                                                         const EncryptionChoice& choice,
                                                         HostFile& file, uint64_t offset,
                                                         uint64_t length) {
  std::optional<CryptoExtension> where;
  if (choice.method == kCryptNone) return where;
  const sdk::SubOptions own = sdk::encrypt_options(context.options());
  auto request = sdk::encryption_request(choice.scheme, own);
  EncryptionHeader store(file, offset, length);
  if (choice.method == kCryptLuks) request.header = &store;
  // Opened with the new key, and the key wiped at once.
  INSTAR_TRY([[maybe_unused]] const auto scheme,
             sdk::Encryption::create(context.host(), context.call(), request));
  if (choice.method == kCryptLuks) where = store.where();
  return where;
}

}  // namespace instar::qcow2
