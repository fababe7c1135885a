// SPDX-License-Identifier: Apache-2.0
/** @file create_options.hpp What a new LUKS header shall be like. */
#pragma once

#include "plugins/filters/luks/header.hpp"
#include "sdk/cpp/encryption.hpp"

namespace instar::luks {

struct CreateOptions {
  Meaning meaning;
  uint64_t iter_time;  ///< milliseconds
};

/** With QEMU's defaults; errors in its words. */
sdk::Result<CreateOptions> read_create_options(const sdk::EncryptionArgs& args);

}  // namespace instar::luks
