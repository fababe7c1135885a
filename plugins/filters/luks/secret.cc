// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/secret.hpp"

#include <cstring>

#include "sdk/abi/objects.h"

namespace instar::luks {
namespace {

constexpr size_t kMaxSecret = 1 << 20;

/** A sink that keeps what it gets in memory for keys. */
int collect(void* opaque, const char* data, size_t len) noexcept {
  auto& secret = *static_cast<SecureBytes*>(opaque);
  const size_t before = secret.size();
  if (len > kMaxSecret - before) return -EFBIG;
  try {
    secret.resize(before + len);
  } catch (...) {
    return -ENOMEM;
  }
  std::memcpy(secret.data() + before, data, len);
  return 0;
}

/** The length of the character that `text` begins with; 0: it isn't UTF-8, or a zero. */
size_t character_length(sdk::ConstBytes text) {
  const uint8_t first = text[0];
  if (first < 0x80) return first == 0 ? 0 : 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  uint32_t code = first & (0xffU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((text[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (text[i] & 0x3fU);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool too_long = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  return surrogate || too_long || code > 0x10ffff ? 0 : length;
}

bool is_text(sdk::ConstBytes text) {
  while (!text.empty()) {
    const size_t length = character_length(text);
    if (length == 0) return false;
    text = text.subspan(length);
  }
  return true;
}

}  // namespace

sdk::Result<SecureBytes> read_secret(const sdk::Host& host, const sdk::Call& call,
                                     const std::string& id) {
  const auto* objects = host.service<instar_objects_ops>(INSTAR_OBJECTS_ID);
  if (objects == nullptr || objects->get_secret == nullptr)
    return sdk::fail(ENOTSUP, "the host has no secrets");
  SecureBytes secret;
  const instar_sink sink{&secret, &collect};
  sdk::OutgoingCall out(&call);
  INSTAR_CHECK(out.status(objects->get_secret(host.abi(), out.abi(), id.c_str(), &sink)));
  return secret;
}

sdk::Result<SecureBytes> read_password(const sdk::Host& host, const sdk::Call& call,
                                       const std::string& id) {
  INSTAR_TRY(SecureBytes secret, read_secret(host, call, id));
  if (!is_text(secret.bytes()))
    return sdk::fail(EINVAL, "Data from secret ", id, " is not valid UTF-8");
  return secret;
}

sdk::Result<std::string> key_secret_id(const sdk::EncryptionArgs& args) {
  if (!args.options().has("key-secret"))
    return sdk::fail(EINVAL, "Parameter '", args.shown("key-secret"), "' is required for cipher");
  return args.options().text("key-secret");
}

}  // namespace instar::luks
