// SPDX-License-Identifier: Apache-2.0
/** @file luks2.hpp The scheme "luks2": LUKS version 2 as cryptsetup has it, with one encrypted segment
 * up to the end, without integrity protection. */
#pragma once

#include <memory>
#include <string>

#include "plugins/filters/luks/create_options.hpp"
#include "plugins/filters/luks/luks2_header.hpp"
#include "plugins/filters/luks/luks2_metadata.hpp"
#include "plugins/filters/luks/secret.hpp"
#include "plugins/filters/luks/slot_table.hpp"

namespace instar::luks {

class Luks2 final : public SlotTable {
 public:
  static sdk::Result<std::unique_ptr<Luks2>> open(const sdk::Host& host, const sdk::Call& call,
                                                  const sdk::EncryptionArgs& args);
  /** Options: those of version 1, sector-size, pbkdf, pbkdf-memory. */
  static sdk::Result<std::unique_ptr<Luks2>> create(const sdk::Host& host, const sdk::Call& call,
                                                    const sdk::EncryptionArgs& args);
  static sdk::Result<uint64_t> measure(const sdk::Host& host, const sdk::Call& call,
                                       const sdk::EncryptionArgs& args);
  sdk::Status amend(const sdk::Call& call, const sdk::Options& options, const sdk::HeaderIo& io,
                    bool force);
  sdk::Result<std::string> describe(bool with_format) const;
  instar_encryption_info info() const;
  sdk::Status encrypt(uint64_t offset, sdk::Bytes data);
  sdk::Status decrypt(uint64_t offset, sdk::Bytes data);

  size_t slots() const override { return kLuks2Slots; }
  bool is_active(size_t slot) const override { return metadata_.slots[slot].has_value(); }
  sdk::Result<std::optional<SecureBytes>> open_slot(const sdk::HeaderIo& io, size_t slot,
                                                    sdk::ConstBytes password) const override;
  sdk::Status store_key(const sdk::HeaderIo& io, size_t slot, sdk::ConstBytes password,
                        sdk::ConstBytes key, uint64_t iter_time) override;
  sdk::Status erase_slot(const sdk::HeaderIo& io, size_t slot) override;

 private:
  explicit Luks2(const sdk::Host& host) : host_(host) {}

  sdk::Status check_work() const;
  sdk::Status make_volume(const CreateOptions& options, sdk::ConstBytes key);
  sdk::Status change_header(const sdk::HeaderIo& io, size_t slot, const Luks2Slot* to);
  sdk::Result<Luks2Slot> new_slot(uint64_t iter_time) const;
  uint64_t number_of(uint64_t offset) const;

  sdk::Host host_;
  std::string secret_id_;
  Luks2Header header_;
  Luks2Metadata metadata_;
  Luks2Choice choice_;  ///< for new slots
  bool detached_ = false;
  std::unique_ptr<SectorCipher> cipher_;  ///< absent when opened only to be described
};

}  // namespace instar::luks
