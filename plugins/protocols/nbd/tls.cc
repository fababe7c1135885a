// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/tls.hpp"

#include <unistd.h>

#include <cstdlib>

#include "sdk/abi/objects.h"
#include "sdk/cpp/json_reader.hpp"

namespace instar::nbd {

namespace {

using sdk::cat;
using sdk::Error;
using sdk::fail;
using sdk::Host;
using sdk::JsonObject;
using sdk::Result;
using sdk::Status;

constexpr const char* kAuthorities = "/ca-cert.pem";

bool readable(const std::string& path) {
  return ::access(path.c_str(), R_OK) == 0;
}

bool is_on(const JsonObject& object, const char* name, bool fallback) {
  const auto text = object.string(name);
  return text ? *text == "on" || *text == "yes" || *text == "true" || *text == "y" : fallback;
}

Result<std::string> find_object(const Host& host, const std::string& id) {
  sdk::StringSink properties;
  int found = -ENOENT;
  if (const auto* objects = host.service<instar_objects_ops>(INSTAR_OBJECTS_ID)) {
    sdk::OutgoingCall call;
    found = objects->get(host.abi(), call.abi(), nullptr, id.c_str(), properties.abi());
  }
  if (found < 0) return fail(ENOENT, "No TLS credentials with id '", id, "'");
  return properties.text;
}

Result<Tls> read_object(const JsonObject& object, const std::string& id) {
  const std::string type = object.string("qom-type").value_or("");
  if (!type.starts_with("tls-creds-"))
    return fail(EINVAL, "Object with id '", id, "' is not TLS credentials");
  if (object.string("endpoint").value_or("client") != "client")
    return fail(EINVAL, "Expecting TLS credentials with a client endpoint");
  for (const char* property : {"priority", "passwordid"})
    if (object.string(property))
      return fail(ENOTSUP, "TLS credentials with '", property, "' are not supported");
  Tls tls;
  tls.folder = object.string("dir").value_or("");
  tls.username = object.string("username").value_or("qemu");
  tls.verify = is_on(object, "verify-peer", true);
  if (type == "tls-creds-x509")
    tls.kind = Tls::Kind::kX509;
  else if (type == "tls-creds-psk")
    tls.kind = Tls::Kind::kPsk;
  else
    return fail(ENOTSUP, "TLS credentials of type '", type, "' are not supported");
  return tls;
}

/** Where certificates stand when nobody says where. */
Result<Tls> default_certificates() {
  const char* home = std::getenv("HOME");
  Tls tls;
  tls.kind = Tls::Kind::kX509;
  for (const std::string& folder :
       {cat(home != nullptr ? home : "", "/.pki/libnbd"),
        cat(home != nullptr ? home : "", "/.config/pki/libnbd"), std::string("/etc/pki/libnbd")}) {
    tls.folder = folder;
    if (readable(folder + kAuthorities)) return tls;
  }
  return Error{ENOENT, "No certificates of authorities to check the server's with",
               "Give tls-creds, or put ca-cert.pem into $HOME/.pki/libnbd or /etc/pki/libnbd."};
}

/** The name on the certificate can be checked only where the library knows what it should be. */
Status check_hostname(const Tls& tls, const Address& address) {
#ifndef LIBNBD_HAVE_NBD_SET_TLS_HOSTNAME
  const std::string_view connected =
      address.kind == Address::Kind::kTcp ? std::string_view(address.host) : "";
  if (connected.empty())
    return fail(ENOTSUP,
                "The server's certificate can't be checked over a socket that has no host name");
  if (!tls.hostname.empty() && tls.hostname != connected)
    return fail(ENOTSUP, "tls-hostname '", tls.hostname,
                "' needs a libnbd that can check another name than the host's");
#else
  if (address.kind != Address::Kind::kTcp && tls.hostname.empty())
    return fail(EINVAL,
                "The server's certificate can't be checked without tls-hostname over this socket");
#endif
  return {};
}

Error library_error(const char* what) {
  return fail(EINVAL, what, ": ", nbd_get_error());
}

}  // namespace

Result<Tls> read_tls(const Host& host, const TlsWish& wish, const Address& address) {
  Tls tls;
  if (!wish.credentials.empty()) {
    INSTAR_TRY(const std::string properties, find_object(host, wish.credentials));
    INSTAR_TRY(tls, read_object(JsonObject(properties), wish.credentials));
  } else if (wish.required) {
    INSTAR_TRY(tls, default_certificates());
  }
  if (tls.kind != Tls::Kind::kX509) return tls;
  tls.hostname = wish.hostname;
  if (!tls.verify) return tls;
  if (!readable(tls.folder + kAuthorities))
    return fail(errno, "Unable to access credentials ", tls.folder, kAuthorities, ": ",
                sdk::errno_text(errno));
  INSTAR_CHECK(check_hostname(tls, address));
  return tls;
}

Status apply_tls(nbd_handle* handle, const Tls& tls) {
  if (tls.kind == Tls::Kind::kNone) return {};
  if (nbd_set_tls(handle, LIBNBD_TLS_REQUIRE) < 0) return library_error("TLS");
  if (tls.kind == Tls::Kind::kPsk) {
    if (nbd_set_tls_psk_file(handle, (tls.folder + "/keys.psk").c_str()) < 0 ||
        nbd_set_tls_username(handle, tls.username.c_str()) < 0)
      return library_error("TLS");
    return {};
  }
  if (nbd_set_tls_certificates(handle, tls.folder.c_str()) < 0 ||
      nbd_set_tls_verify_peer(handle, tls.verify) < 0)
    return library_error("TLS");
#ifdef LIBNBD_HAVE_NBD_SET_TLS_HOSTNAME
  if (!tls.hostname.empty() && nbd_set_tls_hostname(handle, tls.hostname.c_str()) < 0)
    return library_error("TLS");
#endif
  return {};
}

}  // namespace instar::nbd
