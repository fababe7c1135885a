// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/curl_node.hpp"

#include <algorithm>

#include "plugins/protocols/curl/s3_node.hpp"
#include "sdk/cpp/one_piece.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::curl {

using sdk::Bytes;
using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

Status CurlNode::connect(const Call& call) {
  INSTAR_CHECK(remote_.open(call));
  const uint64_t block = remote_.settings().read_ahead;
  if (block > 0)
    ahead_.emplace(block, remote_.size(), [this](const Call& inner, uint64_t offset, Bytes to) {
      return remote_.read(inner, offset, to);
    });
  return {};
}

/** Small reads bring in what stands around them; large ones go straight to their place. */
Status CurlNode::read_bytes(const Call& call, uint64_t offset, Bytes to) {
  const bool small = ahead_ && to.size() < remote_.settings().read_ahead;
  return small ? ahead_->read(call, offset, to) : remote_.read(call, offset, to);
}

Status CurlNode::read(const Call& call, uint64_t offset, IoVec to) {
  const uint64_t length = to.length();
  const uint64_t inside = offset < size() ? std::min(length, size() - offset) : 0;
  to.fill_zero(inside, length - inside);
  if (inside == 0) return {};
  return sdk::in_one_piece(to, inside,
                           [&](Bytes bytes) { return read_bytes(call, offset, bytes); });
}

Result<std::string> CurlNode::parse_filename(std::string_view filename) {
  sdk::JsonWriter json;
  json.begin_object().field("url", filename).end_object();
  return json.text();
}

namespace {

constexpr const char* name_of(Scheme scheme) {
  constexpr const char* kNames[] = {"http", "https", "ftp", "ftps"};
  return kNames[static_cast<size_t>(scheme)];
}

}  // namespace

template <Scheme scheme>
Result<std::unique_ptr<Driver<scheme>>> Driver<scheme>::open(sdk::OpenContext& context) {
  if (context.writable()) return fail(EROFS, "curl driver does not support writes");
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(EIO, "libcurl initialization failed");
  INSTAR_TRY(Settings settings, read_settings(context.host(), context.options(), name_of(scheme)));
  auto node = std::make_unique<Driver>(std::move(settings));
  INSTAR_CHECK(node->connect(context.call()));
  return node;
}

template struct Driver<Scheme::kHttp>;
template struct Driver<Scheme::kHttps>;
template struct Driver<Scheme::kFtp>;
template struct Driver<Scheme::kFtps>;

}  // namespace instar::curl

namespace instar::curl {
namespace {
template <Scheme scheme>
instar_provide provide(const char* name) {
  return sdk::protocol<Driver<scheme>>(name);
}
}  // namespace
}  // namespace instar::curl

using instar::curl::provide;
using instar::curl::Scheme;
INSTAR_PLUGIN("curl", "1.0.0", provide<Scheme::kHttp>("http"), provide<Scheme::kHttps>("https"),
              provide<Scheme::kFtp>("ftp"), provide<Scheme::kFtps>("ftps"),
              instar::sdk::protocol<instar::curl::S3Node>("s3"))
