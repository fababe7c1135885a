// SPDX-License-Identifier: Apache-2.0
/** @file secret.hpp Secrets of --object, from the host. */
#pragma once

#include <string>

#include "plugins/filters/luks/secure.hpp"
#include "sdk/cpp/encryption.hpp"

namespace instar::luks {

/** The bytes of a secret. */
sdk::Result<SecureBytes> read_secret(const sdk::Host& host, const sdk::Call& call,
                                     const std::string& id);
/** A secret that is a password: it must be UTF-8 without zeroes. */
sdk::Result<SecureBytes> read_password(const sdk::Host& host, const sdk::Call& call,
                                       const std::string& id);
/** The id that `key-secret` gives, or QEMU's error when it is absent. */
sdk::Result<std::string> key_secret_id(const sdk::EncryptionArgs& args);

}  // namespace instar::luks
