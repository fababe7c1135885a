// SPDX-License-Identifier: Apache-2.0
/** @file settings.hpp What a user says of an image, of its cluster, and of the image's encryption. */
#pragma once

#include <rbd/librbd.h>

#include "plugins/protocols/rbd/name.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::rbd {

/** How librbd encrypts an image. */
struct Encryption {
  rbd_encryption_format_t format = RBD_ENCRYPTION_FORMAT_LUKS2;
  rbd_encryption_algorithm_t cipher = RBD_ENCRYPTION_ALGORITHM_AES256;  ///< of a new image
  std::string passphrase;
};

struct Settings {
  Name name;
  std::string mon_host;  ///< of server.*; "": the configuration says it
  std::string auth;      ///< methods of authentication, separated by ";"; "": as configured
  std::string key;       ///< the user's, in base64; "": the keyring has it
  std::optional<Encryption> encryption;
};

/** For opening. Errors in QEMU's words; a secret stands in none. */
sdk::Result<Settings> read_settings(const sdk::OpenContext& context);

/** For a new image: its name is the context's. */
sdk::Result<Settings> read_settings(const sdk::CreateContext& context);

}  // namespace instar::rbd
