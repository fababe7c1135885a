// SPDX-License-Identifier: Apache-2.0
/** @file create_options.hpp What a new LUKS header shall be like. */
#pragma once

#include "plugins/filters/luks/header.hpp"
#include "plugins/filters/luks/kdf.hpp"
#include "sdk/cpp/encryption.hpp"

namespace instar::luks {

struct CreateOptions {
  Meaning meaning;
  uint64_t iter_time;  ///< milliseconds
};

/** What version 2 has beyond that. */
struct Luks2Choice {
  KdfType kdf = KdfType::kArgon2id;
  uint64_t memory = 256 << 10;  ///< of Argon2, at most; KiB
  uint64_t sector_size = kSectorSize;
};
/** Options: pbkdf, pbkdf-memory, sector-size. */
sdk::Result<Luks2Choice> read_luks2_choice(const sdk::EncryptionArgs& args);

/** With QEMU's defaults; errors in its words. */
sdk::Result<CreateOptions> read_create_options(const sdk::EncryptionArgs& args);

}  // namespace instar::luks
