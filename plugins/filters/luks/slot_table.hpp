// SPDX-License-Identifier: Apache-2.0
/** @file slot_table.hpp The key slots of a header, whatever its version, and QEMU's rules of changing
 * them. */
#pragma once

#include <optional>

#include "plugins/filters/luks/secure.hpp"
#include "sdk/cpp/encryption.hpp"

namespace instar::luks {

/** How long the derivation of a key shall take by default, in milliseconds. */
inline constexpr uint64_t kDefaultIterTime = 2000;

class SlotTable {
 public:
  virtual ~SlotTable() = default;

  virtual size_t slots() const = 0;
  virtual bool is_active(size_t slot) const = 0;
  /** The master key, when the slot is active and the password opens it. */
  virtual sdk::Result<std::optional<SecureBytes>> open_slot(const sdk::HeaderIo& io, size_t slot,
                                                            sdk::ConstBytes password) const = 0;
  /** Puts the master key into a slot. The slot is inactive until all of it is on the disk. */
  virtual sdk::Status store_key(const sdk::HeaderIo& io, size_t slot, sdk::ConstBytes password,
                                sdk::ConstBytes key, uint64_t iter_time) = 0;
  /** Takes a slot out of the header and overwrites its material. */
  virtual sdk::Status erase_slot(const sdk::HeaderIo& io, size_t slot) = 0;

  /** The master key, by whatever slot the password opens. */
  sdk::Result<SecureBytes> unlock(const sdk::HeaderIo& io, sdk::ConstBytes password) const;
  /** Options: state, keyslot, old-secret, new-secret, iter-time. @param secret_id of the password
   * that the image was opened with. */
  sdk::Status amend_slots(const sdk::Host& host, const sdk::Call& call, const sdk::Options& options,
                          const sdk::HeaderIo& io, const std::string& secret_id, bool force);

 protected:
  /** Overwrites [offset, offset + length) of the header many times. */
  static sdk::Status overwrite(const sdk::HeaderIo& io, uint64_t offset, size_t length);

 private:
  struct Amendment {
    const sdk::Host& host;
    const sdk::Call& call;
    const sdk::Options& options;
    const sdk::HeaderIo& io;
    bool force;
  };
  sdk::Status activate(const Amendment& wanted, const std::string& secret_id);
  sdk::Status deactivate(const Amendment& wanted);
  sdk::Result<size_t> slot_to_activate(const Amendment& wanted) const;
  sdk::Status erase(const sdk::HeaderIo& io, size_t slot);
  sdk::Status erase_one(const Amendment& wanted, size_t slot,
                        const std::optional<SecureBytes>& password);
  sdk::Status erase_matching(const Amendment& wanted, const SecureBytes& password);
  std::optional<size_t> free_slot() const;
  size_t active_slots() const;
};

}  // namespace instar::luks
