// SPDX-License-Identifier: Apache-2.0
/** @file refusal.hpp Why client and server did not come together, in QEMU's words. */
#pragma once

#include <string_view>

#include "plugins/protocols/nbd/address.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::nbd {

/** What libnbd tells of a connection that failed. */
struct Refusal {
  std::string_view text;  ///< its message, without the name of the function that failed
  int code = 0;           ///< its errno, or 0
  /** The server's own words where libnbd tells them apart; since 1.22 they end `text`. */
  std::string_view server_message = {};
};

/** What QEMU has no words for keeps libnbd's. The server's words are the hint. */
sdk::Error handshake_error(const Address& address, std::string_view export_name,
                           const Refusal& refusal);

}  // namespace instar::nbd
