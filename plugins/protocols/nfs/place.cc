// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nfs/place.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "sdk/cpp/uri.hpp"

namespace instar::nfs {

namespace {

using sdk::cat;
using sdk::fail;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr std::string_view kServer = "server.";

/** The numbers: what names and options call them. */
struct Number {
  std::string_view parameter;
  std::string_view option;
  uint64_t Place::*member;
};
constexpr std::array<Number, 6> kNumbers = {{{"uid", "user", &Place::user},
                                             {"gid", "group", &Place::group},
                                             {"tcp-syncnt", "tcp-syn-count", &Place::syn_count},
                                             {"readahead", "readahead-size", &Place::read_ahead},
                                             {"pagecache", "page-cache-size", &Place::page_cache},
                                             {"debug", "debug", &Place::debug}}};

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Status read_parameters(std::string_view query, Settings& settings) {
  const auto parameters = sdk::query_parameters(query);
  if (!parameters) return fail(EINVAL, "Failed to parse NFS parameter");
  for (const auto& parameter : *parameters) {
    const std::string& name = parameter.name;
    if (!parameter.value) continue;
    if (!number(*parameter.value)) return fail(EINVAL, "Invalid value for NFS parameter: ", name);
    const auto known = std::find_if(kNumbers.begin(), kNumbers.end(),
                                    [&](const Number& one) { return one.parameter == name; });
    if (known == kNumbers.end()) return fail(EINVAL, "Unknown NFS parameter name: ", name);
    settings.emplace_back(known->option, *parameter.value);
  }
  return {};
}

Status read_server(const Options& options, Place& place) {
  const bool any = std::any_of(options.begin(), options.end(), [](const auto& option) {
    return std::string_view(option.name).starts_with(kServer);
  });
  if (!any) return fail(EINVAL, "Parameter 'server' is missing");
  for (const char* name : {"server.type", "server.host"}) {
    if (!options.has(name)) return fail(EINVAL, "Parameter '", name, "' is missing");
    const std::string type = options.text("server.type");
    if (type != "inet") return fail(EINVAL, "Parameter 'type' does not accept value '", type, "'");
  }
  place.host = options.text("server.host");
  return {};
}

Status check_server_members(const Options& options) {
  for (const auto& option : options) {
    const std::string_view name = option.name;
    if (name.starts_with(kServer) && name != "server.type" && name != "server.host")
      return fail(EINVAL, "Parameter '", name, "' is unexpected");
  }
  return {};
}

}  // namespace

std::string_view Place::folder() const {
  return std::string_view(path).substr(0, path.rfind('/'));
}

std::string_view Place::file() const {
  return std::string_view(path).substr(path.rfind('/'));
}

Result<Settings> parse_name(std::string_view filename) {
  constexpr std::string_view kScheme = "nfs:", kSlashes = "//";
  const auto rest = filename.substr(std::min(kScheme.size(), filename.size()));
  if (!rest.starts_with(kSlashes)) return fail(EINVAL, "missing hostname in URI");
  const auto uri = sdk::parse_uri(rest.substr(kSlashes.size()));
  if (!uri) return fail(EINVAL, "Invalid URI specified");
  if (uri->host.empty()) return fail(EINVAL, "missing hostname in URI");
  if (uri->path.empty()) return fail(EINVAL, "missing file path in URI");
  Settings settings{{"server.host", uri->host}, {"server.type", "inet"}, {"path", uri->path}};
  INSTAR_CHECK(read_parameters(uri->query, settings));
  return settings;
}

Result<Place> read_place(const Options& options) {
  Place place;
  INSTAR_CHECK(read_server(options, place));
  if (!options.has("path")) return fail(EINVAL, "Parameter 'path' is missing");
  place.path = options.text("path");
  for (const auto& one : kNumbers)
    place.*one.member = options.number(one.option);
  INSTAR_CHECK(check_server_members(options));
  if (place.path.find('/') == std::string::npos) return fail(EINVAL, "Invalid URL specified");
  return place;
}

Result<Place> read_place(std::string_view filename) {
  INSTAR_TRY(const Settings settings, parse_name(filename));
  std::vector<instar_option> items;
  for (const auto& [name, text] : settings)
    items.push_back(
        {name.c_str(), text.c_str(), number(text).value_or(0), INSTAR_OPTION_STRING, 0});
  return read_place(Options({items.data(), items.size()}));
}

std::string name_of(const Place& place) {
  std::string name = cat("nfs://", place.host, place.path);
  if (place.user != 0) name += cat("?uid=", place.user);
  if (place.group != 0) name += cat(place.user != 0 ? "&" : "?", "gid=", place.group);
  return name;
}

}  // namespace instar::nfs
