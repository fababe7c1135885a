// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/s3_store.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "plugins/protocols/curl/s3_reply.hpp"

namespace instar::curl {

namespace {

using sdk::cat;
using sdk::fail;
using sdk::Host;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr uint64_t kTimeout = 10;
constexpr uint64_t kLeastPart = 5 << 20, kLargestPart = uint64_t{5} << 30;
constexpr std::string_view kHome = "us-east-1";

bool only_has(std::string_view text, std::string_view more) {
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
          more.find(c) != more.npos))
      return false;
  return true;
}

Status check_name(const S3Name& name) {
  if (name.bucket.empty() || !only_has(name.bucket, "-._") || name.bucket.starts_with('.'))
    return fail(EINVAL, "'", name.bucket, "' is no name of a bucket");
  if (name.key.empty()) return fail(EINVAL, "The key of the object is missing");
  return {};
}

/** The option, else the first of the variables that is there. */
std::string said(const Options& options, const char* option,
                 std::initializer_list<const char*> variables) {
  if (options.has(option)) return options.text(option);
  for (const char* variable : variables)
    if (const char* text = ::secure_getenv(variable); text != nullptr && *text != '\0') return text;
  return {};
}

Result<Credentials> read_credentials(const Host& host, const Options& options) {
  Credentials out;
  const bool given = options.has("access-key");
  if (given != options.has("key-secret"))
    return fail(EINVAL, "access-key and key-secret are of use together only");
  if (options.has("token-secret") && !given)
    return fail(EINVAL, "token-secret is of no use without access-key");
  if (!given) {
    out.access_key = said(options, "access-key", {"AWS_ACCESS_KEY_ID"});
    out.secret_key = said(options, "key-secret", {"AWS_SECRET_ACCESS_KEY"});
    out.token = said(options, "token-secret", {"AWS_SESSION_TOKEN"});
    if (out.access_key.empty() != out.secret_key.empty())
      return fail(EINVAL, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of use together only");
  } else {
    out.access_key = options.text("access-key");
    INSTAR_TRY(out.secret_key, read_secret(host, options, "key-secret"));
    INSTAR_TRY(out.token, read_secret(host, options, "token-secret"));
  }
  for (auto* text : {&out.access_key, &out.secret_key, &out.token}) {
    while (text->ends_with('\n') || text->ends_with('\r'))  // of a file
      text->pop_back();
    if (std::any_of(text->begin(), text->end(), [](unsigned char c) { return c < 0x20; }))
      return fail(EINVAL, "A credential has a character that can't be in one");
  }
  return out;
}

/** "SCHEME://HOST[:PORT][/PATH]", without a slash at its end. */
Result<std::string> read_endpoint(const Options& options, const std::string& region) {
  std::string endpoint = said(options, "endpoint", {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  if (endpoint.empty())
    return cat("https://s3.", region, ".amazonaws.com", region.starts_with("cn-") ? ".cn" : "");
  if (endpoint.find("://") == endpoint.npos) endpoint = cat("https://", endpoint);
  const size_t host = endpoint.find("://") + 3;
  while (endpoint.size() > host && endpoint.ends_with('/'))
    endpoint.pop_back();
  const bool known = endpoint.starts_with("http://") || endpoint.starts_with("https://");
  if (!known || endpoint.size() == host || !only_has(endpoint.substr(host), "-._~:/[]%"))
    return fail(EINVAL, "The endpoint '", endpoint, "' is no URL of a server");
  return endpoint;
}

/** What decides where the object is, or who asks for it, and is no part of its name. */
bool told_by_options(const Options& options) {
  for (const char* name :
       {"endpoint", "region", "access-key", "key-secret", "token-secret", "sslverify"})
    if (options.has(name)) return true;
  return false;
}

std::string now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  char text[32];
  ::gmtime_r(&seconds, &parts);
  return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

}  // namespace

Result<S3Name> parse_s3_name(std::string_view filename) {
  constexpr std::string_view kScheme = "s3://";
  if (!filename.starts_with(kScheme))
    return fail(EINVAL, "Invalid S3 name '", filename, "': it is s3://BUCKET/KEY");
  filename.remove_prefix(kScheme.size());
  const size_t slash = filename.find('/');
  S3Name name{std::string(filename.substr(0, slash)),
              std::string(slash == filename.npos ? "" : filename.substr(slash + 1))};
  INSTAR_CHECK(check_name(name));
  return name;
}

std::vector<std::string> S3Dialect::headers(const Request& request) const {
  if (credentials_.access_key.empty()) return {};
  const std::string_view url = request.url;
  const size_t host = url.find("://") + 3;
  const size_t path = std::min(url.find('/', host), url.size());
  const size_t query = std::min(url.find('?', path), url.size());
  ToSign to_sign;
  to_sign.method = !request.method.empty() ? request.method : request.head ? "HEAD" : "GET";
  to_sign.path = url.substr(path, query - path);
  to_sign.query = url.substr(std::min(query + 1, url.size()));
  to_sign.payload_hash = hash_of(request.body.value_or(sdk::ConstBytes()));
  const std::string time = now();
  to_sign.headers = {{"host", std::string(url.substr(host, path - host))},
                     {"x-amz-content-sha256", to_sign.payload_hash},
                     {"x-amz-date", time}};
  if (!credentials_.token.empty()) to_sign.headers["x-amz-security-token"] = credentials_.token;
  std::vector<std::string> out;
  for (const auto& [name, value] : to_sign.headers)
    out.push_back(cat(name, ": ", value));
  out.push_back(cat("Authorization: ", authorization(credentials_, region_, time, to_sign)));
  return out;
}

std::string S3Dialect::explain(const Reply& reply, std::string_view body) const {
  std::string region = reply.region;
  if (region.empty()) region = xml_text(body, "Region").value_or("");
  if (!region.empty() && region != region_ && only_has(region, "-")) {
    const std::lock_guard lock(mutex_);
    other_region_ = region;
  }
  return describe_refusal(reply.code, body);
}

std::string S3Dialect::other_region() const {
  const std::lock_guard lock(mutex_);
  return other_region_;
}

Result<S3Store> find_store(const Host& host, const Options& options, const S3Name& name,
                           const std::string& wanted_region) {
  INSTAR_CHECK(check_name(name));
  S3Store store;
  INSTAR_CHECK(read_limits(options, kTimeout, store.settings));
  store.part_size = options.number("part-size");
  if (store.part_size != 0 && (store.part_size < kLeastPart || store.part_size > kLargestPart))
    return fail(EINVAL, "part-size must be between 5 MiB and 5 GiB");
  std::string region = wanted_region;
  if (region.empty()) region = said(options, "region", {"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (region.empty()) region = kHome;
  if (!only_has(region, "-_")) return fail(EINVAL, "'", region, "' is no name of a region");
  INSTAR_TRY(Credentials credentials, read_credentials(host, options));
  INSTAR_TRY(const std::string endpoint, read_endpoint(options, region));
  store.dialect = std::make_shared<S3Dialect>(std::move(credentials), region);
  store.settings.dialect = store.dialect;
  store.settings.url = cat(endpoint, "/", name.bucket, "/", percent_encoded(name.key, "/"));
  if (!told_by_options(options)) store.settings.name = cat("s3://", name.bucket, "/", name.key);
  return store;
}

}  // namespace instar::curl
