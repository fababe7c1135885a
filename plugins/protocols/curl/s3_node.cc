// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/s3_node.hpp"

#include "plugins/protocols/curl/s3_store.hpp"
#include "plugins/protocols/curl/s3_upload.hpp"

namespace instar::curl {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

Status prepare() {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(EIO, "libcurl initialization failed");
  return prepare_hashes();
}

}  // namespace

Result<std::unique_ptr<S3Node>> S3Node::open(sdk::OpenContext& context) {
  if (context.writable()) return fail(EROFS, "Objects of S3 are not written in place");
  INSTAR_CHECK(prepare());
  const sdk::Options options = context.options();
  const S3Name name{options.text("bucket"), options.text("key")};
  const auto open = [&](S3Store& store) -> Result<std::unique_ptr<S3Node>> {
    auto node = std::make_unique<S3Node>(std::move(store.settings));
    INSTAR_CHECK(node->connect(context.call()));
    return node;
  };
  return in_its_region(context.host(), options, name, open);
}

Status S3Node::upload(sdk::CreateContext& context, const sdk::UploadSource& source) {
  INSTAR_CHECK(prepare());
  const Call& call = context.call();
  INSTAR_TRY(const S3Name name, parse_s3_name(context.filename()));
  const auto upload = [&](S3Store& store) -> Status {
    INSTAR_TRY(const uint64_t part_size, choose_part_size(source.size(), store.part_size));
    S3Upload object(call, store.settings, part_size);
    INSTAR_CHECK(object.begin());
    Status read = source.read(call, object.receiver());
    INSTAR_CHECK(object.status());  // says more than the errno that went through the source
    INSTAR_CHECK(std::move(read));
    return object.finish();
  };
  return in_its_region(context.host(), context.options(), name, upload);
}

Result<std::string> S3Node::parse_filename(std::string_view filename) {
  INSTAR_TRY(const S3Name name, parse_s3_name(filename));
  sdk::JsonWriter json;
  json.begin_object().field("bucket", name.bucket).field("key", name.key).end_object();
  return json.text();
}

}  // namespace instar::curl
