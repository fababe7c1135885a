// SPDX-License-Identifier: Apache-2.0
/** @file algorithms.hpp The ciphers, modes, IV generators and hashes by QEMU's names and by those in
 * a LUKS header. */
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "sdk/cpp/result.hpp"

namespace instar::luks {

enum class Family { kAes, kCast5, kSerpent, kTwofish };

struct Cipher {
  std::string_view name;         ///< "aes-256"
  std::string_view header_name;  ///< "aes", in a LUKS header
  std::string_view family_name;  ///< "AES", in messages
  Family family;
  size_t key_size;  ///< bytes
  size_t block_size;
  int gcrypt;
};

struct Hash {
  std::string_view name;
  size_t size;
  int gcrypt;
};

enum class Mode { kEcb, kCbc, kXts, kCtr };
enum class IvGenerator { kPlain, kPlain64, kEssiv };

/** What makes sectors out of a key. */
struct CipherSpec {
  const Cipher* cipher = nullptr;
  Mode mode = Mode::kXts;
  IvGenerator iv_generator = IvGenerator::kPlain64;
  const Hash* iv_hash = nullptr;      ///< ESSIV: makes the key of the generator
  const Cipher* iv_cipher = nullptr;  ///< ESSIV
  size_t sector_size = 512;           ///< bytes; the generators count in 512 all the same

  /** XTS takes two keys. */
  size_t key_size() const { return cipher->key_size * (mode == Mode::kXts ? 2 : 1); }
};

/** By name; nullptr: unknown. */
const Cipher* find_cipher(std::string_view name);
/** By the header's name and the length of one key. */
const Cipher* find_cipher(std::string_view header_name, size_t key_size);
/** Whether QEMU knows a cipher of that name that LUKS has not. */
bool is_foreign_cipher(std::string_view name);
const Hash* find_hash(std::string_view name);
const Mode* find_mode(std::string_view name);
const IvGenerator* find_iv_generator(std::string_view name);
std::string_view name_of(Mode mode);
std::string_view name_of(IvGenerator generator);

/** The cipher of an ESSIV generator: of the same family, its key as long as the hash. */
sdk::Result<const Cipher*> essiv_cipher(const Cipher& cipher, const Hash& hash);

}  // namespace instar::luks
