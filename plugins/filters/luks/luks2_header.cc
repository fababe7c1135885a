// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/luks2_header.hpp"

#include <gcrypt.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "plugins/filters/luks/secure.hpp"

namespace instar::luks {
namespace {

using sdk::fail;

constexpr std::string_view kFirstMagic("LUKS\xba\xbe", 6);
constexpr std::string_view kSecondMagic("SKUL\xba\xbe", 6);
constexpr uint64_t kMinSize = 16 << 10;
constexpr uint64_t kMaxSize = 4 << 20;
constexpr const char* kChecksum = "sha256";

/** Text of a field, without what a terminal could take for commands. */
template <size_t N>
std::string text_of(const char (&field)[N]) {
  std::string text(field, strnlen(field, N));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

sdk::Bytes bytes_of(Luks2Binary& binary) {
  return {reinterpret_cast<uint8_t*>(&binary), sizeof binary};
}

}  // namespace

sdk::Result<Luks2Header> Luks2Header::make(uint64_t size) {
  Luks2Header out;
  auto& binary = out.binary_;
  binary.version = 2;
  binary.header_size = size;
  std::memcpy(binary.checksum_algorithm, kChecksum, std::strlen(kChecksum));
  INSTAR_CHECK(make_uuid(binary.uuid));
  return out;
}

std::string Luks2Header::uuid_text() const {
  return text_of(binary_.uuid);
}

std::string Luks2Header::label_text() const {
  return text_of(binary_.label);
}

std::string Luks2Header::checksum_of(const Hash& hash, const std::string& bytes) {
  std::string digest(hash.size, '\0');
  gcry_md_hash_buffer(hash.gcrypt, digest.data(), bytes.data(), bytes.size());
  return digest;
}

sdk::Result<Luks2Header> Luks2Header::read_copy(const sdk::HeaderIo& io, uint64_t offset) {
  Luks2Header out;
  auto& binary = out.binary_;
  INSTAR_CHECK(io.read(offset, bytes_of(binary)));
  const auto& magic = offset == 0 ? kFirstMagic : kSecondMagic;
  if (std::memcmp(binary.magic, magic.data(), magic.size()) != 0)
    return fail(EINVAL, "Volume is not in LUKS format");
  if (binary.version != 2)
    return fail(ENOTSUP, "LUKS version ", uint16_t{binary.version}, " is not supported");
  const uint64_t size = binary.header_size;
  if (size < kMinSize || size > kMaxSize || !std::has_single_bit(size))
    return fail(EINVAL, "LUKS header size ", size, " is not a power of two between ", kMinSize,
                " and ", kMaxSize);
  if (binary.header_offset != offset)
    return fail(EINVAL, "LUKS header at ", offset, " belongs at ", uint64_t{binary.header_offset});
  const Hash* hash = find_hash(text_of(binary.checksum_algorithm));
  if (hash == nullptr)
    return fail(EINVAL, "LUKS header checksum algorithm '", text_of(binary.checksum_algorithm),
                "' not supported");
  std::string bytes(size, '\0');
  INSTAR_CHECK(io.read(offset, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}));
  std::fill_n(bytes.begin() + offsetof(Luks2Binary, checksum), sizeof binary.checksum, '\0');
  if (std::memcmp(checksum_of(*hash, bytes).data(), binary.checksum, hash->size) != 0)
    return fail(EINVAL, "LUKS header checksum at ", offset, " does not match");
  out.json = bytes.substr(sizeof binary);
  out.json.resize(strnlen(out.json.data(), out.json.size()));
  return out;
}

sdk::Result<Luks2Header> Luks2Header::read(const sdk::HeaderIo& io) {
  INSTAR_CHECK(prepare_gcrypt());
  auto best = read_copy(io, 0);
  for (uint64_t offset = kMinSize; offset <= kMaxSize; offset *= 2) {
    if (best && best->size() != offset) continue;
    auto second = read_copy(io, offset);
    if (second && (!best || second->binary_.sequence > best->binary_.sequence))
      best = std::move(second);
  }
  return best;
}

sdk::Status Luks2Header::write_copy(const sdk::HeaderIo& io, uint64_t offset) {
  auto& binary = binary_;
  const auto& magic = offset == 0 ? kFirstMagic : kSecondMagic;
  std::memcpy(binary.magic, magic.data(), magic.size());
  binary.header_offset = offset;
  INSTAR_CHECK(fill_random(binary.salt));
  std::fill(std::begin(binary.checksum), std::end(binary.checksum), uint8_t{0});
  std::string bytes(size(), '\0');
  std::memcpy(bytes.data(), &binary, sizeof binary);
  std::copy(json.begin(), json.end(), bytes.begin() + sizeof binary);
  const Hash* hash = find_hash(text_of(binary.checksum_algorithm));
  const std::string digest = checksum_of(*hash, bytes);
  std::copy(digest.begin(), digest.end(), bytes.begin() + offsetof(Luks2Binary, checksum));
  INSTAR_CHECK(io.write(offset, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
  return io.flush();
}

sdk::Status Luks2Header::write(const sdk::HeaderIo& io) {
  if (json.size() >= json_size())
    return fail(ENOSPC, "The LUKS header has no room for ", json.size(), " bytes of metadata");
  binary_.sequence = binary_.sequence + 1;
  INSTAR_CHECK(write_copy(io, 0));
  return write_copy(io, size());
}

}  // namespace instar::luks
