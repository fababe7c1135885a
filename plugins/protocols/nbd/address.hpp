// SPDX-License-Identifier: Apache-2.0
/** @file address.hpp Where an NBD server listens, from options and names, and back into a name. */
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sdk/cpp/options.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::nbd {

struct Address {
  enum class Kind { kTcp, kUnix, kVsock, kFd };
  Kind kind = Kind::kTcp;
  std::string host;  ///< of TCP; the cid of a vsock
  std::string port;
  std::string path;               ///< of a unix socket
  int fd = -1;                    ///< of a socket that the caller handed down
  bool abstract = false;          ///< the unix socket's name is no path
  bool tight = true;              ///< an abstract name ends with its last letter
  std::optional<bool> ipv4 = {};  ///< whether addresses of that family are tried
  std::optional<bool> ipv6 = {};
  bool nameable = true;  ///< a plain name can say it all

  /** As messages name it: "HOST:PORT", the path. */
  std::string text() const;
};

/** From server.*, or the older path, host and port. Errors in QEMU's words. */
sdk::Result<Address> read_address(const sdk::Options& options);

/** "nbd://HOST:PORT/EXPORT", "nbd+unix:///EXPORT?socket=PATH"; "" where only options can say it. */
std::string name_of(const Address& address, std::string_view export_name, bool tls);

/** What a plain name says. */
struct Name {
  std::optional<Address> address;  ///< none: the name leaves it out
  std::string export_name = {};
  bool tls = false;
};

/** "nbd://…", "nbds+unix:///…", "nbd:HOST:PORT:exportname=…" and so on. */
sdk::Result<Name> parse_name(std::string_view filename);

/** The options that stand for it, as a flat JSON object. */
std::string options_of(const Name& name);

}  // namespace instar::nbd
