// SPDX-License-Identifier: Apache-2.0
/**
 * @file objects.hpp
 * What --object defines: secrets, TLS credentials, throttle groups. Definitions are checked when
 * they are made; a secret's bytes are read then and never printed.
 */
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/objects/secret.hpp"

namespace instar::objects {

/** One object. Immutable. */
struct Object {
  std::string type;  ///< "secret", "tls-creds-x509", "throttle-group", …
  std::string id;
  std::map<std::string, std::string> properties;  ///< as given, without a secret's data
  SecretBytes secret;                             ///< of secret and secret_keyring
};

/** One per process; thread-safe. */
class Objects {
 public:
  static Objects& instance();

  /** What secrets with a `keyid` are decrypted with; before any is added. */
  void decrypt_with(Decrypt decrypt) { decrypt_ = std::move(decrypt); }

  /**
   * Adds TYPE,id=ID,k=v… Gives the text to print when it asks for help ("help", "TYPE,help"), else
   * an empty one. Errors in QEMU's wording.
   */
  Result<std::string> add(std::string_view definition);

  /** The object of that id and (unless it is empty) type, or an error in QEMU's wording. A
   * secret_keyring is a "secret", too. Valid as long as the process. */
  Result<const Object*> find(std::string_view type, std::string_view id) const;

 private:
  Status complete(Object& object) const;

  Decrypt decrypt_;
  mutable std::mutex mutex_;
  std::map<std::string, Object, std::less<>> objects_;
};

}  // namespace instar::objects
