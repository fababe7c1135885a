// SPDX-License-Identifier: Apache-2.0
/** @file place.hpp Where a file lies and how its server is known, from options and names, and back
 * into a name. */
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "sdk/cpp/options.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::ssh {

/** How the server's key is checked. */
struct HostKeyCheck {
  enum class Mode { kKnownHosts, kNone, kHash };
  Mode mode = Mode::kKnownHosts;
  std::string type;  ///< of a hash: "md5", "sha1", "sha256"
  std::string hash;  ///< hexadecimal, with or without colons
};

struct Place {
  std::string host;
  std::string port;
  std::string user;  ///< "": who runs the program
  std::string path;
  HostKeyCheck check;
  std::string check_text;         ///< of the name's host_key_check, "" without it
  std::optional<bool> ipv4 = {};  ///< whether addresses of that family are tried
  std::optional<bool> ipv6 = {};
  bool nameable = true;  ///< a plain name can say it all

  /** As messages name the server: "HOST:PORT". */
  std::string server() const { return sdk::cat(host, ":", port); }
};

/** Options by their names. */
using Given = std::map<std::string, std::string, std::less<>>;

Given given_by(const sdk::Options& options);
/** "ssh://[USER@]HOST[:PORT]/PATH[?host_key_check=…]". What is no URI at all says nothing. */
sdk::Result<Given> given_by(std::string_view filename);

/** Errors in QEMU's words. */
sdk::Result<Place> read_place(const Given& given);

/** "" where only options can say it. @param user who is logged in. */
std::string name_of(const Place& place, std::string_view user);

/** Whether the key's hash is what the user says it is. @param hash lower case, without colons. */
bool same_hash(std::string_view said, std::string_view hash);

}  // namespace instar::ssh
