// SPDX-License-Identifier: Apache-2.0
/** @file objects_service.cc The service "instar.objects/1". */
#include "core/host/services.hpp"
#include "core/host/session.hpp"
#include "core/objects/objects.hpp"
#include "sdk/cpp/call.hpp"
#include "sdk/cpp/encryption.hpp"
#include "sdk/cpp/interfaces.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::host {

namespace {

using sdk::Call;
using sdk::guard;

int get(const instar_host*, instar_call* abi, const char* type, const char* id,
        const instar_sink* sink) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    INSTAR_TRY(const auto* object,
               objects::Objects::instance().find(type != nullptr ? type : "", id));
    sdk::JsonWriter json;
    json.begin_object().field("qom-type", object->type).field("id", object->id);
    for (const auto& [name, value] : object->properties)
      json.field(name, value);
    json.end_object();
    return sdk::send(sink, json.text());
  }));
}

int get_secret(const instar_host*, instar_call* abi, const char* id,
               const instar_sink* sink) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    INSTAR_TRY(const auto* object, objects::Objects::instance().find("secret", id));
    const auto bytes = object->secret.view();
    if (sink->write(sink->opaque, bytes.data(), bytes.size()) < 0)
      return fail(EIO, "the caller refused the secret");
    return {};
  }));
}

constexpr instar_objects_ops kOps = {sizeof(instar_objects_ops), 0, &get, &get_secret};

}  // namespace

const instar_objects_ops* objects_service() {
  return &kOps;
}

Status decrypt_secret(const std::string& key_id, const std::string& iv_hex,
                      std::span<uint8_t> data) {
  const instar_option options[] = {
      {"key-secret", key_id.c_str(), 0, INSTAR_OPTION_STRING, 0},
      {"iv", iv_hex.c_str(), 0, INSTAR_OPTION_STRING, 0},
  };
  const sdk::Host host(Session::current().registry().core_host());
  INSTAR_TRY(const auto cipher, sdk::Encryption::open(host, Call(nullptr),
                                                      {.scheme = "secret",
                                                       .option_prefix = "",
                                                       .options = {options, std::size(options)}}));
  return cipher.decrypt(0, data);
}

}  // namespace instar::host
