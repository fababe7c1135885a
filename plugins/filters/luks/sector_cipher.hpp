// SPDX-License-Identifier: Apache-2.0
/** @file sector_cipher.hpp Encrypts and decrypts sectors, each with an initialisation
 * vector made of its number. */
#pragma once

#include <gcrypt.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/filters/luks/algorithms.hpp"
#include "plugins/filters/luks/secure.hpp"

namespace instar::luks {

inline constexpr size_t kSectorSize = 512;

/** Text of a libgcrypt error. */
std::string gcrypt_text(gcry_error_t error);

/** A cipher of libgcrypt with its key; used by one thread at a time. */
class CipherHandle {
 public:
  static sdk::Result<CipherHandle> open(const Cipher& cipher, Mode mode, sdk::ConstBytes key);
  CipherHandle() = default;
  CipherHandle(CipherHandle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  CipherHandle& operator=(CipherHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~CipherHandle() { gcry_cipher_close(handle_); }

  gcry_cipher_hd_t get() const { return handle_; }

 private:
  gcry_cipher_hd_t handle_ = nullptr;
};

/** Thread-safe: every thread borrows a handle. */
class SectorCipher {
 public:
  /** `key` is spec.key_size() bytes long. */
  static sdk::Result<std::unique_ptr<SectorCipher>> open(const CipherSpec& spec,
                                                         const SecureBytes& key);

  /** In place, from the sector numbered `first` (in units of 512 bytes) on. The last one may be shorter, down to whole
   * blocks of the cipher. */
  sdk::Status encrypt(uint64_t first, sdk::Bytes data) { return run(first, data, true); }
  sdk::Status decrypt(uint64_t first, sdk::Bytes data) { return run(first, data, false); }

 private:
  struct Lane {
    CipherHandle content;
    CipherHandle iv;  ///< ESSIV only
  };

  SectorCipher(const CipherSpec& spec, SecureBytes key, SecureBytes iv_key)
      : spec_(spec), key_(std::move(key)), iv_key_(std::move(iv_key)) {}
  sdk::Result<Lane> make_lane() const;
  sdk::Result<Lane> borrow();
  void give_back(Lane lane);
  sdk::Status run(uint64_t first, sdk::Bytes data, bool encrypt);
  gcry_error_t run_sector(const Lane& lane, uint64_t number, sdk::Bytes sector, bool encrypt) const;
  gcry_error_t set_iv(const Lane& lane, uint64_t number) const;

  CipherSpec spec_;
  SecureBytes key_;
  SecureBytes iv_key_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<Lane> idle_;
  size_t lent_ = 0;
};

}  // namespace instar::luks
