// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/luks2.hpp"

#include <algorithm>

#include "plugins/filters/luks/key_derivation.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::luks {
namespace {

using sdk::fail;

/** What cryptsetup makes by default: room for all slots, and for a later re-encryption. */
constexpr uint64_t kHeaderSize = 16 << 10;
constexpr uint64_t kPayloadOffset = 16 << 20;

sdk::ConstBytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

sdk::Bytes bytes_of(std::string& text) {
  return {reinterpret_cast<uint8_t*>(text.data()), text.size()};
}

}  // namespace

sdk::Result<std::unique_ptr<Luks2>> Luks2::open(const sdk::Host& host, const sdk::Call& call,
                                                const sdk::EncryptionArgs& args) {
  std::unique_ptr<Luks2> out(new Luks2(host));
  SecureBytes password;
  if (!args.describe_only()) {
    INSTAR_TRY(out->secret_id_, key_secret_id(args));
    INSTAR_TRY(password, read_password(host, call, out->secret_id_));
  }
  const auto io = args.io();
  INSTAR_TRY(out->header_, Luks2Header::read(io));
  INSTAR_TRY(out->metadata_, Luks2Metadata::read(out->header_.json, out->header_.size()));
  out->detached_ = args.detached();
  const auto& metadata = out->metadata_;
  if (!out->detached_ && metadata.segment.offset < metadata.slots_area.end())
    return fail(EINVAL, "LUKS payload is overlapping with the header");
  if (args.describe_only()) return out;
  INSTAR_CHECK(out->check_work());
  INSTAR_TRY(const SecureBytes key, out->unlock(io, password.bytes()));
  INSTAR_TRY(out->cipher_, SectorCipher::open(metadata.spec, key));
  return out;
}

/** Whether the password can be tried in a sane time. */
sdk::Status Luks2::check_work() const {
  double sum = 0;
  for (const auto& slot : metadata_.slots) {
    if (!slot || !slot->usable) continue;
    INSTAR_CHECK(check_kdf(slot->kdf));
    sum += work_of(slot->kdf) + static_cast<double>(metadata_.digest.iterations) / kMaxIterations;
  }
  if (sum > 1)
    return fail(EINVAL, "The LUKS header wants more work for its passwords than is sane");
  return {};
}

sdk::Result<std::unique_ptr<Luks2>> Luks2::create(const sdk::Host& host, const sdk::Call& call,
                                                  const sdk::EncryptionArgs& args) {
  INSTAR_TRY(const CreateOptions options, read_create_options(args));
  std::unique_ptr<Luks2> out(new Luks2(host));
  INSTAR_TRY(out->choice_, read_luks2_choice(args));
  INSTAR_TRY(out->secret_id_, key_secret_id(args));
  INSTAR_TRY(const SecureBytes password, read_password(host, call, out->secret_id_));
  out->detached_ = args.detached();
  SecureBytes key(options.meaning.spec.key_size());
  INSTAR_CHECK(fill_random(key.bytes()));
  INSTAR_CHECK(out->make_volume(options, key.bytes()));
  INSTAR_TRY(out->cipher_, SectorCipher::open(out->metadata_.spec, key));
  const auto io = args.io();
  INSTAR_CHECK(io.allocate(kPayloadOffset));
  INSTAR_CHECK(out->store_key(io, 0, password.bytes(), key.bytes(), options.iter_time));
  return out;
}

/** Everything but key slots. */
sdk::Status Luks2::make_volume(const CreateOptions& options, sdk::ConstBytes key) {
  auto& metadata = metadata_;
  const auto& spec = options.meaning.spec;
  INSTAR_TRY(header_, Luks2Header::make(kHeaderSize));
  metadata.key_size = key.size();
  metadata.spec = spec;
  metadata.spec.sector_size = choice_.sector_size;
  metadata.slots_area = {2 * kHeaderSize, kPayloadOffset - 2 * kHeaderSize};
  auto& segment = metadata.segment;
  segment = {"0", detached_ ? 0 : kPayloadOffset, 0, choice_.sector_size,
             sdk::cat(spec.cipher->header_name, '-', mode_text(spec))};
  auto& digest = metadata.digest;
  digest.id = "0";
  digest.hash = options.meaning.hash;
  digest.salt.resize(kSaltSize);
  digest.digest.resize(digest.hash->size);
  INSTAR_CHECK(fill_random(bytes_of(digest.salt)));
  INSTAR_TRY(const uint64_t speed, iterations_per_second(*digest.hash, digest.hash->size));
  INSTAR_TRY(digest.iterations, scale_iterations(speed, options.iter_time, kSlots));
  INSTAR_CHECK(derive_key(*digest.hash, key, bytes_of(std::as_const(digest.salt)),
                          digest.iterations, bytes_of(digest.digest)));
  header_.json = make_metadata(metadata, header_.json_size());
  return {};
}

sdk::Result<uint64_t> Luks2::measure(const sdk::Host& host, const sdk::Call& call,
                                     const sdk::EncryptionArgs& args) {
  INSTAR_CHECK(read_create_options(args));
  INSTAR_CHECK(read_luks2_choice(args));
  INSTAR_TRY(const std::string id, key_secret_id(args));
  INSTAR_CHECK(read_password(host, call, id));
  return kPayloadOffset;
}

sdk::Status Luks2::amend(const sdk::Call& call, const sdk::Options& options,
                         const sdk::HeaderIo& io, bool force) {
  if (cipher_ == nullptr) return fail(EACCES, "the image was opened without its key");
  return amend_slots(host_, call, options, io, secret_id_, force);
}

sdk::Result<std::string> Luks2::describe(bool with_format) const {
  sdk::JsonWriter json;
  const auto& spec = metadata_.spec;
  json.begin_object()
      .field("version", 2)
      .field("ivgen-alg", name_of(spec.iv_generator))
      .field("detached-header", detached_)
      .field("hash-alg", metadata_.digest.hash->name)
      .field("cipher-alg", spec.cipher->name)
      .field("uuid", header_.uuid_text());
  if (const std::string label = header_.label_text(); !label.empty()) json.field("label", label);
  if (spec.iv_generator == IvGenerator::kEssiv) json.field("ivgen-hash-alg", spec.iv_hash->name);
  if (with_format) json.field("format", "luks2");
  json.field("cipher-mode", name_of(spec.mode)).field("sector-size", spec.sector_size);
  json.key("slots").begin_array();
  for (size_t i = 0; i < kLuks2Slots; ++i) {
    const auto& slot = metadata_.slots[i];
    if (!slot) continue;
    json.begin_object().field("keyslot", i).field("active", slot->usable);
    if (slot->usable) {
      json.field("pbkdf", name_of(slot->kdf.type)).field("iters", slot->kdf.iterations);
      if (slot->kdf.is_argon2())
        json.field("memory", slot->kdf.memory * 1024).field("threads", slot->kdf.lanes);
    }
    json.field("key-offset", slot->area.offset).end_object();
  }
  json.end_array()
      .field("payload-offset", metadata_.segment.offset)
      .field("master-key-iters", metadata_.digest.iterations)
      .end_object();
  return json.text();
}

instar_encryption_info Luks2::info() const {
  return {sizeof(instar_encryption_info), static_cast<uint32_t>(metadata_.spec.sector_size),
          metadata_.segment.offset};
}

uint64_t Luks2::number_of(uint64_t offset) const {
  return offset / kSectorSize + metadata_.segment.iv_tweak;
}

sdk::Status Luks2::encrypt(uint64_t offset, sdk::Bytes data) {
  if (cipher_ == nullptr) return fail(EACCES, "the image was opened without its key");
  return cipher_->encrypt(number_of(offset), data);
}

sdk::Status Luks2::decrypt(uint64_t offset, sdk::Bytes data) {
  if (cipher_ == nullptr) return fail(EACCES, "the image was opened without its key");
  return cipher_->decrypt(number_of(offset), data);
}

sdk::Result<std::optional<SecureBytes>> Luks2::open_slot(const sdk::HeaderIo& io, size_t slot,
                                                         sdk::ConstBytes password) const {
  const auto& from = metadata_.slots[slot];
  if (!from || !from->usable) return std::optional<SecureBytes>();
  SecureBytes opening(from->area_key_size);
  INSTAR_CHECK(derive_key(from->kdf, password, opening.bytes()));
  INSTAR_TRY(const CipherSpec spec, read_encryption(from->encryption, from->area_key_size));
  INSTAR_TRY(const auto cipher, SectorCipher::open(spec, opening));
  SecureBytes material(material_sectors(metadata_.key_size) * kSectorSize);
  INSTAR_CHECK(io.read(from->area.offset, material.bytes()));
  INSTAR_CHECK(cipher->decrypt(0, material.bytes()));
  SecureBytes key = merge_key(*from->af_hash, material.bytes(), metadata_.key_size, kStripes);
  const auto& digest = metadata_.digest;
  std::string found(digest.digest.size(), '\0');
  INSTAR_CHECK(derive_key(*digest.hash, key.bytes(), bytes_of(digest.salt), digest.iterations,
                          bytes_of(found)));
  if (!equal_in_constant_time(bytes_of(std::as_const(found)), bytes_of(digest.digest)))
    return std::optional<SecureBytes>();
  return std::optional<SecureBytes>(std::move(key));
}

/** Like the ones that are there, if there are any. */
sdk::Result<Luks2Slot> Luks2::new_slot(uint64_t iter_time) const {
  Luks2Choice choice = choice_;
  const auto model = std::find_if(metadata_.slots.begin(), metadata_.slots.end(),
                                  [](const auto& slot) { return slot && slot->usable; });
  if (model != metadata_.slots.end()) {
    choice.kdf = (*model)->kdf.type;
    if ((*model)->kdf.is_argon2()) choice.memory = (*model)->kdf.memory;
  }
  Luks2Slot slot;
  INSTAR_TRY(slot.area, metadata_.free_area());
  slot.encryption = metadata_.segment.encryption;
  slot.area_key_size = metadata_.key_size;
  slot.af_hash = metadata_.digest.hash;
  slot.usable = true;
  INSTAR_TRY(slot.kdf, make_kdf(choice.kdf, *metadata_.digest.hash, slot.area_key_size, iter_time,
                                choice.memory));
  return slot;
}

// The material goes where no slot's is, also when a slot is replaced: until the header says so, the
// old one is whole.
sdk::Status Luks2::store_key(const sdk::HeaderIo& io, size_t slot, sdk::ConstBytes password,
                             sdk::ConstBytes key, uint64_t iter_time) {
  INSTAR_TRY(const Luks2Slot fresh, new_slot(iter_time));
  SecureBytes opening(fresh.area_key_size);
  INSTAR_CHECK(derive_key(fresh.kdf, password, opening.bytes()));
  INSTAR_TRY(SecureBytes material, split_key(*fresh.af_hash, key, kStripes));
  material.resize(material_sectors(key.size()) * kSectorSize);
  INSTAR_TRY(const CipherSpec spec, read_encryption(fresh.encryption, fresh.area_key_size));
  INSTAR_TRY(const auto cipher, SectorCipher::open(spec, opening));
  INSTAR_CHECK(cipher->encrypt(0, material.bytes()));
  INSTAR_CHECK(io.write(fresh.area.offset, material.bytes()));
  INSTAR_CHECK(io.flush());
  const auto old = metadata_.slots[slot];
  INSTAR_CHECK(change_header(io, slot, &fresh));
  return old ? overwrite(io, old->area.offset, old->area.length) : sdk::Status{};
}

sdk::Status Luks2::erase_slot(const sdk::HeaderIo& io, size_t slot) {
  const auto old = metadata_.slots[slot];
  if (!old) return {};
  sdk::Status result = change_header(io, slot, nullptr);
  INSTAR_CHECK(overwrite(io, old->area.offset, old->area.length));
  return result;
}

sdk::Status Luks2::change_header(const sdk::HeaderIo& io, size_t slot, const Luks2Slot* to) {
  Luks2Header next = header_;
  next.json = change_slot(header_.json, slot, to, metadata_);
  INSTAR_CHECK(next.write(io));
  header_ = std::move(next);
  metadata_.slots[slot] = to != nullptr ? std::optional(*to) : std::nullopt;
  return {};
}

}  // namespace instar::luks
