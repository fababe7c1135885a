// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/place.hpp"

#include <algorithm>
#include <array>

#include "sdk/cpp/uri.hpp"

namespace instar::ssh {

namespace {

using sdk::cat;
using sdk::Error;
using sdk::fail;
using sdk::Result;
using sdk::Status;

constexpr std::string_view kDefaultPort = "22";
constexpr std::string_view kServer = "server.";
constexpr std::string_view kCheck = "host-key-check.";

Error missing(std::string_view name) {
  return fail(EINVAL, "Parameter '", name, "' is missing");
}

Result<std::string_view> need(const Given& given, std::string_view name) {
  const auto found = given.find(name);
  if (found == given.end()) return missing(name);
  return std::string_view(found->second);
}

bool has_group(const Given& given, std::string_view prefix) {
  const auto found = given.lower_bound(prefix);
  return found != given.end() && found->first.starts_with(prefix);
}

Result<std::optional<bool>> flag(const Given& given, std::string_view member) {
  const auto found = given.find(cat(kServer, member));
  if (found == given.end()) return std::optional<bool>();
  const std::string& text = found->second;
  if (text == "on" || text == "yes" || text == "true" || text == "y") return std::optional(true);
  if (text == "off" || text == "no" || text == "false" || text == "n") return std::optional(false);
  return fail(EINVAL, "Parameter '", found->first, "' expects 'on' or 'off'");
}

bool is_hash_type(std::string_view type) {
  constexpr std::array<std::string_view, 3> kTypes = {"md5", "sha1", "sha256"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

/** What "host_key_check" means. */
Result<HostKeyCheck> parse_check(const std::string& text) {
  if (text == "no") return HostKeyCheck{HostKeyCheck::Mode::kNone, "", ""};
  if (text == "yes") return HostKeyCheck{};
  const std::string type = text.substr(0, text.find(':'));
  if (type.size() == text.size() || !is_hash_type(type))
    return fail(EINVAL, "unknown host_key_check setting (", text, ")");
  return HostKeyCheck{HostKeyCheck::Mode::kHash, type, text.substr(type.size() + 1)};
}

/** "host-key-check.mode" and so on. */
Result<HostKeyCheck> read_check(const Given& given) {
  HostKeyCheck check;
  INSTAR_TRY(const std::string_view mode, need(given, cat(kCheck, "mode")));
  if (mode == "none")
    check.mode = HostKeyCheck::Mode::kNone;
  else if (mode == "hash")
    check.mode = HostKeyCheck::Mode::kHash;
  else if (mode != "known_hosts")
    return fail(EINVAL, "Parameter 'mode' does not accept value '", mode, "'");
  if (check.mode == HostKeyCheck::Mode::kHash) {
    INSTAR_TRY(check.type, need(given, cat(kCheck, "type")));
    if (!is_hash_type(check.type))
      return fail(EINVAL, "Parameter 'type' does not accept value '", check.type, "'");
    INSTAR_TRY(check.hash, need(given, cat(kCheck, "hash")));
  }
  for (const auto& [name, text] : given) {
    if (!name.starts_with(kCheck)) continue;
    const auto member = std::string_view(name).substr(kCheck.size());
    const bool of_hash = member == "type" || member == "hash";
    if (member != "mode" && !(of_hash && check.mode == HostKeyCheck::Mode::kHash))
      return fail(EINVAL, "Parameter '", name, "' is unexpected");
  }
  return check;
}

Status check_server_members(const Given& given) {
  constexpr std::array<std::string_view, 8> kKnown = {"host", "port", "numeric",    "to",
                                                      "ipv4", "ipv6", "keep-alive", "mptcp"};
  for (const auto& [name, text] : given) {
    if (!name.starts_with(kServer)) continue;
    const auto member = std::string_view(name).substr(kServer.size());
    if (std::find(kKnown.begin(), kKnown.end(), member) == kKnown.end())
      return fail(EINVAL, "Parameter '", name, "' is unexpected");
  }
  return {};
}

/** From "server.", which "host" and "port" stand for. */
Status read_server(const Given& given, Place& place) {
  const auto host = given.find("host"), port = given.find("port");
  if (host != given.end()) {
    place.host = host->second;
    place.port = port != given.end() ? port->second : kDefaultPort;
    if (place.port.empty() || place.port.find_first_not_of("0123456789") != std::string::npos)
      return fail(EINVAL, "Parameter 'port' expects a number");
  } else {
    if (!has_group(given, kServer)) return missing("server");
    INSTAR_TRY(place.host, need(given, cat(kServer, "host")));
    INSTAR_TRY(place.port, need(given, cat(kServer, "port")));
  }
  INSTAR_TRY(place.ipv4, flag(given, "ipv4"));
  INSTAR_TRY(place.ipv6, flag(given, "ipv6"));
  for (const char* name : {"numeric", "keep-alive", "mptcp"})
    INSTAR_CHECK(flag(given, name));
  for (const char* name : {"numeric", "to", "ipv4", "ipv6", "keep-alive", "mptcp"})
    if (given.contains(cat(kServer, name))) place.nameable = false;
  return {};
}

}  // namespace

Given given_by(const sdk::Options& options) {
  Given given;
  for (const auto& option : options)
    given.emplace(option.name, option.text);
  return given;
}

Result<Given> given_by(std::string_view filename) {
  constexpr std::string_view kScheme = "ssh:", kSlashes = "//";
  auto rest = filename.substr(std::min(kScheme.size(), filename.size()));
  if (!rest.starts_with(kSlashes)) return fail(EINVAL, "missing hostname in URI");
  const auto uri = sdk::parse_uri(rest.substr(kSlashes.size()));
  const uint64_t port = uri ? std::strtoull(uri->port.c_str(), nullptr, 10) : 0;
  if (!uri || port > UINT16_MAX) return Given();
  if (uri->host.empty()) return fail(EINVAL, "missing hostname in URI");
  if (uri->path.empty()) return fail(EINVAL, "missing remote path in URI");
  const auto parameters = sdk::query_parameters(uri->query);
  if (!parameters) return fail(EINVAL, "Failed to parse SSH URI parameters '", uri->query, "'");
  Given given{{"host", uri->host},
              {"path", uri->path},
              {"port", port != 0 ? std::to_string(port) : std::string(kDefaultPort)}};
  if (!uri->user.empty()) given["user"] = uri->user;
  for (const auto& parameter : *parameters)
    if (parameter.name == "host_key_check" && parameter.value)
      given["host_key_check"] = *parameter.value;
  return given;
}

Result<Place> read_place(const Given& given) {
  Place place;
  if (given.contains("port") && !given.contains("host"))
    return fail(EINVAL, "port may not be used without host");
  const auto legacy = given.find("host_key_check");
  if (legacy != given.end()) {
    place.check_text = legacy->second;
    INSTAR_TRY(place.check, parse_check(legacy->second));
  }
  INSTAR_CHECK(read_server(given, place));
  INSTAR_TRY(place.path, need(given, "path"));
  if (const auto user = given.find("user"); user != given.end()) place.user = user->second;
  if (legacy == given.end() && has_group(given, kCheck)) {
    INSTAR_TRY(place.check, read_check(given));
  }
  INSTAR_CHECK(check_server_members(given));
  if (place.port.empty() || place.port.find_first_not_of("0123456789") != std::string::npos)
    return fail(EINVAL, "Use only numeric port value");
  return place;
}

std::string name_of(const Place& place, std::string_view user) {
  if (!place.nameable) return {};
  const char* query = place.check_text.empty() ? "" : "?host_key_check=";
  return cat("ssh://", user, "@", place.host, ":", place.port, place.path, query, place.check_text);
}

bool same_hash(std::string_view said, std::string_view hash) {
  std::string digits;
  for (const char c : said)
    if (c != ':') digits += c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  return digits == hash;
}

}  // namespace instar::ssh
