// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/algorithms.hpp"

#include <gcrypt.h>

#include <algorithm>
#include <array>

namespace instar::luks {
namespace {

using enum Family;

constexpr std::array<Cipher, 9> kCiphers = {
    {{"aes-128", "aes", "AES", kAes, 16, 16, GCRY_CIPHER_AES128},
     {"aes-192", "aes", "AES", kAes, 24, 16, GCRY_CIPHER_AES192},
     {"aes-256", "aes", "AES", kAes, 32, 16, GCRY_CIPHER_AES256},
     {"cast5-128", "cast5", "CAST5", kCast5, 16, 8, GCRY_CIPHER_CAST5},
     {"serpent-128", "serpent", "Serpent", kSerpent, 16, 16, GCRY_CIPHER_SERPENT128},
     {"serpent-192", "serpent", "Serpent", kSerpent, 24, 16, GCRY_CIPHER_SERPENT192},
     {"serpent-256", "serpent", "Serpent", kSerpent, 32, 16, GCRY_CIPHER_SERPENT256},
     {"twofish-128", "twofish", "Twofish", kTwofish, 16, 16, GCRY_CIPHER_TWOFISH128},
     {"twofish-256", "twofish", "Twofish", kTwofish, 32, 16, GCRY_CIPHER_TWOFISH}}};

// twofish-192: libgcrypt has no Twofish with such a key.
constexpr std::array<std::string_view, 4> kForeign = {"des", "3des", "sm4", "twofish-192"};

constexpr std::array<Hash, 8> kHashes = {{{"md5", 16, GCRY_MD_MD5},
                                          {"sha1", 20, GCRY_MD_SHA1},
                                          {"sha224", 28, GCRY_MD_SHA224},
                                          {"sha256", 32, GCRY_MD_SHA256},
                                          {"sha384", 48, GCRY_MD_SHA384},
                                          {"sha512", 64, GCRY_MD_SHA512},
                                          {"ripemd160", 20, GCRY_MD_RMD160},
                                          {"sm3", 32, GCRY_MD_SM3}}};

struct NamedMode {
  std::string_view name;
  Mode mode;
};
constexpr std::array<NamedMode, 4> kModes = {
    {{"ecb", Mode::kEcb}, {"cbc", Mode::kCbc}, {"xts", Mode::kXts}, {"ctr", Mode::kCtr}}};

struct NamedGenerator {
  std::string_view name;
  IvGenerator generator;
};
constexpr std::array<NamedGenerator, 3> kGenerators = {{{"plain", IvGenerator::kPlain},
                                                        {"plain64", IvGenerator::kPlain64},
                                                        {"essiv", IvGenerator::kEssiv}}};

template <class Table>
auto* by_name(const Table& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const auto& entry) { return entry.name == name; });
  return found != table.end() ? &*found : nullptr;
}

}  // namespace

const Cipher* find_cipher(std::string_view name) {
  return by_name(kCiphers, name);
}

const Cipher* find_cipher(std::string_view header_name, size_t key_size) {
  const auto found = std::find_if(kCiphers.begin(), kCiphers.end(), [&](const Cipher& cipher) {
    return cipher.header_name == header_name && cipher.key_size == key_size;
  });
  return found != kCiphers.end() ? &*found : nullptr;
}

bool is_foreign_cipher(std::string_view name) {
  return std::find(kForeign.begin(), kForeign.end(), name) != kForeign.end();
}

const Hash* find_hash(std::string_view name) {
  return by_name(kHashes, name);
}

const Mode* find_mode(std::string_view name) {
  const auto* found = by_name(kModes, name);
  return found != nullptr ? &found->mode : nullptr;
}

const IvGenerator* find_iv_generator(std::string_view name) {
  const auto* found = by_name(kGenerators, name);
  return found != nullptr ? &found->generator : nullptr;
}

std::string_view name_of(Mode mode) {
  return kModes[static_cast<size_t>(mode)].name;
}

std::string_view name_of(IvGenerator generator) {
  return kGenerators[static_cast<size_t>(generator)].name;
}

sdk::Result<const Cipher*> essiv_cipher(const Cipher& cipher, const Hash& hash) {
  if (cipher.family == kCast5 && hash.size != cipher.key_size)
    return sdk::fail(EINVAL, "Cipher ", cipher.name, " not supported with essiv");
  const Cipher* found = find_cipher(cipher.header_name, hash.size);
  if (found == nullptr)
    return sdk::fail(EINVAL, "No ", cipher.family_name, " cipher with key size ", hash.size,
                     " available");
  return found;
}

}  // namespace instar::luks
