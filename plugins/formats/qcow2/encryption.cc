// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/encryption.hpp"

#include <algorithm>
#include <string_view>

namespace instar::qcow2 {
namespace {

const char* scheme_of(uint32_t method) {
  return method == kCryptAes ? "aes" : "luks";
}

/** Only of an encrypted image anybody looks at them. */
Status refuse_others(const sdk::Options& options) {
  if (!options.has("encrypt.*")) return {};
  const std::string other = options.text("encrypt.*");
  const std::string name = other.substr(0, other.find('.'));
  if (name == "format" || name == "key-secret")
    return fail(EINVAL, "Parameters '", name, ".*' are unexpected");
  return fail(EINVAL, "Parameter '", name, "' is unexpected");
}

/** The format that the user names must be the image's. */
Status check_format(const sdk::Options& options, const Header& header) {
  if (!options.has("encrypt.format")) return {};
  const std::string wanted = options.text("encrypt.format");
  if (header.crypt_method == kCryptNone)
    return fail(EINVAL, "No encryption in image header, but options specified format '", wanted,
                "'");
  const char* found = scheme_of(header.crypt_method);
  if (wanted != found)
    return fail(EINVAL, "Header reported '", found, "' encryption format but options specify '",
                wanted, "'");
  return {};
}

/** `options` are the user's for the scheme. */
sdk::EncryptionRequest request_of(const char* scheme, const sdk::SubOptions& options) {
  sdk::EncryptionRequest request;
  request.scheme = scheme;
  request.option_prefix = kEncryptPrefix;
  request.options = options.abi();
  return request;
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
  INSTAR_CHECK(check_format(context.options(), header));
  if (header.crypt_method == kCryptNone) return std::unique_ptr<ContentCipher>();
  INSTAR_CHECK(refuse_others(context.options()));
  const bool luks = header.crypt_method == kCryptLuks;
  if (luks && !header.crypto)
    return fail(EINVAL, "Missing CRYPTO header for crypt method ", header.crypt_method);
  EncryptionHeader store(file, header.crypto.value_or(CryptoExtension{}));
  const sdk::SubOptions options(context.options(), kEncryptPrefix);
  auto request = request_of(scheme_of(header.crypt_method), options);
  if (luks) request.header = &store;
  if (context.has_flag(INSTAR_OPEN_NO_IO)) request.flags = INSTAR_ENCRYPTION_DESCRIBE;
  INSTAR_TRY(auto scheme, sdk::Encryption::open(context.host(), context.call(), request));
  return std::make_unique<ContentCipher>(std::move(scheme), luks);
}

Status ContentCipher::amend(const Call& call, const sdk::Options& options, const Header& header,
                            HostFile& file, bool force) {
  EncryptionHeader store(file, header.crypto.value_or(CryptoExtension{}));
  const sdk::SubOptions own(options, kEncryptPrefix);
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
  const bool legacy = options.flag("encryption");
  if (legacy && options.has("encrypt.format"))
    return fail(EINVAL,
                "'encrypt.format' and its alias 'encryption' can't be used at the same time");
  const sdk::SubOptions own(options, kEncryptPrefix);
  if (!legacy && !options.has("encrypt.format")) {
    if (own.empty()) return EncryptionChoice{};
    return fail(EINVAL, "Parameter 'encrypt.format' is missing");
  }
  const std::string format = options.text("encrypt.format", "aes");
  if (format == "luks") return EncryptionChoice{kCryptLuks, "luks"};
  if (format != "aes" && format != "qcow")
    return fail(EINVAL, "Parameter 'format' does not accept value '", format, "'");
  for (const auto& option : sdk::Options(own.abi()))
    if (std::string_view(option.name) != "format" && std::string_view(option.name) != "key-secret")
      return fail(EINVAL, "Parameter '", kEncryptPrefix, option.name, "' is unexpected");
  return EncryptionChoice{kCryptAes, "aes"};
}

Result<uint64_t> measure_encryption(const sdk::Host& host, const Call& call,
                                    const EncryptionChoice& choice, const sdk::Options& options) {
  if (choice.method == kCryptNone) return uint64_t{0};
  const sdk::SubOptions own(options, kEncryptPrefix);
  return sdk::Encryption::measure(host, call, request_of(choice.scheme, own));
}

Result<std::optional<CryptoExtension>> create_encryption(const sdk::CreateContext& context,
                                                         const EncryptionChoice& choice,
                                                         HostFile& file, uint64_t offset,
                                                         uint64_t length) {
  std::optional<CryptoExtension> where;
  if (choice.method == kCryptNone) return where;
  const sdk::SubOptions own(context.options(), kEncryptPrefix);
  auto request = request_of(choice.scheme, own);
  EncryptionHeader store(file, offset, length);
  if (choice.method == kCryptLuks) request.header = &store;
  // Opened with the new key, and the key wiped at once.
  INSTAR_TRY([[maybe_unused]] const auto scheme,
             sdk::Encryption::create(context.host(), context.call(), request));
  if (choice.method == kCryptLuks) where = store.where();
  return where;
}

}  // namespace instar::qcow2
