// SPDX-License-Identifier: Apache-2.0
/** @file kdf.hpp How LUKS version 2 makes a key of a password: PBKDF2 (RFC 8018) or Argon2 (RFC 9106). */
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "plugins/filters/luks/algorithms.hpp"
#include "plugins/filters/luks/secure.hpp"

namespace instar::luks {

enum class KdfType { kPbkdf2, kArgon2i, kArgon2id };

/** By the names of the LUKS2 specification; nullopt: unknown. */
std::optional<KdfType> find_kdf(std::string_view name);
std::string_view name_of(KdfType type);

/** What cryptsetup takes at most, and what a stranger's header may make us allocate. KiB. */
inline constexpr uint64_t kMaxKdfMemory = 1 << 20;
inline constexpr uint64_t kMinKdfMemory = 32;

struct Kdf {
  KdfType type = KdfType::kArgon2id;
  const Hash* hash = nullptr;  ///< PBKDF2 only
  uint64_t iterations = 0;     ///< of Argon2: passes over the memory
  uint64_t memory = 0;         ///< KiB; Argon2 only
  uint64_t lanes = 0;          ///< Argon2 only
  std::string salt;

  bool is_argon2() const { return type != KdfType::kPbkdf2; }
};

/** Whether the numbers make sense, and the memory is within bounds. */
sdk::Status check_kdf(const Kdf& kdf);
/** The work of one key, as a part of what is done at most: 1 is minutes. */
double work_of(const Kdf& kdf);
sdk::Status derive_key(const Kdf& kdf, sdk::ConstBytes password, sdk::Bytes key);

/** One that takes `iter_time` milliseconds here, with a new salt. @param max_memory KiB. */
sdk::Result<Kdf> make_kdf(KdfType type, const Hash& hash, size_t key_size, uint64_t iter_time,
                          uint64_t max_memory);

}  // namespace instar::luks
