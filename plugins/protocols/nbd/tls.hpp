// SPDX-License-Identifier: Apache-2.0
/** @file tls.hpp Credentials for TLS, from objects of the user or the places where libnbd's tools
 * look. */
#pragma once

#include <libnbd.h>

#include <string>

#include "plugins/protocols/nbd/address.hpp"
#include "sdk/cpp/host.hpp"

namespace instar::nbd {

struct Tls {
  enum class Kind { kNone, kX509, kPsk };
  Kind kind = Kind::kNone;
  std::string folder;    ///< of ca-cert.pem or keys.psk
  std::string username;  ///< of a pre-shared key
  std::string hostname;  ///< that the server's certificate must have; "": the one connected to
  bool verify = true;    ///< the server's certificate is checked
};

/** What a user says of it. */
struct TlsWish {
  std::string credentials;  ///< id of an object, or ""
  std::string hostname;
  bool required = false;  ///< without credentials: those of the system
};

/**
 * Refuses what would leave a certificate unchecked: libnbd passes over the check without
 * certificates of authorities or without a host name.
 */
sdk::Result<Tls> read_tls(const sdk::Host& host, const TlsWish& wish, const Address& address);

/** Before connecting. */
sdk::Status apply_tls(nbd_handle* handle, const Tls& tls);

}  // namespace instar::nbd
