// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/sector_cipher.hpp"

#include <array>

namespace instar::luks {
namespace {

constexpr size_t kMaxBlock = 16;

int gcrypt_mode(Mode mode) {
  switch (mode) {
    case Mode::kEcb:
      return GCRY_CIPHER_MODE_ECB;
    case Mode::kCbc:
      return GCRY_CIPHER_MODE_CBC;
    case Mode::kXts:
      return GCRY_CIPHER_MODE_XTS;
    case Mode::kCtr:
      return GCRY_CIPHER_MODE_CTR;
  }
  return GCRY_CIPHER_MODE_NONE;
}

}  // namespace

std::string gcrypt_text(gcry_error_t error) {
  return gcry_strerror(error);
}

sdk::Result<CipherHandle> CipherHandle::open(const Cipher& cipher, Mode mode, sdk::ConstBytes key) {
  INSTAR_CHECK(prepare_gcrypt());
  if (mode == Mode::kXts && cipher.block_size != kMaxBlock)
    return sdk::fail(EINVAL, "Unsupported cipher mode ", name_of(mode));
  CipherHandle out;
  auto error = gcry_cipher_open(&out.handle_, cipher.gcrypt, gcrypt_mode(mode), GCRY_CIPHER_SECURE);
  if (gcry_err_code(error) == GPG_ERR_ENOMEM) return sdk::fail(ENOMEM, sdk::errno_text(ENOMEM));
  if (error != 0) return sdk::fail(ENOTSUP, "Unsupported cipher algorithm ", cipher.name);
  error = gcry_cipher_setkey(out.handle_, key.data(), key.size());
  // A key that the cipher finds weak was made or chosen long ago: the data must stay readable.
  if (error != 0 && gcry_err_code(error) != GPG_ERR_WEAK_KEY)
    return sdk::fail(EINVAL, "Cipher ", cipher.name, ": ", gcrypt_text(error));
  return out;
}

sdk::Result<std::unique_ptr<SectorCipher>> SectorCipher::open(const CipherSpec& spec,
                                                              const SecureBytes& key) {
  INSTAR_CHECK(prepare_gcrypt());
  SecureBytes iv_key;
  if (spec.iv_generator == IvGenerator::kEssiv) {
    iv_key = SecureBytes(spec.iv_hash->size);
    gcry_md_hash_buffer(spec.iv_hash->gcrypt, iv_key.data(), key.data(), key.size());
  }
  std::unique_ptr<SectorCipher> out(new SectorCipher(spec, key.copy(), std::move(iv_key)));
  INSTAR_TRY(Lane lane, out->make_lane());
  out->idle_.push_back(std::move(lane));
  return out;
}

sdk::Result<SectorCipher::Lane> SectorCipher::make_lane() const {
  Lane lane;
  INSTAR_TRY(lane.content, CipherHandle::open(*spec_.cipher, spec_.mode, key_.bytes()));
  if (spec_.iv_generator == IvGenerator::kEssiv) {
    INSTAR_TRY(lane.iv, CipherHandle::open(*spec_.iv_cipher, Mode::kEcb, iv_key_.bytes()));
  }
  return lane;
}

// When the memory for keys is used up, threads wait for each other's handles.
sdk::Result<SectorCipher::Lane> SectorCipher::borrow() {
  std::unique_lock lock(mutex_);
  while (idle_.empty()) {
    auto made = make_lane();
    if (made) {
      ++lent_;
      return made;
    }
    if (made.error().code != ENOMEM || lent_ == 0) return made;
    returned_.wait(lock);
  }
  Lane lane = std::move(idle_.back());
  idle_.pop_back();
  ++lent_;
  return lane;
}

void SectorCipher::give_back(Lane lane) {
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(lane));
    --lent_;
  }
  returned_.notify_one();
}

gcry_error_t SectorCipher::set_iv(const Lane& lane, uint64_t number) const {
  std::array<uint8_t, kMaxBlock> iv{};
  const size_t length = spec_.cipher->block_size;
  if (spec_.iv_generator == IvGenerator::kPlain)
    sdk::store_le<uint32_t>(iv.data(), static_cast<uint32_t>(number));
  else
    sdk::store_le<uint64_t>(iv.data(), number);
  if (spec_.iv_generator == IvGenerator::kEssiv) {
    const auto error = gcry_cipher_encrypt(lane.iv.get(), iv.data(), length, nullptr, 0);
    if (error != 0) return error;
  }
  if (spec_.mode == Mode::kCtr) return gcry_cipher_setctr(lane.content.get(), iv.data(), length);
  return gcry_cipher_setiv(lane.content.get(), iv.data(), length);
}

gcry_error_t SectorCipher::run_sector(const Lane& lane, uint64_t number, sdk::Bytes sector,
                                      bool encrypt) const {
  if (spec_.mode != Mode::kEcb)
    if (const auto error = set_iv(lane, number); error != 0) return error;
  const auto work = encrypt ? gcry_cipher_encrypt : gcry_cipher_decrypt;
  return work(lane.content.get(), sector.data(), sector.size(), nullptr, 0);
}

sdk::Status SectorCipher::run(uint64_t first, sdk::Bytes data, bool encrypt) {
  INSTAR_TRY(Lane lane, borrow());
  gcry_error_t error = 0;
  const size_t step = spec_.sector_size;
  for (size_t done = 0; done < data.size() && error == 0; done += step)
    error = run_sector(lane, first + done / kSectorSize,
                       data.subspan(done, std::min(step, data.size() - done)), encrypt);
  give_back(std::move(lane));
  if (error != 0)
    return sdk::fail(EIO,
                     encrypt ? "Failed to encrypt: " : "Failed to decrypt: ", gcrypt_text(error));
  return {};
}

}  // namespace instar::luks
