// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/refusal.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace instar::nbd {
namespace {

/** The message, and the hint in brackets. */
std::string told(const Refusal& refusal, std::string_view export_name = "e") {
  Address address;
  address.host = "h";
  address.port = "7";
  const auto error = handshake_error(address, export_name, refusal);
  return error.message + (error.hint.empty() ? "" : " [" + error.hint + "]");
}

TEST(NbdRefusal, IsInQemusWordsWhateverLibnbdsVersion) {
  const std::string denied = "Denied by server for option 7 (go)";
  EXPECT_EQ(told({"handshake: server policy prevents NBD_OPT_GO"}), denied);
  EXPECT_EQ(told({"server policy prevents the operation"}), denied);
  const std::string invalid = "Invalid parameters for option 7 (go)";
  EXPECT_EQ(told({"handshake: server rejected NBD_OPT_GO as invalid: Invalid argument", EINVAL}),
            invalid);
  EXPECT_EQ(told({"the server rejected this operation as invalid: Invalid argument", EINVAL}),
            invalid);
  EXPECT_EQ(told({"handshake: unknown reply from NBD_OPT_GO: 0x8000000a"}),
            "Unknown error code when asking for option 7 (go)");
}

TEST(NbdRefusal, HasTheServersWordsFromEitherPlace) {
  const std::string wanted = "Requested export not available [server reported: Go: Away]";
  EXPECT_EQ(told({"handshake: server has no export named 'e': No such file or directory", ENOENT,
                  "Go: Away"}),
            wanted);
  EXPECT_EQ(
      told({"the server has no export named 'e': Go: Away: No such file or directory", ENOENT}),
      wanted);
  EXPECT_EQ(told({"the server has no export named 'e': No such file or directory", ENOENT}),
            "Requested export not available");
  EXPECT_EQ(told({"handshake: unknown reply from the server: 0x8000004d: Away"}),
            "Unknown error code when asking for option 7 (go) [server reported: Away]");
  EXPECT_EQ(
      told({"the server requires TLS encryption first: Away: Operation not supported", ENOTSUP}),
      "TLS negotiation required before option 7 (go) "
      "[Did you forget a valid tls-creds?\nserver reported: Away]");
}

TEST(NbdRefusal, IsNotMisledByWhatAServerSays) {
  EXPECT_EQ(told({"server policy prevents the operation: the server is shutting down"}),
            "Denied by server for option 7 (go) [server reported: the server is shutting down]");
  EXPECT_EQ(
      told({"the server has no export named 'a: b': No such file or directory", ENOENT}, "a: b"),
      "Requested export not available");
}

TEST(NbdRefusal, KeepsWhatQemuHasNoWordsFor) {
  EXPECT_EQ(told({"handshake: invalid eflags == 0 from server: Invalid argument", EINVAL}),
            "handshake: invalid eflags == 0 from server: Invalid argument");
  EXPECT_EQ(
      told({"connect: h:7: could not connect to remote host: Connection refused", ECONNREFUSED}),
      "Failed to connect to 'h:7': Connection refused");
}

}  // namespace
}  // namespace instar::nbd
