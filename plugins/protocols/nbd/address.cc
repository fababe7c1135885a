// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/address.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "sdk/cpp/json_writer.hpp"
#include "sdk/cpp/uri.hpp"

namespace instar::nbd {

namespace {

using sdk::cat;
using sdk::Error;
using sdk::fail;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr std::string_view kDefaultPort = "10809";
constexpr std::string_view kServer = "server.";

Error missing(std::string_view name) {
  return fail(EINVAL, "Parameter '", name, "' is missing");
}

Status check_members(const Options& options, std::initializer_list<std::string_view> known) {
  for (const auto& option : options) {
    const std::string_view name = option.name;
    if (!name.starts_with(kServer)) continue;
    const auto member = name.substr(kServer.size());
    if (member != "type" && std::find(known.begin(), known.end(), member) == known.end())
      return fail(EINVAL, "Parameter '", member, "' is unexpected");
  }
  return {};
}

Result<std::string> member(const Options& options, std::string_view name) {
  const auto* option = options.find(cat(kServer, name));
  if (option == nullptr) return missing(name);
  return std::string(option->text);
}

Result<std::optional<bool>> flag(const Options& options, std::string_view name) {
  const auto* option = options.find(cat(kServer, name));
  if (option == nullptr) return std::optional<bool>();
  const std::string_view text = option->text;
  if (text == "on" || text == "yes" || text == "true" || text == "y") return std::optional(true);
  if (text == "off" || text == "no" || text == "false" || text == "n") return std::optional(false);
  return fail(EINVAL, "Parameter '", name, "' expects 'on' or 'off'");
}

Result<Address> read_inet(const Options& options) {
  INSTAR_CHECK(check_members(
      options, {"host", "port", "numeric", "to", "ipv4", "ipv6", "keep-alive", "mptcp"}));
  Address address;
  INSTAR_TRY(address.host, member(options, "host"));
  INSTAR_TRY(address.port, member(options, "port"));
  INSTAR_TRY(address.ipv4, flag(options, "ipv4"));
  INSTAR_TRY(address.ipv6, flag(options, "ipv6"));
  for (const char* name : {"numeric", "keep-alive", "mptcp"})
    INSTAR_CHECK(flag(options, name));
  for (const char* name : {"to", "ipv4", "ipv6", "keep-alive", "mptcp"})
    if (options.has(cat(kServer, name))) address.nameable = false;
  return address;
}

Result<Address> read_unix(const Options& options) {
  INSTAR_CHECK(check_members(options, {"path", "abstract", "tight"}));
  Address address;
  address.kind = Address::Kind::kUnix;
  INSTAR_TRY(address.path, member(options, "path"));
  INSTAR_TRY(const auto abstract, flag(options, "abstract"));
  INSTAR_TRY(const auto tight, flag(options, "tight"));
  address.abstract = abstract.value_or(false);
  address.tight = tight.value_or(true);
  return address;
}

Result<Address> read_vsock(const Options& options) {
  INSTAR_CHECK(check_members(options, {"cid", "port"}));
  Address address;
  address.kind = Address::Kind::kVsock;
  address.nameable = false;
  INSTAR_TRY(address.host, member(options, "cid"));
  INSTAR_TRY(address.port, member(options, "port"));
  return address;
}

Result<Address> read_fd(const Options& options) {
  INSTAR_CHECK(check_members(options, {"str"}));
  Address address;
  address.kind = Address::Kind::kFd;
  address.nameable = false;
  INSTAR_TRY(address.path, member(options, "str"));
  const auto& text = address.path;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), address.fd);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || address.fd < 0)
    return fail(EINVAL, "Unable to parse FD number ", text);
  return address;
}

Result<Address> read_server(const Options& options) {
  INSTAR_TRY(const std::string type, member(options, "type"));
  if (type == "inet") return read_inet(options);
  if (type == "unix") return read_unix(options);
  if (type == "vsock") return read_vsock(options);
  if (type == "fd") return read_fd(options);
  return fail(EINVAL, "Parameter 'type' does not accept value '", type, "'");
}

/** How servers were named before there was "server". */
Result<Address> read_legacy(const Options& options) {
  const bool path = options.has("path"), host = options.has("host"), port = options.has("port");
  if (path && host) return fail(EINVAL, "path and host may not be used at the same time");
  if (path && port) return fail(EINVAL, "port may not be used without host");
  Address address;
  if (path) {
    address.kind = Address::Kind::kUnix;
    address.path = options.text("path");
  } else if (host) {
    address.host = options.text("host");
    address.port = options.text("port", kDefaultPort);
  } else {
    return fail(EINVAL, "NBD server address missing");
  }
  return address;
}

Error invalid_url() {
  return fail(EINVAL, "No valid URL specified");
}

Address tcp(std::string_view host, std::string_view port) {
  Address address;
  address.host = host;
  address.port = port;
  return address;
}

Address unix_socket(std::string_view path) {
  Address address;
  address.kind = Address::Kind::kUnix;
  address.path = path;
  return address;
}

Result<Name> parse_uri(std::string_view scheme, std::string_view rest) {
  const auto uri = sdk::parse_uri(rest);
  if (!uri) return invalid_url();
  Name name;
  name.tls = scheme.starts_with("nbds");
  name.export_name = uri->path.substr(uri->path.starts_with('/') ? 1 : 0);
  if (!scheme.ends_with("+unix")) {
    if (uri->host.empty() || !uri->query.empty()) return invalid_url();
    name.address = tcp(uri->host, uri->port.empty() ? kDefaultPort : uri->port);
    return name;
  }
  constexpr std::string_view kSocket = "socket=";
  if (!uri->host.empty() || !uri->port.empty() || !uri->query.starts_with(kSocket) ||
      uri->query.find('&') != uri->query.npos)
    return invalid_url();
  const auto path = sdk::percent_decoded(std::string_view(uri->query).substr(kSocket.size()));
  if (!path) return invalid_url();
  name.address = unix_socket(*path);
  return name;
}

/** "HOST:PORT", "[IPV6]:PORT". */
std::optional<std::pair<std::string, std::string>> split_host(std::string_view spec) {
  std::string_view host;
  size_t colon = spec.find(':');
  if (spec.starts_with('[')) {
    const size_t end = spec.find(']');
    if (end == spec.npos) return std::nullopt;
    host = spec.substr(1, end - 1);
    colon = end + 1;
  } else {
    host = spec.substr(0, colon);
  }
  if (colon >= spec.size() || spec[colon] != ':' || colon + 1 == spec.size()) return std::nullopt;
  return std::pair{std::string(host), std::string(spec.substr(colon + 1))};
}

/** "nbd:HOST:PORT[:exportname=NAME]", "nbd:unix:PATH[:exportname=NAME]". */
Result<Name> parse_old_form(std::string_view rest) {
  constexpr std::string_view kExport = ":exportname=";
  constexpr std::string_view kUnix = "unix:";
  Name name;
  if (const size_t at = rest.find(kExport); at != rest.npos) {
    name.export_name = rest.substr(at + kExport.size());
    if (name.export_name.empty()) return name;  // as if nothing had been said
    rest = rest.substr(0, at);
  }
  if (rest.empty()) return name;
  if (rest.starts_with(kUnix)) {
    name.address = unix_socket(rest.substr(kUnix.size()));
    return name;
  }
  const auto place = split_host(rest);
  if (!place) return fail(EINVAL, "error parsing address '", rest, "'");
  name.address = tcp(place->first, place->second);
  return name;
}

}  // namespace

std::string Address::text() const {
  return kind == Kind::kUnix || kind == Kind::kFd ? path : cat(host, ":", port);
}

Result<Address> read_address(const Options& options) {
  const bool legacy = options.has("path") || options.has("host") || options.has("port");
  for (const auto& option : options) {
    if (!std::string_view(option.name).starts_with(kServer)) continue;
    if (legacy) return fail(EINVAL, "Cannot use 'server' and path/host/port at the same time");
    return read_server(options);
  }
  return read_legacy(options);
}

std::string name_of(const Address& address, std::string_view export_name, bool tls) {
  if (!address.nameable || address.abstract) return {};
  const char* scheme = tls ? "nbds" : "nbd";
  if (address.kind == Address::Kind::kUnix)
    return export_name.empty() ? cat(scheme, "+unix://?socket=", address.path)
                               : cat(scheme, "+unix:///", export_name, "?socket=", address.path);
  const std::string place = cat(scheme, "://", address.host, ":", address.port);
  return export_name.empty() ? place : cat(place, "/", export_name);
}

Result<Name> parse_name(std::string_view filename) {
  constexpr std::string_view kSeparator = "://";
  if (const size_t end = filename.find(kSeparator); end != filename.npos)
    return parse_uri(filename.substr(0, end), filename.substr(end + kSeparator.size()));
  constexpr std::string_view kPrefix = "nbd:";
  if (!filename.starts_with(kPrefix)) return invalid_url();
  return parse_old_form(filename.substr(kPrefix.size()));
}

std::string options_of(const Name& name) {
  sdk::JsonWriter json;
  json.begin_object();
  if (name.tls) json.field("tls", "on");
  if (!name.export_name.empty()) json.field("export", name.export_name);
  if (name.address && name.address->kind == Address::Kind::kUnix)
    json.field("path", name.address->path);
  else if (name.address)
    json.field("host", name.address->host).field("port", name.address->port);
  json.end_object();
  return json.text();
}

}  // namespace instar::nbd
