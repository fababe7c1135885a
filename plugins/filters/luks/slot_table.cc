// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/slot_table.hpp"

#include "plugins/filters/luks/secret.hpp"

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

sdk::Result<SecureBytes> SlotTable::unlock(const sdk::HeaderIo& io,
                                           sdk::ConstBytes password) const {
  for (size_t slot = 0; slot < slots(); ++slot) {
    INSTAR_TRY(auto key, open_slot(io, slot, password));
    if (key) return *std::move(key);
  }
  return fail(EINVAL, "Invalid password, cannot unlock any keyslot");
}

sdk::Status SlotTable::amend_slots(const sdk::Host& host, const sdk::Call& call,
                                   const sdk::Options& options, const sdk::HeaderIo& io,
                                   const std::string& secret_id, bool force) {
  if (!options.has("state")) return fail(EINVAL, "Parameter 'state' is missing");
  const std::string state = options.text("state");
  const Amendment wanted{host, call, options, io, force};
  if (state == "active") return activate(wanted, secret_id);
  if (state == "inactive") return deactivate(wanted);
  return fail(EINVAL, "Parameter 'state' does not accept value '", state, "'");
}

size_t SlotTable::active_slots() const {
  size_t count = 0;
  for (size_t slot = 0; slot < slots(); ++slot)
    count += is_active(slot) ? 1 : 0;
  return count;
}

sdk::Result<size_t> SlotTable::slot_to_activate(const Amendment& wanted) const {
  const auto& options = wanted.options;
  if (options.has("keyslot")) {
    const uint64_t slot = options.number("keyslot");
    if (slot >= slots())
      return fail(EINVAL, "Invalid keyslot ", static_cast<uint32_t>(slot),
                  " specified, must be between 0 and ", slots() - 1);
    if (is_active(slot) && !wanted.force)
      return fail(EINVAL, "Refusing to overwrite active keyslot ", slot,
                  " - please erase it first");
    return slot;
  }
  if (const auto slot = free_slot()) return *slot;
  return fail(EINVAL, "Can't add a keyslot - all keyslots are in use");
}

std::optional<size_t> SlotTable::free_slot() const {
  for (size_t slot = 0; slot < slots(); ++slot)
    if (!is_active(slot)) return slot;
  return std::nullopt;
}

sdk::Status SlotTable::activate(const Amendment& wanted, const std::string& secret_id) {
  const auto& [host, call, options, io, force] = wanted;
  if (!options.has("new-secret"))
    return fail(EINVAL, "'new-secret' is required to activate a keyslot");
  if (options.has("old-secret"))
    return fail(EINVAL, "'old-secret' must not be given when activating keyslots");
  INSTAR_TRY(const size_t slot, slot_to_activate(wanted));
  INSTAR_TRY(const SecureBytes password, read_password(host, call, secret_id));
  auto key = unlock(io, password.bytes());
  if (!key) {
    key.error().hint = "Failed to retrieve the master key";
    return std::move(key).error();
  }
  INSTAR_TRY(const SecureBytes new_password, read_password(host, call, options.text("new-secret")));
  const auto store = [&](size_t to) {
    const uint64_t time = wanted.options.number("iter-time", kDefaultIterTime);
    return add_hint(store_key(wanted.io, to, new_password.bytes(), key->bytes(), time),
                    sdk::cat("Failed to write to keyslot ", to));
  };
  // A slot that is overwritten opens for nobody in between: then the new password opens another.
  const auto spare = is_active(slot) ? free_slot() : std::nullopt;
  if (spare) INSTAR_CHECK(store(*spare));
  INSTAR_CHECK(store(slot));
  return spare ? erase(io, *spare) : sdk::Status{};
}

sdk::Status SlotTable::deactivate(const Amendment& wanted) {
  const auto& options = wanted.options;
  if (options.has("new-secret"))
    return fail(EINVAL, "'new-secret' must not be given when erasing keyslots");
  if (options.has("iter-time"))
    return fail(EINVAL, "'iter-time' must not be given when erasing keyslots");
  INSTAR_TRY(const auto password, old_password(wanted.host, wanted.call, options));
  if (options.has("keyslot")) {
    const uint64_t slot = options.number("keyslot");
    if (slot >= slots())
      return fail(EINVAL, "Invalid keyslot ", static_cast<int32_t>(slot),
                  " specified, must be between 0 and ", slots() - 1);
    return erase_one(wanted, slot, password);
  }
  if (password) return erase_matching(wanted, *password);
  return fail(EINVAL,
              "To erase keyslot(s), either explicit keyslot index or the password currently "
              "contained in them must be given");
}

sdk::Status SlotTable::erase_one(const Amendment& wanted, size_t slot,
                                 const std::optional<SecureBytes>& password) {
  const auto& io = wanted.io;
  const bool force = wanted.force;
  if (password) {
    INSTAR_TRY(const auto key, open_slot(io, slot, password->bytes()));
    if (!key)
      return fail(EINVAL, "Given keyslot ", slot,
                  " doesn't contain the given old password for erase operation");
  }
  if (!force && !is_active(slot))
    return fail(EINVAL, "Given keyslot ", slot, " is already erased (inactive) ");
  if (!force && active_slots() == 1)
    return fail(EINVAL, "Attempt to erase the only active keyslot ", slot,
                " which will erase all the data in the image irreversibly - refusing operation");
  return erase(io, slot);
}

sdk::Status SlotTable::erase_matching(const Amendment& wanted, const SecureBytes& password) {
  const auto& io = wanted.io;
  std::vector<size_t> matching;
  for (size_t slot = 0; slot < slots(); ++slot) {
    INSTAR_TRY(const auto key, open_slot(io, slot, password.bytes()));
    if (key) matching.push_back(slot);
  }
  if (matching.empty())
    return fail(EINVAL, "No keyslots match given (old) password for erase operation");
  if (!wanted.force && matching.size() == active_slots())
    return fail(EINVAL,
                "All the active keyslots match the (old) password that was given and erasing them "
                "will erase all the data in the image irreversibly - refusing operation");
  for (const size_t slot : matching)
    INSTAR_CHECK(erase(io, slot));
  return {};
}

sdk::Status SlotTable::erase(const sdk::HeaderIo& io, size_t slot) {
  return add_hint(erase_slot(io, slot), sdk::cat("Failed to erase keyslot ", slot));
}

sdk::Status SlotTable::overwrite(const sdk::HeaderIo& io, uint64_t offset, size_t length) {
  SecureBytes garbage(length);
  for (int round = 0; round < kEraseRounds; ++round) {
    INSTAR_CHECK(fill_random(garbage.bytes()));
    INSTAR_CHECK(io.write(offset, garbage.bytes()));
    INSTAR_CHECK(io.flush());
  }
  return {};
}

}  // namespace instar::luks
