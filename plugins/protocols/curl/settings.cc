// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/settings.hpp"

#include <curl/curl.h>

#include "sdk/abi/objects.h"

namespace instar::curl {

namespace {

using sdk::fail;
using sdk::Host;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr uint64_t kReadAhead = 256 << 10;
constexpr uint64_t kTimeout = 5;
constexpr uint64_t kLongestTimeout = 10'000;

/** The secret that an option names; "" without the option. */
Result<std::string> secret(const Host& host, const Options& options, const char* name) {
  if (!options.has(name)) return std::string();
  const std::string id = options.text(name);
  const auto* objects = host.service<instar_objects_ops>(INSTAR_OBJECTS_ID);
  if (objects == nullptr) return fail(ENOENT, "No secret with id '", id, "'");
  sdk::OutgoingCall call;
  sdk::StringSink bytes;
  const int result = objects->get_secret(host.abi(), call.abi(), id.c_str(), bytes.abi());
  if (result < 0) return call.error(result);
  return bytes.text;
}

Status read_credentials(const Host& host, const Options& options, Settings& settings) {
  if (options.has("cookie") && options.has("cookie-secret"))
    return fail(EINVAL, "curl driver cannot handle both cookie and cookie secret");
  settings.cookie = options.text("cookie");
  if (options.has("cookie-secret")) {
    INSTAR_TRY(settings.cookie, secret(host, options, "cookie-secret"));
  }
  settings.username = options.text("username");
  INSTAR_TRY(settings.password, secret(host, options, "password-secret"));
  settings.proxy_username = options.text("proxy-username");
  INSTAR_TRY(settings.proxy_password, secret(host, options, "proxy-password-secret"));
  return {};
}

/** "USER:PASSWORD@" in the URL, which redirects leave behind. */
void take_from_url(Settings& settings) {
  CURLU* parts = curl_url();
  if (parts == nullptr) return;
  const auto take = [&](CURLUPart part, std::string& out) {
    char* text = nullptr;
    if (out.empty() && curl_url_get(parts, part, &text, CURLU_URLDECODE) == CURLUE_OK) out = text;
    curl_free(text);
  };
  if (curl_url_set(parts, CURLUPART_URL, settings.url.c_str(), 0) == CURLUE_OK) {
    take(CURLUPART_USER, settings.username);
    take(CURLUPART_PASSWORD, settings.password);
  }
  curl_url_cleanup(parts);
}

}  // namespace

Result<Settings> read_settings(const Host& host, const Options& options, std::string_view scheme) {
  Settings settings;
  settings.read_ahead = options.number("readahead", kReadAhead);
  if (settings.read_ahead % 512 != 0)
    return fail(EINVAL, "HTTP_READAHEAD_SIZE ", settings.read_ahead, " is not a multiple of 512");
  if (settings.read_ahead > 1 << 30) return fail(EINVAL, "readahead is too large");
  const uint64_t timeout = options.number("timeout", kTimeout);
  if (timeout > kLongestTimeout) return fail(EINVAL, "timeout parameter is too large or negative");
  settings.timeout = std::chrono::seconds(timeout);
  settings.verify = options.flag("sslverify", true);
  INSTAR_CHECK(read_credentials(host, options, settings));
  if (!options.has("url")) return fail(EINVAL, "curl block driver requires an 'url' option");
  settings.url = options.text("url");
  if (!settings.url.starts_with(sdk::cat(scheme, "://")))
    return fail(EINVAL, scheme, " curl driver cannot handle the URL '", settings.url,
                "' (does not start with '", scheme, "://')");
  take_from_url(settings);
  settings.nameable = settings.verify;
  for (const char* name : {"cookie", "cookie-secret", "username", "password-secret",
                           "proxy-username", "proxy-password-secret"})
    if (options.has(name)) settings.nameable = false;
  return settings;
}

}  // namespace instar::curl
