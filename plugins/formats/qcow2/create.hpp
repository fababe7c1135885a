// SPDX-License-Identifier: Apache-2.0
/** @file create.hpp What the creation options say, checked; for create and measure. */
#pragma once

#include <optional>
#include <string>

#include "plugins/formats/qcow2/encryption.hpp"
#include "plugins/formats/qcow2/geometry.hpp"
#include "sdk/abi/resize.h"
#include "sdk/cpp/options.hpp"

namespace instar::qcow2 {

struct CreateOptions {
  Header header;  ///< features, widths, names; no offsets yet
  instar_preallocation preallocation = INSTAR_PREALLOCATION_OFF;
  EncryptionChoice encryption;
};

/** Errors in QEMU's words. `size` is in the header, rounded up to sectors. */
Result<CreateOptions> read_create_options(const sdk::Options& options);
/** The options that a measurement depends on; others may be anything. */
Result<CreateOptions> read_measure_options(const sdk::Options& options);

}  // namespace instar::qcow2
