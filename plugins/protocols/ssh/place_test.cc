// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/place.hpp"

#include <gtest/gtest.h>

namespace instar::ssh {
namespace {

std::string named(std::string_view filename) {
  const auto given = given_by(filename);
  if (!given) return given.error().message;
  const auto place = read_place(*given);
  return place ? name_of(*place, place->user.empty() ? "me" : place->user) : place.error().message;
}

std::string read(const Given& given) {
  const auto place = read_place(given);
  return place ? name_of(*place, "me") : place.error().message;
}

Given server(Given more = {}) {
  more.merge(Given{{"server.host", "h"}, {"server.port", "7"}, {"path", "/p"}});
  return more;
}

TEST(SshName, IsAUri) {
  EXPECT_EQ(named("ssh://h/p"), "ssh://me@h:22/p");
  EXPECT_EQ(named("ssh://u:x@[::1]:2222/a%20b#c"), "ssh://u:x@::1:2222/a b");
  EXPECT_EQ(named("ssh://h:0/p?other=1"), "ssh://me@h:22/p");
  EXPECT_EQ(named("ssh://h/p?host_key_check=no"), "ssh://me@h:22/p?host_key_check=no");
  EXPECT_EQ(named("ssh://h/p?host_key_check"), "ssh://me@h:22/p");
  EXPECT_EQ(named("ssh://h/p?host_key_check=md5%3a12"), "ssh://me@h:22/p?host_key_check=md5:12");
}

TEST(SshName, TellsWhatIsMissing) {
  for (const char* name : {"ssh:x", "ssh:", "ssh://", "ssh:///p"})
    EXPECT_EQ(named(name), "missing hostname in URI") << name;
  EXPECT_EQ(named("ssh://h"), "missing remote path in URI");
  for (const char* name : {"ssh://h:x/p", "ssh://h:65536/p", "ssh://h/%zz"})
    EXPECT_EQ(named(name), "Parameter 'server' is missing") << name;
}

TEST(SshPlace, NeedsItsParts) {
  EXPECT_EQ(read({}), "Parameter 'server' is missing");
  EXPECT_EQ(read({{"port", "7"}}), "port may not be used without host");
  EXPECT_EQ(read({{"host", "h"}}), "Parameter 'path' is missing");
  EXPECT_EQ(read({{"server.host", "h"}}), "Parameter 'server.port' is missing");
  EXPECT_EQ(read({{"server.port", "7"}}), "Parameter 'server.host' is missing");
  EXPECT_EQ(read({{"host", "h"}, {"port", "x"}, {"path", "/p"}}),
            "Parameter 'port' expects a number");
  EXPECT_EQ(read({{"server.host", "h"}, {"server.port", "x"}, {"path", "/p"}}),
            "Use only numeric port value");
  EXPECT_EQ(read(server({{"server.foo", "1"}})), "Parameter 'server.foo' is unexpected");
  EXPECT_EQ(read(server()), "ssh://me@h:7/p");
  EXPECT_EQ(read(server({{"host", "other"}})), "ssh://me@other:22/p");
  EXPECT_EQ(read(server({{"server.ipv4", "on"}})), "");
}

TEST(SshPlace, KnowsHowTheKeyIsChecked) {
  const auto check = [](const std::string& text) {
    return read_place(server({{"host_key_check", text}}));
  };
  EXPECT_EQ(read_place(server())->check.mode, HostKeyCheck::Mode::kKnownHosts);
  EXPECT_EQ(check("no")->check.mode, HostKeyCheck::Mode::kNone);
  EXPECT_EQ(check("yes")->check.mode, HostKeyCheck::Mode::kKnownHosts);
  EXPECT_EQ(check("sha256:ab")->check.type, "sha256");
  EXPECT_EQ(check("sha256:ab")->check.hash, "ab");
  for (const char* text : {"", "none", "md5", "crc:12"})
    EXPECT_EQ(check(text).error().message, sdk::cat("unknown host_key_check setting (", text, ")"));
}

TEST(SshPlace, TakesTheCheckInParts) {
  const auto check = [](Given parts) {
    Given given;
    for (const auto& [name, text] : parts)
      given["host-key-check." + name] = text;
    const auto place = read_place(server(given));
    return place ? place->check.type + place->check.hash : place.error().message;
  };
  EXPECT_EQ(check({{"mode", "none"}}), "");
  EXPECT_EQ(check({{"mode", "hash"}, {"type", "md5"}, {"hash", "12"}}), "md512");
  EXPECT_EQ(check({{"type", "md5"}}), "Parameter 'host-key-check.mode' is missing");
  EXPECT_EQ(check({{"mode", "x"}}), "Parameter 'mode' does not accept value 'x'");
  EXPECT_EQ(check({{"mode", "hash"}}), "Parameter 'host-key-check.type' is missing");
  EXPECT_EQ(check({{"mode", "hash"}, {"type", "md5"}}),
            "Parameter 'host-key-check.hash' is missing");
  EXPECT_EQ(check({{"mode", "hash"}, {"type", "x"}}), "Parameter 'type' does not accept value 'x'");
  EXPECT_EQ(check({{"mode", "none"}, {"type", "md5"}}),
            "Parameter 'host-key-check.type' is unexpected");
}

TEST(SshHash, IsTheSameWithColonsAndCapitals) {
  EXPECT_TRUE(same_hash("0A:b1", "0ab1"));
  EXPECT_TRUE(same_hash("0ab1", "0ab1"));
  for (const char* said : {"", "0ab", "0ab1a", "0ab2", "0a b1"})
    EXPECT_FALSE(same_hash(said, "0ab1")) << said;
}

}  // namespace
}  // namespace instar::ssh
