// SPDX-License-Identifier: Apache-2.0
/** @file testing_cipher.hpp For unit tests: schemes "aes" and "luks" that are no ciphers, but give
 * noise when a sector is decrypted by another number than it was encrypted by. */
#pragma once

#include <memory>
#include <string>

#include "encryption.hpp"

namespace instar::sdk::testing {

/** @tparam kHeader whether the key lies in a header, as with LUKS. The key is the secret's name. */
template <bool kHeader>
class ToyScheme {
 public:
  static Result<std::unique_ptr<ToyScheme>> open(const Host&, const Call&,
                                                 const EncryptionArgs& args) {
    auto out = std::make_unique<ToyScheme>();
    if constexpr (kHeader) INSTAR_CHECK(args.io().read(0, Bytes(out->header_)));
    out->payload_ = payload_of(args);
    if (args.describe_only()) return out;
    INSTAR_TRY(out->key_, key_of(args));
    if (kHeader && out->key_ != out->header_[0]) return fail(EINVAL, "wrong key");
    return out;
  }
  Result<std::string> describe(bool) const {
    return std::string(kHeader ? R"({"format":"luks"})" : R"({"format":"aes"})");
  }
  instar_encryption_info info() const {
    return {sizeof(instar_encryption_info), kSector, payload_};
  }
  Status encrypt(uint64_t offset, Bytes data) { return work(offset, data); }
  Status decrypt(uint64_t offset, Bytes data) { return work(offset, data); }

 protected:
  static constexpr size_t kSector = 512;
  static constexpr size_t kHeaderLength = 5000;

  static uint64_t payload_of(const EncryptionArgs& args) {
    return kHeader && !args.detached() ? kHeaderLength : 0;
  }
  static Result<uint8_t> key_of(const EncryptionArgs& args) {
    const std::string name = args.options().text("key-secret");
    if (name.empty())
      return fail(EINVAL, "Parameter '", args.shown("key-secret"), "' is required for cipher");
    return static_cast<uint8_t>(name[0]);
  }
  Status work(uint64_t offset, Bytes data) const {
    if (offset % kSector != 0 || data.size() % kSector != 0)
      return fail(EINVAL, "not whole sectors");
    for (size_t at = 0; at < data.size(); at += kSector) {
      const auto noise =
          static_cast<uint8_t>(((offset + at) / kSector + 1) * 0x9e3779b97f4a7c15 >> 56);
      for (uint8_t& byte : data.subspan(at, kSector))
        byte ^= noise ^ key_;
    }
    return {};
  }

  uint8_t header_[kSector] = {};
  uint8_t key_ = 0;
  uint64_t payload_ = 0;
};

using ToyAes = ToyScheme<false>;

class ToyLuks : public ToyScheme<true> {
 public:
  static Result<std::unique_ptr<ToyLuks>> open(const Host& host, const Call& call,
                                               const EncryptionArgs& args) {
    INSTAR_TRY(const auto opened, ToyScheme::open(host, call, args));
    return std::make_unique<ToyLuks>(static_cast<ToyLuks&>(*opened));
  }
  static Result<std::unique_ptr<ToyLuks>> create(const Host&, const Call&,
                                                 const EncryptionArgs& args) {
    auto out = std::make_unique<ToyLuks>();
    INSTAR_TRY(out->key_, key_of(args));
    out->header_[0] = out->key_;
    out->payload_ = payload_of(args);
    INSTAR_CHECK(args.io().allocate(kHeaderLength));
    INSTAR_CHECK(args.io().write(0, ConstBytes(out->header_)));
    return out;
  }
  static Result<uint64_t> measure(const Host&, const Call&, const EncryptionArgs&) {
    return uint64_t{kHeaderLength};
  }
  Status amend(const Call&, const Options& options, const HeaderIo& io, bool) {
    header_[0] = static_cast<uint8_t>(options.text("new-secret")[0]);
    return io.write(0, ConstBytes(header_));
  }
};

}  // namespace instar::sdk::testing
