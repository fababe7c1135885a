// SPDX-License-Identifier: Apache-2.0
/** @file place.hpp Where a logical unit is and how to log in there, from options and names. */
#pragma once

#include <iscsi/iscsi.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "sdk/cpp/host.hpp"
#include "sdk/cpp/options.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::iscsi {

struct Place {
  iscsi_transport_type transport = TCP_TRANSPORT;
  std::string portal;  ///< "HOST[:PORT]"
  std::string target;  ///< its iSCSI name
  int lun = 0;
  std::string initiator;  ///< our iSCSI name
  std::string user;       ///< of CHAP; "": no CHAP
  std::string password;
  iscsi_header_digest digest = ISCSI_HEADER_DIGEST_NONE_CRC32C;
  std::chrono::seconds limit{60};  ///< longest time without an answer; 0: none
};

/** Options by their names, in order. */
using Settings = std::vector<std::pair<std::string, std::string>>;

/** "iscsi://[USER%PASSWORD@]HOST[:PORT]/TARGET/LUN", as libiscsi reads it. */
sdk::Result<Settings> parse_name(const std::string& filename);

/** Errors in QEMU's words; none has the password. */
sdk::Result<Place> read_place(const sdk::Host& host, const sdk::Call& call,
                              const sdk::Options& options);
/** What a name says. */
sdk::Result<Place> read_place(const sdk::Host& host, const sdk::Call& call,
                              const std::string& filename);

}  // namespace instar::iscsi
