// SPDX-License-Identifier: Apache-2.0
#include "core/objects/credentials.hpp"

#include <unistd.h>

#include <cerrno>
#include <vector>

namespace instar::objects {

namespace {

std::vector<const char*> files_of(const std::string& type, bool server) {
  if (type == "tls-creds-psk") return {"keys.psk"};
  if (server) return {"ca-cert.pem", "server-cert.pem", "server-key.pem"};
  return {"ca-cert.pem"};
}

}  // namespace

Status check_credentials(const std::string& type,
                         const std::map<std::string, std::string>& properties) {
  if (type == "tls-creds-anon") return {};  // the files that it may have are optional
  const auto dir = properties.find("dir");
  if (dir == properties.end()) return fail(EINVAL, "Missing 'dir' property value");
  const auto endpoint = properties.find("endpoint");
  const bool server = endpoint != properties.end() && endpoint->second == "server";
  if (server && properties.contains("username"))
    return fail(EINVAL, "username should not be set when endpoint=server");
  for (const char* file : files_of(type, server)) {
    const std::string path = cat(dir->second, "/", file);
    if (::access(path.c_str(), F_OK) != 0)
      return fail(errno, "Unable to access credentials ", path, ": ", sdk::errno_text(errno));
  }
  return {};
}

}  // namespace instar::objects
