// SPDX-License-Identifier: Apache-2.0
// What is done with the files of images through their protocols, and images that are no files yet.
#include "core/block/creating.hpp"
#include "core/block/graph_private.hpp"
#include "core/block/upload.hpp"
#include "sdk/abi/graph.h"

namespace instar::block {

using options::BoundOptions;
using sdk::OutgoingCall;

Status Graph::remove(const Call& call, const std::string& filename) {
  const auto made = private_->made.extract(filename);
  Status removed =
      remove_files(*private_, call, made.empty() ? std::vector{filename} : made.mapped());
  if (private_->uploads.erase(filename) != 0) return {};
  return removed;
}

Result<std::string> Graph::stage(const std::string& filename, uint32_t flags) {
  INSTAR_TRY(const Driver protocol, private_->find_protocol(filename));
  if (uploads(protocol) && (flags & INSTAR_SETTLE_NO_REPLACE) == 0) {
    INSTAR_TRY(auto staged, StagedUpload::make());
    std::string name = staged->filename();
    private_->uploads[name] = std::move(staged);
    return name;
  }
  INSTAR_TRY(const auto loaded, protocol.provider->load<instar_protocol_ops>());
  if (loaded.ops->stage == nullptr || loaded.ops->settle == nullptr)
    return fail(ENOTSUP, errno_text(ENOTSUP));
  sdk::StringSink name;
  OutgoingCall call;
  INSTAR_CHECK(call.status(loaded.ops->stage(
      loaded.host, call.abi(), file_of(*private_, protocol, filename).c_str(), flags, name.abi())));
  return std::move(name.text);
}

Status Graph::settle(const std::string& staged, const std::string& filename, uint32_t flags) {
  INSTAR_TRY(const Driver protocol, private_->find_protocol(filename));
  if (const auto found = private_->uploads.find(staged); found != private_->uploads.end()) {
    instar_call messages = private_->users_call();
    INSTAR_CHECK(
        found->second->store(Call(&messages), protocol, file_of(*private_, protocol, filename)));
    private_->uploads.erase(found);
    return {};
  }
  INSTAR_TRY(const auto loaded, protocol.provider->load<instar_protocol_ops>());
  if (loaded.ops->settle == nullptr) return fail(ENOTSUP, errno_text(ENOTSUP));
  OutgoingCall call;
  return call.status(loaded.ops->settle(loaded.host, call.abi(), staged.c_str(),
                                        file_of(*private_, protocol, filename).c_str(), flags));
}

namespace {

/** The format's side of a stream: found and checked before anybody is asked for a byte. */
class Stream {
 public:
  static Result<Stream> open(const Driver& format, std::vector<instar_option> options,
                             const instar_stream_source& source) {
    const auto refused = [&] {
      return fail(ENOTSUP, "Format driver '", format.name(), "' does not support streams");
    };
    if (format.kind() != NodeKind::kFormat) return refused();
    INSTAR_TRY(const auto loaded, format.provider->load<instar_format_ops>());
    const void* found = loaded.ops->get_interface != nullptr
                            ? loaded.ops->get_interface(INSTAR_STREAM_ID)
                            : nullptr;
    if (found == nullptr) return refused();
    return Stream(loaded.host, static_cast<const instar_stream_ops*>(found), std::move(options),
                  source);
  }

  Status write(const Call& call, const instar_content& out) const {
    const instar_options given{options_.data(), options_.size()};
    OutgoingCall outgoing(&call);
    return outgoing.status(ops_->write(host_, outgoing.abi(), &given, &source_, &out));
  }

 private:
  Stream(const instar_host* host, const instar_stream_ops* ops, std::vector<instar_option> options,
         const instar_stream_source& source)
      : host_(host), ops_(ops), options_(std::move(options)), source_(source) {}

  const instar_host* host_;
  const instar_stream_ops* ops_;
  std::vector<instar_option> options_;
  const instar_stream_source& source_;
};

}  // namespace

Status Graph::stream(const Call& call, const StreamSpec& spec, const instar_stream_source& source) {
  INSTAR_TRY(const Driver format, private_->find_driver(spec.format));
  auto table = table_of(format.provider->info().create_options);
  Driver protocol{};
  if (!spec.filename.empty()) {
    INSTAR_TRY(protocol, private_->find_protocol(spec.filename));
    table.append(table_of(protocol.provider->info().create_options));
  }
  BoundOptions bound(std::move(table));
  INSTAR_CHECK(bound.set_all(spec.options));
  INSTAR_CHECK(bound.set("size", std::to_string(source.size)));
  INSTAR_CHECK(bound.check_values());
  auto given = options_of(format, bound);
  if (spec.compress && !format.provider->info().has_flag("compress-stream"))
    return fail(ENOTSUP, "Format driver '", format.name(), "' does not support packed streams");
  if (spec.compress) given.push_back({"compress", "on", 1, INSTAR_OPTION_BOOL, 0});
  INSTAR_TRY(const Stream stream, Stream::open(format, std::move(given), source));
  if (spec.filename.empty()) return stream.write(call, spec.out);
  Upload what;
  what.file = file_of(*private_, protocol, spec.filename);
  what.options = options_of(protocol, bound);
  what.size = source.size;
  what.write = [&](const Call& inner, const instar_content& each) {
    return stream.write(inner, each);
  };
  return upload(call, protocol, what);
}

}  // namespace instar::block
