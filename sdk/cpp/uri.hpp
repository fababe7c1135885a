// SPDX-License-Identifier: Apache-2.0
/** @file uri.hpp Names that are URIs (RFC 3986), as far as protocols have them: no references, no
 * dot segments. */
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace instar::sdk {

namespace detail {
inline int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace detail

/** Nothing where a percent sign stands before something else than two digits, or for a NUL. */
inline std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? detail::hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? detail::hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

/** Decoded, but for the query. What is not there is "". */
struct Uri {
  std::string user;  ///< all that stands before the "@"
  std::string host;  ///< without an IPv6 address's brackets
  std::string port;  ///< digits
  std::string path;  ///< with the slash that it begins with
  std::string query;
};

/** @param rest what stands behind "SCHEME://". Nothing if it is no URI. */
inline std::optional<Uri> parse_uri(std::string_view rest) {
  Uri uri;
  rest = rest.substr(0, rest.find('#'));
  if (const size_t query = rest.find('?'); query != rest.npos) {
    uri.query = rest.substr(query + 1);
    rest = rest.substr(0, query);
  }
  const size_t slash = rest.find('/');
  auto place = rest.substr(0, slash);
  const auto path = percent_decoded(slash != rest.npos ? rest.substr(slash) : "");
  const size_t at = place.rfind('@');
  const auto user = percent_decoded(place.substr(0, at != place.npos ? at : 0));
  if (!path || !user) return std::nullopt;
  uri.path = *path;
  uri.user = *user;
  if (at != place.npos) place = place.substr(at + 1);
  size_t colon = place.rfind(':');
  if (place.starts_with('[')) {
    const size_t end = place.find(']');
    if (end == place.npos) return std::nullopt;
    uri.host = place.substr(1, end - 1);
    colon = place.size() > end + 1 ? end + 1 : place.npos;
    if (colon != place.npos && place[colon] != ':') return std::nullopt;
  } else {
    const auto host = percent_decoded(place.substr(0, colon));
    if (!host) return std::nullopt;
    uri.host = *host;
  }
  if (colon != place.npos) uri.port = place.substr(colon + 1);
  if (uri.port.find_first_not_of("0123456789") != uri.port.npos) return std::nullopt;
  return uri;
}

/** A parameter of a query. */
struct UriParameter {
  std::string name;
  std::optional<std::string> value;  ///< none without "="
};

/** "a=1&b=2" in order, decoded. Nothing where that can't be done. */
inline std::optional<std::vector<UriParameter>> query_parameters(std::string_view query) {
  std::vector<UriParameter> out;
  while (!query.empty()) {
    const auto one = query.substr(0, query.find('&'));
    query = one.size() < query.size() ? query.substr(one.size() + 1) : "";
    if (one.empty()) continue;
    const size_t equals = one.find('=');
    const auto name = percent_decoded(one.substr(0, equals));
    if (!name) return std::nullopt;
    UriParameter parameter{*name, std::nullopt};
    if (equals != one.npos) {
      parameter.value = percent_decoded(one.substr(equals + 1));
      if (!parameter.value) return std::nullopt;
    }
    out.push_back(std::move(parameter));
  }
  return out;
}

}  // namespace instar::sdk
