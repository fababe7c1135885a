// SPDX-License-Identifier: Apache-2.0
/** @file key_derivation.hpp PBKDF2 (RFC 8018) and LUKS1's anti-forensic splitter. */
#pragma once

#include "plugins/filters/luks/algorithms.hpp"
#include "plugins/filters/luks/secure.hpp"

namespace instar::luks {

sdk::Status derive_key(const Hash& hash, sdk::ConstBytes password, sdk::ConstBytes salt,
                       uint64_t iterations, sdk::Bytes key);

/** How many iterations this machine does in a second of one core, for a key of that length. */
sdk::Result<uint64_t> iterations_per_second(const Hash& hash, size_t key_size);

/** Iterations that take `iter_time` milliseconds, divided by `divisor`. */
sdk::Result<uint64_t> scale_iterations(uint64_t per_second, uint64_t iter_time, uint64_t divisor);

/** Spreads a key over `stripes` times its size, so that every byte is needed to get it back
 * (LUKS On-Disk Format Specification 1.2.3, section 2.4). */
sdk::Result<SecureBytes> split_key(const Hash& hash, sdk::ConstBytes key, size_t stripes);
/** The reverse. `split` holds at least stripes * key_size bytes. */
SecureBytes merge_key(const Hash& hash, sdk::ConstBytes split, size_t key_size, size_t stripes);

}  // namespace instar::luks
