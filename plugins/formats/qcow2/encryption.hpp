// SPDX-License-Identifier: Apache-2.0
/** @file encryption.hpp Encrypted content: the scheme that the header names, where the scheme's own
 * header lies, and guest data on its way through the cipher. Metadata and compressed clusters are
 * never encrypted. Specification: "crypt_method", "Full disk encryption header pointer". */
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "plugins/formats/qcow2/header.hpp"
#include "sdk/cpp/content_cipher.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::qcow2 {

/** The scheme's header in the image file: `where` as the header extension says it. */
class EncryptionHeader final : public sdk::HeaderStore {
 public:
  EncryptionHeader(HostFile& file, CryptoExtension where) : file_(file), where_(where) {}
  /** For a new image: `length` bytes at `offset` are kept free for it. */
  EncryptionHeader(HostFile& file, uint64_t offset, uint64_t length)
      : file_(file), where_{offset, 0}, room_(length) {}

  CryptoExtension where() const { return where_; }

  Status read(const Call& call, uint64_t offset, Bytes to) override;
  Status write(const Call& call, uint64_t offset, ConstBytes from) override;
  Status allocate(const Call& call, uint64_t length) override;
  Status flush(const Call& call) override;

 private:
  bool holds(uint64_t offset, uint64_t length) const;

  HostFile& file_;
  CryptoExtension where_;
  uint64_t room_ = 0;
};

/** Thread-safe after open. Offsets and lengths of content are multiples of kSector. */
class ContentCipher {
 public:
  /** nullptr for an image that is not encrypted. Without I/O there is no key, only describe. */
  static Result<std::unique_ptr<ContentCipher>> open(const sdk::OpenContext& context,
                                                     const Header& header, HostFile& file);
  ContentCipher(sdk::Encryption scheme, bool counts_host);

  const sdk::Encryption& scheme() const { return cipher_.scheme(); }
  /** Sectors are numbered by their place in the data file; else by the guest's. */
  bool counts_host() const { return counts_host_; }
  /** Changes key slots; `options` are the user's for the image. Nobody else works on the header. */
  Status amend(const Call& call, const sdk::Options& options, const Header& header, HostFile& file,
               bool force);

  /** Decrypts what was read from `host` on into the bytes of `to` from `position` on. */
  Status decrypt(uint64_t guest, uint64_t host, const IoVec& to, uint64_t position,
                 uint64_t length);
  /** Writes `from`, which stays as it is, encrypted. */
  Status write(const Call& call, HostFile& data, uint64_t guest, uint64_t host, const IoVec& from,
               uint64_t position, uint64_t length);

 private:
  sdk::ContentCipher cipher_;
  bool counts_host_;
};

/** What creation options say of encryption; the values of the scheme's own are left to it. */
struct EncryptionChoice {
  CryptMethod method = kCryptNone;
  const char* scheme = "";  ///< as the host knows it
};
Result<EncryptionChoice> read_encryption(const sdk::Options& options);
/** Length in bytes of the header that the scheme would write; 0: none. */
Result<uint64_t> measure_encryption(const sdk::Host& host, const Call& call,
                                    const EncryptionChoice& choice, const sdk::Options& options);
/** Writes the scheme's header for a new image: `length` bytes at `offset` are kept free for it, and
 * are zeroes behind it. What the image's header says of it. */
Result<std::optional<CryptoExtension>> create_encryption(const sdk::CreateContext& context,
                                                         const EncryptionChoice& choice,
                                                         HostFile& file, uint64_t offset,
                                                         uint64_t length);

}  // namespace instar::qcow2
