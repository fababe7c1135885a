// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/settings.hpp"

#include <curl/curl.h>

#include "sdk/cpp/secret.hpp"

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

}  // namespace

Result<std::string> read_secret(const Host& host, const Options& options, const char* name) {
  if (!options.has(name)) return std::string();
  return sdk::read_secret(host, options.text(name));
}

Status read_limits(const Options& options, uint64_t timeout, Settings& settings) {
  settings.read_ahead = options.number("readahead", kReadAhead);
  if (settings.read_ahead % 512 != 0)
    return fail(EINVAL, "HTTP_READAHEAD_SIZE ", settings.read_ahead, " is not a multiple of 512");
  if (settings.read_ahead > 1 << 30) return fail(EINVAL, "readahead is too large");
  timeout = options.number("timeout", timeout);
  if (timeout > kLongestTimeout) return fail(EINVAL, "timeout parameter is too large or negative");
  settings.timeout = std::chrono::seconds(timeout);
  settings.verify = options.flag("sslverify", true);
  return {};
}

namespace {

Status read_credentials(const Host& host, const Options& options, Settings& settings) {
  if (options.has("cookie") && options.has("cookie-secret"))
    return fail(EINVAL, "curl driver cannot handle both cookie and cookie secret");
  settings.cookie = options.text("cookie");
  if (options.has("cookie-secret")) {
    INSTAR_TRY(settings.cookie, read_secret(host, options, "cookie-secret"));
  }
  settings.username = options.text("username");
  INSTAR_TRY(settings.password, read_secret(host, options, "password-secret"));
  settings.proxy_username = options.text("proxy-username");
  INSTAR_TRY(settings.proxy_password, read_secret(host, options, "proxy-password-secret"));
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
  INSTAR_CHECK(read_limits(options, kTimeout, settings));
  INSTAR_CHECK(read_credentials(host, options, settings));
  if (!options.has("url")) return fail(EINVAL, "curl block driver requires an 'url' option");
  settings.url = options.text("url");
  if (!settings.url.starts_with(sdk::cat(scheme, "://")))
    return fail(EINVAL, scheme, " curl driver cannot handle the URL '", settings.url,
                "' (does not start with '", scheme, "://')");
  take_from_url(settings);
  bool nameable = settings.verify;
  for (const char* name : {"cookie", "cookie-secret", "username", "password-secret",
                           "proxy-username", "proxy-password-secret"})
    if (options.has(name)) nameable = false;
  if (nameable) settings.name = settings.url;
  return settings;
}

}  // namespace instar::curl
