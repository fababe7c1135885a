// SPDX-License-Identifier: Apache-2.0
// Key slots changed afterwards, by QEMU's rules.
#include "plugins/filters/luks/luks.hpp"

namespace instar::luks {
namespace {

using sdk::fail;

/** How often the material of an erased slot is overwritten. */
constexpr int kEraseRounds = 40;

sdk::Result<std::optional<SecureBytes>> old_password(const sdk::Host& host, const sdk::Call& call,
                                                     const sdk::Options& options) {
  if (!options.has("old-secret")) return std::optional<SecureBytes>();
  INSTAR_TRY(SecureBytes password, read_password(host, call, options.text("old-secret")));
  return std::optional<SecureBytes>(std::move(password));
}

sdk::Status add_hint(sdk::Status status, std::string hint) {
  if (!status) status.error().hint = std::move(hint);
  return status;
}

}  // namespace

sdk::Status Luks::amend(const sdk::Call& call, const sdk::Options& options, const sdk::HeaderIo& io,
                        bool force) {
  if (cipher_ == nullptr) return fail(EACCES, "the image was opened without its key");
  if (!options.has("state")) return fail(EINVAL, "Parameter 'state' is missing");
  const std::string state = options.text("state");
  if (state == "active") return activate(call, options, io, force);
  if (state == "inactive") return deactivate(call, options, io, force);
  return fail(EINVAL, "Parameter 'state' does not accept value '", state, "'");
}

sdk::Result<size_t> Luks::slot_to_activate(const sdk::Options& options, bool force) const {
  if (options.has("keyslot")) {
    const uint64_t slot = options.number("keyslot");
    if (slot >= kSlots)
      return fail(EINVAL, "Invalid keyslot ", static_cast<uint32_t>(slot),
                  " specified, must be between 0 and ", kSlots - 1);
    if (header_.slots[slot].is_active() && !force)
      return fail(EINVAL, "Refusing to overwrite active keyslot ", slot,
                  " - please erase it first");
    return slot;
  }
  if (const auto slot = free_slot()) return *slot;
  return fail(EINVAL, "Can't add a keyslot - all keyslots are in use");
}

std::optional<size_t> Luks::free_slot() const {
  for (size_t slot = 0; slot < kSlots; ++slot)
    if (!header_.slots[slot].is_active()) return slot;
  return std::nullopt;
}

sdk::Status Luks::activate(const sdk::Call& call, const sdk::Options& options,
                           const sdk::HeaderIo& io, bool force) {
  if (!options.has("new-secret"))
    return fail(EINVAL, "'new-secret' is required to activate a keyslot");
  if (options.has("old-secret"))
    return fail(EINVAL, "'old-secret' must not be given when activating keyslots");
  INSTAR_TRY(const size_t slot, slot_to_activate(options, force));
  INSTAR_TRY(const SecureBytes password, read_password(host_, call, secret_id_));
  auto key = unlock(io, password.bytes());
  if (!key) {
    key.error().hint = "Failed to retrieve the master key";
    return std::move(key).error();
  }
  INSTAR_TRY(const SecureBytes new_password,
             read_password(host_, call, options.text("new-secret")));
  const auto store = [&](size_t to) {
    return add_hint(store_key(io, to, new_password.bytes(), key->bytes(),
                              options.number("iter-time", kDefaultIterTime)),
                    sdk::cat("Failed to write to keyslot ", to));
  };
  // A slot that is overwritten opens for nobody in between: then the new password opens another.
  const auto spare = header_.slots[slot].is_active() ? free_slot() : std::nullopt;
  if (spare) INSTAR_CHECK(store(*spare));
  INSTAR_CHECK(store(slot));
  return spare ? erase(io, *spare) : sdk::Status{};
}

sdk::Status Luks::deactivate(const sdk::Call& call, const sdk::Options& options,
                             const sdk::HeaderIo& io, bool force) {
  if (options.has("new-secret"))
    return fail(EINVAL, "'new-secret' must not be given when erasing keyslots");
  if (options.has("iter-time"))
    return fail(EINVAL, "'iter-time' must not be given when erasing keyslots");
  INSTAR_TRY(const auto password, old_password(host_, call, options));
  if (options.has("keyslot")) {
    const uint64_t slot = options.number("keyslot");
    if (slot >= kSlots)
      return fail(EINVAL, "Invalid keyslot ", static_cast<int32_t>(slot),
                  " specified, must be between 0 and ", kSlots - 1);
    return erase_one(io, slot, password, force);
  }
  if (password) return erase_matching(io, *password, force);
  return fail(EINVAL,
              "To erase keyslot(s), either explicit keyslot index or the password currently "
              "contained in them must be given");
}

sdk::Status Luks::erase_one(const sdk::HeaderIo& io, size_t slot,
                            const std::optional<SecureBytes>& password, bool force) {
  if (password) {
    INSTAR_TRY(const auto key, open_slot(io, slot, password->bytes()));
    if (!key)
      return fail(EINVAL, "Given keyslot ", slot,
                  " doesn't contain the given old password for erase operation");
  }
  if (!force && !header_.slots[slot].is_active())
    return fail(EINVAL, "Given keyslot ", slot, " is already erased (inactive) ");
  if (!force && header_.active_slots() == 1)
    return fail(EINVAL, "Attempt to erase the only active keyslot ", slot,
                " which will erase all the data in the image irreversibly - refusing operation");
  return erase(io, slot);
}

sdk::Status Luks::erase_matching(const sdk::HeaderIo& io, const SecureBytes& password, bool force) {
  std::vector<size_t> matching;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    INSTAR_TRY(const auto key, open_slot(io, slot, password.bytes()));
    if (key) matching.push_back(slot);
  }
  if (matching.empty())
    return fail(EINVAL, "No keyslots match given (old) password for erase operation");
  if (!force && matching.size() == header_.active_slots())
    return fail(EINVAL,
                "All the active keyslots match the (old) password that was given and erasing them "
                "will erase all the data in the image irreversibly - refusing operation");
  for (const size_t slot : matching)
    INSTAR_CHECK(erase(io, slot));
  return {};
}

// The header first: a slot that is half overwritten must not look active. When that fails, the
// material is still overwritten.
sdk::Status Luks::erase(const sdk::HeaderIo& io, size_t slot) {
  auto& erased = header_.slots[slot];
  sdk::Status result = set_active(io, slot, false);
  erased.iterations = 0;
  std::fill(std::begin(erased.salt), std::end(erased.salt), uint8_t{0});
  if (result) result = write_header(io);
  SecureBytes garbage(material_sectors(header_.key_size) * kSectorSize);
  for (int round = 0; round < kEraseRounds; ++round) {
    sdk::Status status = fill_random(garbage.bytes());
    if (status) status = io.write(uint64_t{erased.key_offset} * kSectorSize, garbage.bytes());
    if (status) status = io.flush();
    if (!status) return add_hint(std::move(status), sdk::cat("Failed to erase keyslot ", slot));
  }
  return add_hint(std::move(result), sdk::cat("Failed to erase keyslot ", slot));
}

}  // namespace instar::luks
