// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/key_derivation.hpp"

#include <gcrypt.h>
#include <time.h>

#include <array>
#include <cstring>

#include "plugins/filters/luks/header.hpp"
#include "plugins/filters/luks/sector_cipher.hpp"

namespace instar::luks {
namespace {

constexpr size_t kMaxDigest = 64;
constexpr uint64_t kNanosecond = 1'000'000'000;
/** Long enough to measure the speed within some percents. */
constexpr uint64_t kMeasureFor = 25'000'000;

uint64_t thread_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNanosecond + static_cast<uint64_t>(now.tv_nsec);
}

/** Hashes each piece of a block with its number: H(number || piece), the last one cut short. */
void diffuse(const Hash& hash, sdk::Bytes block) {
  std::array<uint8_t, sizeof(uint32_t) + kMaxDigest> input;
  std::array<uint8_t, kMaxDigest> digest;
  uint32_t number = 0;
  for (size_t at = 0; at < block.size(); at += hash.size, ++number) {
    const size_t n = std::min(hash.size, block.size() - at);
    sdk::store_be(input.data(), number);
    std::memcpy(input.data() + sizeof number, block.data() + at, n);
    gcry_md_hash_buffer(hash.gcrypt, digest.data(), input.data(), sizeof number + n);
    std::memcpy(block.data() + at, digest.data(), n);
  }
  explicit_bzero(input.data(), input.size());
  explicit_bzero(digest.data(), digest.size());
}

void add(sdk::Bytes to, sdk::ConstBytes other) {
  for (size_t i = 0; i < to.size(); ++i)
    to[i] ^= other[i];
}

}  // namespace

sdk::Status derive_key(const Hash& hash, sdk::ConstBytes password, sdk::ConstBytes salt,
                       uint64_t iterations, sdk::Bytes key) {
  INSTAR_CHECK(prepare_gcrypt());
  static constexpr uint8_t kNothing = 0;
  const auto error = gcry_kdf_derive(password.empty() ? &kNothing : password.data(),
                                     password.size(), GCRY_KDF_PBKDF2, hash.gcrypt, salt.data(),
                                     salt.size(), iterations, key.size(), key.data());
  if (error != 0)
    return sdk::fail(ENOTSUP, "PBKDF does not support hash algorithm ", hash.name, ": ",
                     gcrypt_text(error));
  return {};
}

sdk::Result<uint64_t> iterations_per_second(const Hash& hash, size_t key_size) {
  static constexpr uint8_t kPassword[] = "password";
  static constexpr std::array<uint8_t, 32> kSalt{};
  SecureBytes key(key_size);
  for (uint64_t iterations = 1 << 12;; iterations *= 2) {
    const uint64_t begin = thread_time();
    INSTAR_CHECK(derive_key(hash, kPassword, kSalt, iterations, key.bytes()));
    const uint64_t took = thread_time() - begin;
    if (took >= kMeasureFor) return iterations * kNanosecond / took;
  }
}

sdk::Result<uint64_t> scale_iterations(uint64_t per_second, uint64_t iter_time, uint64_t divisor) {
  uint64_t product = 0;
  if (sdk::mul_overflows(per_second, iter_time, &product))
    return sdk::fail(ERANGE, "PBKDF iterations ", per_second,
                     " too large to scale: ", sdk::errno_text(ERANGE));
  const uint64_t iterations = product / 1000 / divisor;
  if (iterations > UINT32_MAX)
    return sdk::fail(ERANGE, "PBKDF iterations ", iterations, " larger than ", UINT32_MAX, ": ",
                     sdk::errno_text(ERANGE));
  return std::max(iterations, kMinIterations);
}

sdk::Result<SecureBytes> split_key(const Hash& hash, sdk::ConstBytes key, size_t stripes) {
  INSTAR_CHECK(prepare_gcrypt());
  SecureBytes out(key.size() * stripes);
  SecureBytes block(key.size());
  const size_t last = key.size() * (stripes - 1);
  INSTAR_CHECK(fill_random(out.bytes().first(last)));
  for (size_t at = 0; at < last; at += key.size()) {
    add(block.bytes(), out.bytes().subspan(at, key.size()));
    diffuse(hash, block.bytes());
  }
  add(block.bytes(), key);
  std::memcpy(out.data() + last, block.data(), key.size());
  return out;
}

SecureBytes merge_key(const Hash& hash, sdk::ConstBytes split, size_t key_size, size_t stripes) {
  SecureBytes block(key_size);
  const size_t last = key_size * (stripes - 1);
  for (size_t at = 0; at < last; at += key_size) {
    add(block.bytes(), split.subspan(at, key_size));
    diffuse(hash, block.bytes());
  }
  add(block.bytes(), split.subspan(last, key_size));
  return block;
}

}  // namespace instar::luks
