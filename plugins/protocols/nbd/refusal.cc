// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/refusal.hpp"

#include <cerrno>
#include <string>
#include <utility>

namespace instar::nbd {

namespace {

using sdk::cat;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;

struct Wording {
  std::string_view words;    ///< libnbd's, in all versions
  std::string_view message;  ///< QEMU's
};

constexpr std::string_view kNoExport = "server has no export named '";
constexpr std::string_view kWantsTls = "server requires TLS encryption first";
constexpr Wording kWordings[] = {
    {kNoExport, "Requested export not available"},
    {kWantsTls, "TLS negotiation required before option 7 (go)"},
    {"server refused TLS", "Denied by server for option 5 (starttls)"},
    {"server policy prevents ", "Denied by server for option 7 (go)"},
    {"not supported by the server platform", "Server lacks support for option 7 (go)"},
    {"server rejected ", "Invalid parameters for option 7 (go)"},
    {"server is shutting down", "Server shutting down before option 7 (go)"},
    {"server requires specific block sizes", "Server requires INFO_BLOCK_SIZE for option 7 (go)"},
    {"operation is too large to process", "Unknown error code when asking for option 7 (go)"},
    {"unknown reply from the server: 0x", "Unknown error code when asking for option 7 (go)"},
    {"unknown reply from NBD_OPT_GO: 0x", "Unknown error code when asking for option 7 (go)"},
};

/** libnbd's words and where they begin, or null. The first count: a name or the server's words follow. */
std::pair<const Wording*, size_t> find_wording(std::string_view text) {
  std::pair<const Wording*, size_t> found(nullptr, text.npos);
  for (const auto& wording : kWordings)
    if (const size_t at = text.find(wording.words); at < found.second) found = {&wording, at};
  return found;
}

/** The text without the errno's at its end. */
std::string_view without_code(std::string_view text, int code) {
  const std::string tail = cat(": ", errno_text(code));
  if (code != 0 && text.ends_with(tail)) text.remove_suffix(tail.size());
  return text;
}

/** What comes after ": ", from there on. */
std::string_view after_colon(std::string_view text, size_t from) {
  const size_t colon = text.find(": ", from);
  return colon != text.npos ? text.substr(colon + 2) : std::string_view();
}

}  // namespace

Error handshake_error(const Address& address, std::string_view export_name,
                      const Refusal& refusal) {
  const std::string_view text = refusal.text;
  if (text.starts_with("connect: "))
    return fail(refusal.code, "Failed to connect to '", address.text(),
                "': ", errno_text(refusal.code));
  const int code = refusal.code != 0 ? refusal.code : EINVAL;
  if (text.starts_with("gnutls_handshake: "))
    return fail(code, "TLS handshake failed: ",
                text.substr(0, text.rfind(" (")).substr(text.find(' ') + 1));
  const auto [wording, at] = find_wording(text);
  Error error{code, std::string(wording != nullptr ? wording->message : text), {}};
  std::string_view server = refusal.server_message;
  if (server.empty() && wording != nullptr)
    server = after_colon(
        without_code(text, refusal.code),
        at + wording->words.size() + (wording->words == kNoExport ? export_name.size() : 0));
  if (wording != nullptr && wording->words == kWantsTls) {
    error.code = EINVAL;
    error.hint = "Did you forget a valid tls-creds?";
  }
  if (!server.empty())
    error.hint += cat(error.hint.empty() ? "" : "\n", "server reported: ", server);
  return error;
}

}  // namespace instar::nbd
