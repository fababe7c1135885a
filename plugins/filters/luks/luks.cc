// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/luks.hpp"

#include <cstring>

#include "plugins/filters/luks/create_options.hpp"
#include "plugins/filters/luks/key_derivation.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::luks {
namespace {

using sdk::fail;

sdk::Bytes bytes_of(Header& header) {
  return {reinterpret_cast<uint8_t*>(&header), sizeof header};
}

}  // namespace

sdk::Result<std::unique_ptr<Luks>> Luks::open(const sdk::Host& host, const sdk::Call& call,
                                              const sdk::EncryptionArgs& args) {
  std::unique_ptr<Luks> out(new Luks(host));
  SecureBytes password;
  if (!args.describe_only()) {
    INSTAR_TRY(out->secret_id_, key_secret_id(args));
    INSTAR_TRY(password, read_password(host, call, out->secret_id_));
  }
  const auto io = args.io();
  INSTAR_CHECK(io.read(0, bytes_of(out->header_)));
  INSTAR_CHECK(check_header(out->header_, args.detached()));
  INSTAR_TRY(out->meaning_, read_meaning(out->header_));
  out->detached_ = args.detached();
  if (args.describe_only()) return out;
  INSTAR_CHECK(check_work(out->header_));
  INSTAR_TRY(const SecureBytes key, out->unlock(io, password.bytes()));
  INSTAR_TRY(out->cipher_, SectorCipher::open(out->meaning_.spec, key));
  return out;
}

sdk::Result<std::unique_ptr<Luks>> Luks::create(const sdk::Host& host, const sdk::Call& call,
                                                const sdk::EncryptionArgs& args) {
  INSTAR_TRY(const CreateOptions options, read_create_options(args));
  std::unique_ptr<Luks> out(new Luks(host));
  INSTAR_TRY(out->secret_id_, key_secret_id(args));
  INSTAR_TRY(const SecureBytes password, read_password(host, call, out->secret_id_));
  out->meaning_ = options.meaning;
  out->detached_ = args.detached();
  const auto& spec = options.meaning.spec;
  INSTAR_TRY(out->header_, make_header(spec, *options.meaning.hash, out->detached_));
  INSTAR_CHECK(make_uuid(out->header_.uuid));
  INSTAR_CHECK(fill_random(out->header_.digest_salt));
  SecureBytes key(spec.key_size());
  INSTAR_CHECK(fill_random(key.bytes()));
  INSTAR_TRY(out->cipher_, SectorCipher::open(spec, key));
  INSTAR_CHECK(out->make_digest(key.bytes(), options.iter_time));
  const auto io = args.io();
  INSTAR_CHECK(io.allocate(header_length(spec)));
  INSTAR_CHECK(out->store_key(io, 0, password.bytes(), key.bytes(), options.iter_time));
  return out;
}

sdk::Result<uint64_t> Luks::measure(const sdk::Host& host, const sdk::Call& call,
                                    const sdk::EncryptionArgs& args) {
  INSTAR_TRY(const CreateOptions options, read_create_options(args));
  INSTAR_TRY(const std::string id, key_secret_id(args));
  INSTAR_CHECK(read_password(host, call, id));
  return header_length(options.meaning.spec);
}

sdk::Status Luks::amend(const sdk::Call& call, const sdk::Options& options, const sdk::HeaderIo& io,
                        bool force) {
  if (cipher_ == nullptr) return fail(EACCES, "the image was opened without its key");
  return amend_slots(host_, call, options, io, secret_id_, force);
}

sdk::Result<std::string> Luks::describe(bool with_format) const {
  sdk::JsonWriter json;
  const auto& spec = meaning_.spec;
  json.begin_object()
      .field("ivgen-alg", name_of(spec.iv_generator))
      .field("detached-header", detached_)
      .field("hash-alg", meaning_.hash->name)
      .field("cipher-alg", spec.cipher->name)
      .field("uuid", header_.uuid_text());
  if (spec.iv_generator == IvGenerator::kEssiv) json.field("ivgen-hash-alg", spec.iv_hash->name);
  if (with_format) json.field("format", "luks");
  json.field("cipher-mode", name_of(spec.mode)).key("slots").begin_array();
  for (const auto& slot : header_.slots) {
    json.begin_object().field("active", slot.is_active());
    if (slot.is_active()) json.field("iters", uint32_t{slot.iterations});
    json.field("key-offset", uint64_t{slot.key_offset} * kSectorSize);
    if (slot.is_active()) json.field("stripes", uint32_t{slot.stripes});
    json.end_object();
  }
  json.end_array()
      .field("payload-offset", uint64_t{header_.payload_offset} * kSectorSize)
      .field("master-key-iters", uint32_t{header_.digest_iterations})
      .end_object();
  return json.text();
}

instar_encryption_info Luks::info() const {
  return {sizeof(instar_encryption_info), kSectorSize,
          uint64_t{header_.payload_offset} * kSectorSize};
}

sdk::Status Luks::encrypt(uint64_t offset, sdk::Bytes data) {
  if (cipher_ == nullptr) return fail(EACCES, "the image was opened without its key");
  return cipher_->encrypt(offset / kSectorSize, data);
}

sdk::Status Luks::decrypt(uint64_t offset, sdk::Bytes data) {
  if (cipher_ == nullptr) return fail(EACCES, "the image was opened without its key");
  return cipher_->decrypt(offset / kSectorSize, data);
}

sdk::Status Luks::make_digest(sdk::ConstBytes key, uint64_t iter_time) {
  INSTAR_TRY(const uint64_t speed, iterations_per_second(*meaning_.hash, kDigestSize));
  INSTAR_TRY(const uint64_t iterations, scale_iterations(speed, iter_time, kSlots));
  header_.digest_iterations = static_cast<uint32_t>(iterations);
  return derive_key(*meaning_.hash, key, header_.digest_salt, iterations, header_.digest);
}

sdk::Result<SecureBytes> Luks::slot_key(const KeySlot& slot, sdk::ConstBytes password) const {
  SecureBytes key(header_.key_size);
  INSTAR_CHECK(
      derive_key(*meaning_.hash, password, slot.salt, uint32_t{slot.iterations}, key.bytes()));
  return key;
}

sdk::Result<std::optional<SecureBytes>> Luks::open_slot(const sdk::HeaderIo& io, size_t slot,
                                                        sdk::ConstBytes password) const {
  const auto& from = header_.slots[slot];
  if (!from.is_active()) return std::optional<SecureBytes>();
  INSTAR_TRY(const SecureBytes opening, slot_key(from, password));
  INSTAR_TRY(const auto cipher, SectorCipher::open(meaning_.spec, opening));
  SecureBytes material(material_sectors(header_.key_size) * kSectorSize);
  INSTAR_CHECK(io.read(uint64_t{from.key_offset} * kSectorSize, material.bytes()));
  INSTAR_CHECK(cipher->decrypt(0, material.bytes()));
  SecureBytes key = merge_key(*meaning_.hash, material.bytes(), header_.key_size, kStripes);
  uint8_t digest[kDigestSize];
  INSTAR_CHECK(derive_key(*meaning_.hash, key.bytes(), header_.digest_salt,
                          header_.digest_iterations, digest));
  if (!equal_in_constant_time(digest, header_.digest)) return std::optional<SecureBytes>();
  return std::optional<SecureBytes>(std::move(key));
}

sdk::Status Luks::store_key(const sdk::HeaderIo& io, size_t slot, sdk::ConstBytes password,
                            sdk::ConstBytes key, uint64_t iter_time) {
  auto& to = header_.slots[slot];
  INSTAR_TRY(const uint64_t speed, iterations_per_second(*meaning_.hash, key.size()));
  INSTAR_TRY(const uint64_t iterations, scale_iterations(speed, iter_time, 1));
  KeySlot fresh = to;
  fresh.active = kSlotInactive;
  fresh.iterations = static_cast<uint32_t>(iterations);
  fresh.stripes = kStripes;
  INSTAR_CHECK(fill_random(fresh.salt));
  INSTAR_TRY(const SecureBytes opening, slot_key(fresh, password));
  INSTAR_TRY(SecureBytes material, split_key(*meaning_.hash, key, kStripes));
  material.resize(material_sectors(key.size()) * kSectorSize);
  INSTAR_TRY(const auto cipher, SectorCipher::open(meaning_.spec, opening));
  INSTAR_CHECK(cipher->encrypt(0, material.bytes()));
  if (to.is_active()) INSTAR_CHECK(set_active(io, slot, false));
  to = fresh;
  INSTAR_CHECK(io.write(uint64_t{to.key_offset} * kSectorSize, material.bytes()));
  INSTAR_CHECK(write_header(io));
  return set_active(io, slot, true);
}

// The header first: a slot that is half overwritten must not look active. When that fails, the
// material is still overwritten.
sdk::Status Luks::erase_slot(const sdk::HeaderIo& io, size_t slot) {
  auto& erased = header_.slots[slot];
  sdk::Status result = set_active(io, slot, false);
  erased.iterations = 0;
  std::fill(std::begin(erased.salt), std::end(erased.salt), uint8_t{0});
  if (result) result = write_header(io);
  INSTAR_CHECK(overwrite(io, uint64_t{erased.key_offset} * kSectorSize,
                         material_sectors(header_.key_size) * kSectorSize));
  return result;
}

sdk::Status Luks::set_active(const sdk::HeaderIo& io, size_t slot, bool active) {
  header_.slots[slot].active = active ? kSlotActive : kSlotInactive;
  return write_header(io);
}

sdk::Status Luks::write_header(const sdk::HeaderIo& io) const {
  INSTAR_CHECK(
      io.write(0, sdk::ConstBytes(reinterpret_cast<const uint8_t*>(&header_), sizeof header_)));
  return io.flush();
}

}  // namespace instar::luks
