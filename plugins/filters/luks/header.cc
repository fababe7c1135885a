// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/header.hpp"

#include <algorithm>
#include <cstring>

namespace instar::luks {
namespace {

using sdk::fail;

constexpr char kMagic[] = {'L', 'U', 'K', 'S', '\xba', '\xbe'};
constexpr uint16_t kVersion = 1;

template <size_t N>
bool is_terminated(const char (&text)[N]) {
  return std::memchr(text, 0, N) != nullptr;
}

struct Area {
  uint64_t begin, end;  ///< sectors
};

Area area_of(const Header& header, size_t slot) {
  const uint64_t begin = header.slots[slot].key_offset;
  return {begin, begin + slot_sectors(header.key_size)};
}

sdk::Status check_slot(const Header& header, size_t i, bool detached) {
  const KeySlot& slot = header.slots[i];
  if (slot.stripes != kStripes)
    return fail(EINVAL, "Keyslot ", i, " is corrupted (stripes ",
                static_cast<int32_t>(uint32_t{slot.stripes}), " != ", kStripes, ")");
  if (slot.active != kSlotActive && slot.active != kSlotInactive)
    return fail(EINVAL, "Keyslot ", i, " state (active/disable) is corrupted");
  if (slot.is_active() && slot.iterations == 0)
    return fail(EINVAL, "Keyslot ", i, " iteration count is zero");
  const Area area = area_of(header, i);
  if (area.begin < kHeaderSectors)
    return fail(EINVAL, "Keyslot ", i, " is overlapping with the LUKS header");
  if (!detached && area.end > header.payload_offset)
    return fail(EINVAL, "Keyslot ", i, " is overlapping with the encrypted payload");
  for (size_t j = i + 1; j < kSlots; ++j) {
    const Area other = area_of(header, j);
    if (area.end > other.begin && other.end > area.begin)
      return fail(EINVAL, "Keyslots ", i, " and ", j, " are overlapping in the header");
  }
  return {};
}

sdk::Error not_supported(std::string_view what, std::string_view name) {
  return fail(EINVAL, what, " '", name, "' not supported");
}

template <size_t N>
sdk::Status put(char (&to)[N], std::string_view what, const std::string& text) {
  if (text.size() >= N) return fail(EINVAL, what, " '", text, "' is too long for LUKS header");
  std::memcpy(to, text.data(), text.size());
  return {};
}

}  // namespace

size_t Header::active_slots() const {
  return static_cast<size_t>(
      std::count_if(std::begin(slots), std::end(slots), [](auto& s) { return s.is_active(); }));
}

std::string Header::uuid_text() const {
  std::string text(uuid, strnlen(uuid, sizeof uuid));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

uint64_t material_sectors(uint64_t key_size) {
  return sdk::div_up(key_size * kStripes, kSectorSize);
}

uint64_t slot_sectors(uint64_t key_size) {
  return sdk::round_up(material_sectors(key_size), kHeaderSectors);
}

sdk::Status check_header(const Header& header, bool detached) {
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0)
    return fail(EINVAL, "Volume is not in LUKS format");
  if (header.version != kVersion)
    return fail(ENOTSUP, "LUKS version ", uint16_t{header.version}, " is not supported");
  if (!is_terminated(header.cipher_name))
    return fail(EINVAL, "LUKS header cipher name is not NUL terminated");
  if (!is_terminated(header.cipher_mode))
    return fail(EINVAL, "LUKS header cipher mode is not NUL terminated");
  if (!is_terminated(header.hash_spec))
    return fail(EINVAL, "LUKS header hash spec is not NUL terminated");
  if (!detached && header.payload_offset < kHeaderSectors)
    return fail(EINVAL, "LUKS payload is overlapping with the header");
  if (header.digest_iterations == 0) return fail(EINVAL, "LUKS key iteration count is zero");
  for (size_t i = 0; i < kSlots; ++i)
    INSTAR_CHECK(check_slot(header, i, detached));
  return {};
}

sdk::Status check_work(const Header& header) {
  uint64_t sum = 0;
  for (const auto& slot : header.slots)
    if (slot.is_active()) sum += uint64_t{slot.iterations} + header.digest_iterations;
  if (sum > kMaxIterations)
    return fail(EINVAL, "PBKDF iterations ", sum, " must be less than ", kMaxIterations);
  return {};
}

sdk::Result<CipherSpec> read_spec(std::string_view cipher_name, std::string_view mode_text,
                                  uint32_t key_size) {
  CipherSpec spec;
  const auto dash = mode_text.find('-');
  if (dash == mode_text.npos)
    return fail(EINVAL, "Unexpected cipher mode string format '", mode_text, "'");
  const auto mode_name = mode_text.substr(0, dash);
  auto iv_name = mode_text.substr(dash + 1);
  if (const auto colon = iv_name.find(':'); colon != iv_name.npos) {
    const auto hash_name = iv_name.substr(colon + 1);
    spec.iv_hash = find_hash(hash_name);
    if (spec.iv_hash == nullptr) return not_supported("Hash algorithm", hash_name);
    iv_name = iv_name.substr(0, colon);
  }
  const auto* mode = find_mode(mode_name);
  if (mode == nullptr) return not_supported("Cipher mode", mode_name);
  spec.mode = *mode;

  const bool two_keys = *mode == Mode::kXts;
  if (two_keys && key_size % 2 != 0)
    return fail(EINVAL, "XTS cipher key length should be a multiple of 2");
  spec.cipher = find_cipher(cipher_name, two_keys ? key_size / 2 : key_size);
  if (spec.cipher == nullptr)
    return fail(EINVAL, "Algorithm '", cipher_name, "' with key size ",
                static_cast<int32_t>(key_size), " bytes not supported");
  const auto* generator = find_iv_generator(iv_name);
  if (generator == nullptr) return not_supported("IV generator", iv_name);
  spec.iv_generator = *generator;
  // dm-crypt passes over a hash that the generator doesn't use.
  if (*generator != IvGenerator::kEssiv) {
    spec.iv_hash = nullptr;
    return spec;
  }
  if (spec.iv_hash == nullptr) return fail(EINVAL, "Missing IV generator hash specification");
  INSTAR_TRY(spec.iv_cipher, essiv_cipher(*spec.cipher, *spec.iv_hash));
  return spec;
}

std::string mode_text(const CipherSpec& spec) {
  std::string text = sdk::cat(name_of(spec.mode), '-', name_of(spec.iv_generator));
  if (spec.iv_hash != nullptr) text += sdk::cat(':', spec.iv_hash->name);
  return text;
}

sdk::Result<Meaning> read_meaning(const Header& header) {
  Meaning out;
  INSTAR_TRY(out.spec, read_spec(header.cipher_name, header.cipher_mode, header.key_size));
  out.hash = find_hash(header.hash_spec);
  if (out.hash == nullptr) return not_supported("Hash algorithm", header.hash_spec);
  return out;
}

sdk::Result<Header> make_header(const CipherSpec& spec, const Hash& hash, bool detached) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  INSTAR_CHECK(put(header.cipher_name, "Cipher name", std::string(spec.cipher->header_name)));
  INSTAR_CHECK(put(header.cipher_mode, "Cipher mode", mode_text(spec)));
  INSTAR_CHECK(put(header.hash_spec, "Hash name", std::string(hash.name)));
  header.key_size = static_cast<uint32_t>(spec.key_size());
  uint64_t at = kHeaderSectors;
  for (auto& slot : header.slots) {
    slot.active = kSlotInactive;
    slot.stripes = kStripes;
    slot.key_offset = static_cast<uint32_t>(at);
    at += slot_sectors(spec.key_size());
  }
  header.payload_offset = detached ? 0 : static_cast<uint32_t>(at);
  return header;
}

uint64_t header_length(const CipherSpec& spec) {
  return (kHeaderSectors + kSlots * slot_sectors(spec.key_size())) * kSectorSize;
}

}  // namespace instar::luks
