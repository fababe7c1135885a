// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/iscsi/place.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "sdk/cpp/secret.hpp"

namespace instar::iscsi {

namespace {

using sdk::Call;
using sdk::fail;
using sdk::Host;
using sdk::Options;
using sdk::Result;
using sdk::Status;

/** The name that the genuine tool goes by. */
constexpr const char* kInitiator = "iqn.2008-11.org.linux-kvm";
/** libiscsi has two bytes for it. */
constexpr uint64_t kLastLun = UINT16_MAX;

Status read_credentials(const Host& host, const Call& call, const Options& options, Place& place) {
  if (!options.has("user")) return {};
  const bool secret = options.has("password-secret"), plain = options.has("password");
  if (secret && plain)
    return fail(EINVAL, "'password' and 'password-secret' properties are mutually exclusive");
  if (!secret && !plain) return fail(EINVAL, "CHAP username specified but no password was given");
  place.user = options.text("user");
  if (secret) {
    INSTAR_TRY(place.password, sdk::read_secret(host, options.text("password-secret")));
    return {};
  }
  place.password = options.text("password");
  call.warn("iSCSI block driver 'password' option is deprecated, use 'password-secret' instead");
  return {};
}

Status read_digest(const Options& options, Place& place) {
  struct Digest {
    std::string_view name;
    iscsi_header_digest value;
  };
  constexpr Digest kDigests[] = {{"crc32c", ISCSI_HEADER_DIGEST_CRC32C},
                                 {"none", ISCSI_HEADER_DIGEST_NONE},
                                 {"crc32c-none", ISCSI_HEADER_DIGEST_CRC32C_NONE},
                                 {"none-crc32c", ISCSI_HEADER_DIGEST_NONE_CRC32C}};
  if (!options.has("header-digest")) return {};
  const std::string name = options.text("header-digest");
  const auto* known = std::find_if(std::begin(kDigests), std::end(kDigests),
                                   [&](const Digest& one) { return one.name == name; });
  if (known == std::end(kDigests)) return fail(EINVAL, "Invalid header-digest setting : ", name);
  place.digest = known->value;
  return {};
}

}  // namespace

Result<Settings> parse_name(const std::string& filename) {
  // What is longer libiscsi would cut off.
  iscsi_url* parsed = filename.size() <= MAX_STRING_SIZE
                          ? iscsi_parse_full_url(nullptr, filename.c_str())
                          : nullptr;
  if (parsed == nullptr) return fail(EINVAL, "Failed to parse URL : ", filename);
  const std::unique_ptr<iscsi_url, void (*)(iscsi_url*)> url(parsed, &iscsi_destroy_url);
  Settings settings{{"transport", url->transport == ISER_TRANSPORT ? "iser" : "tcp"},
                    {"portal", url->portal},
                    {"target", url->target},
                    {"lun", std::to_string(url->lun)}};
  if (url->user[0] != '\0') {
    settings.emplace_back("user", url->user);
    settings.emplace_back("password", url->passwd);
  }
  return settings;
}

Result<Place> read_place(const Host& host, const Call& call, const Options& options) {
  for (const char* name : {"transport", "portal", "target"})
    if (!options.has(name)) return fail(EINVAL, "Need all of transport, portal and target options");
  Place place;
  const std::string transport = options.text("transport");
  if (transport == "iser")
    place.transport = ISER_TRANSPORT;
  else if (transport != "tcp")
    return fail(EINVAL, "Unknown transport: ", transport);
  place.portal = options.text("portal");
  place.target = options.text("target");
  place.initiator = options.text("initiator-name", kInitiator);
  if (std::max(place.portal.size(), place.target.size()) > MAX_STRING_SIZE)
    return fail(EINVAL, "iSCSI: Failed to set target name.");
  if (options.number("lun") > kLastLun)
    return fail(EINVAL, "LUN ", options.text("lun"), " is not between 0 and ", kLastLun);
  place.lun = static_cast<int>(options.number("lun"));
  INSTAR_CHECK(read_credentials(host, call, options, place));
  INSTAR_CHECK(read_digest(options, place));
  const uint64_t limit = options.number("timeout", static_cast<uint64_t>(place.limit.count()));
  place.limit = std::chrono::seconds(std::min<uint64_t>(limit, INT32_MAX));
  return place;
}

Result<Place> read_place(const Host& host, const Call& call, const std::string& filename) {
  INSTAR_TRY(const Settings settings, parse_name(filename));
  std::vector<instar_option> items;
  for (const auto& [name, text] : settings)
    items.push_back({name.c_str(), text.c_str(), std::strtoull(text.c_str(), nullptr, 10),
                     INSTAR_OPTION_STRING, 0});
  return read_place(host, call, Options({items.data(), items.size()}));
}

}  // namespace instar::iscsi
