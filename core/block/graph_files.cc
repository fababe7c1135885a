// SPDX-License-Identifier: Apache-2.0
// What is done with the files of images through their protocols, and images that are no files yet.
#include "core/block/creating.hpp"
#include "core/block/graph_private.hpp"

namespace instar::block {

using options::BoundOptions;
using sdk::OutgoingCall;

Status Graph::remove(const Call& call, const std::string& filename) {
  INSTAR_TRY(const Driver protocol, private_->find_protocol(filename));
  INSTAR_TRY(const auto loaded, protocol.provider->load<instar_protocol_ops>());
  if (loaded.ops->remove == nullptr) return {};
  OutgoingCall inner(&call);
  return inner.status(
      loaded.ops->remove(loaded.host, inner.abi(), file_of(*private_, protocol, filename).c_str()));
}

Result<std::string> Graph::stage(const std::string& filename, uint32_t flags) {
  INSTAR_TRY(const Driver protocol, private_->find_protocol(filename));
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
  INSTAR_TRY(const auto loaded, protocol.provider->load<instar_protocol_ops>());
  if (loaded.ops->settle == nullptr) return fail(ENOTSUP, errno_text(ENOTSUP));
  OutgoingCall call;
  return call.status(loaded.ops->settle(loaded.host, call.abi(), staged.c_str(),
                                        file_of(*private_, protocol, filename).c_str(), flags));
}

Status Graph::stream(const Call& call, const std::string& format, const std::string& options,
                     const instar_stream_source& source, const instar_content& out) {
  INSTAR_TRY(const Driver driver, private_->find_driver(format));
  const auto refused = [&] {
    return fail(ENOTSUP, "Format driver '", format, "' does not support streams");
  };
  if (driver.kind() != NodeKind::kFormat) return refused();
  INSTAR_TRY(const auto loaded, driver.provider->load<instar_format_ops>());
  const void* found =
      loaded.ops->get_interface != nullptr ? loaded.ops->get_interface(INSTAR_STREAM_ID) : nullptr;
  if (found == nullptr) return refused();
  BoundOptions bound(table_of(driver.provider->info().create_options));
  INSTAR_CHECK(bound.set_all(options));
  INSTAR_CHECK(bound.set("size", std::to_string(source.size)));
  INSTAR_CHECK(bound.check_values());
  const auto items = bound.to_abi();
  const instar_options given{items.data(), items.size()};
  OutgoingCall outgoing(&call);
  return outgoing.status(static_cast<const instar_stream_ops*>(found)->write(
      loaded.host, outgoing.abi(), &given, &source, &out));
}

}  // namespace instar::block
