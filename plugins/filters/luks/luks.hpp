// SPDX-License-Identifier: Apache-2.0
/** @file luks.hpp The scheme "luks": LUKS version 1 as QEMU reads and writes it. */
#pragma once

#include <memory>
#include <string>

#include "plugins/filters/luks/header.hpp"
#include "plugins/filters/luks/secret.hpp"
#include "plugins/filters/luks/slot_table.hpp"

namespace instar::luks {

class Luks final : public SlotTable {
 public:
  static sdk::Result<std::unique_ptr<Luks>> open(const sdk::Host& host, const sdk::Call& call,
                                                 const sdk::EncryptionArgs& args);
  /** Options: cipher-alg, cipher-mode, ivgen-alg, ivgen-hash-alg, hash-alg, iter-time,
   * key-secret. */
  static sdk::Result<std::unique_ptr<Luks>> create(const sdk::Host& host, const sdk::Call& call,
                                                   const sdk::EncryptionArgs& args);
  static sdk::Result<uint64_t> measure(const sdk::Host& host, const sdk::Call& call,
                                       const sdk::EncryptionArgs& args);
  /** Options: state, keyslot, old-secret, new-secret, iter-time. */
  sdk::Status amend(const sdk::Call& call, const sdk::Options& options, const sdk::HeaderIo& io,
                    bool force);
  sdk::Result<std::string> describe(bool with_format) const;
  instar_encryption_info info() const;
  sdk::Status encrypt(uint64_t offset, sdk::Bytes data);
  sdk::Status decrypt(uint64_t offset, sdk::Bytes data);

  size_t slots() const override { return kSlots; }
  bool is_active(size_t slot) const override { return header_.slots[slot].is_active(); }
  sdk::Result<std::optional<SecureBytes>> open_slot(const sdk::HeaderIo& io, size_t slot,
                                                    sdk::ConstBytes password) const override;
  sdk::Status store_key(const sdk::HeaderIo& io, size_t slot, sdk::ConstBytes password,
                        sdk::ConstBytes key, uint64_t iter_time) override;
  sdk::Status erase_slot(const sdk::HeaderIo& io, size_t slot) override;

 private:
  explicit Luks(const sdk::Host& host) : host_(host) {}

  sdk::Status make_digest(sdk::ConstBytes key, uint64_t iter_time);
  sdk::Status write_header(const sdk::HeaderIo& io) const;
  /** A write that changes one sector alone: a power cut leaves the slot as it was or as it is. */
  sdk::Status set_active(const sdk::HeaderIo& io, size_t slot, bool active);
  sdk::Result<SecureBytes> slot_key(const KeySlot& slot, sdk::ConstBytes password) const;

  sdk::Host host_;
  std::string secret_id_;
  Header header_{};
  Meaning meaning_;
  bool detached_ = false;
  std::unique_ptr<SectorCipher> cipher_;  ///< absent when opened only to be described
};

}  // namespace instar::luks
