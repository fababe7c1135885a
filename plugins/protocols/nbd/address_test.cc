// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/address.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::nbd {
namespace {

using sdk::testing::OptionList;

std::string parsed(std::string_view name) {
  const auto result = parse_name(name);
  return result ? options_of(*result) : result.error().message;
}

std::string read(const OptionList& options) {
  const auto address = read_address(sdk::Options(options.abi()));
  return address ? name_of(*address, "", false) : address.error().message;
}

TEST(NbdName, IsAUri) {
  EXPECT_EQ(parsed("nbd://h:7/a/b%25c"), R"({"export":"a/b%c","host":"h","port":"7"})");
  EXPECT_EQ(parsed("nbd+tcp://[::1]"), R"({"host":"::1","port":"10809"})");
  EXPECT_EQ(parsed("nbd+unix:///x?socket=/a%20b"), R"({"export":"x","path":"/a b"})");
  EXPECT_EQ(parsed("nbds://h"), R"({"tls":"on","host":"h","port":"10809"})");
}

TEST(NbdName, IsTheOldForm) {
  EXPECT_EQ(parsed("nbd:h:7:exportname=x y"), R"({"export":"x y","host":"h","port":"7"})");
  EXPECT_EQ(parsed("nbd:unix:/a:exportname=x"), R"({"export":"x","path":"/a"})");
  EXPECT_EQ(parsed("nbd:[::1]:7"), R"({"host":"::1","port":"7"})");
  EXPECT_EQ(parsed("nbd:"), "{}");
  EXPECT_EQ(parsed("nbd:h:7:exportname="), "{}");
}

TEST(NbdName, IsRefused) {
  for (const char* name : {"nbd://", "nbd+unix:///x", "nbd+unix://h/x?socket=/a", "nbd://h/x?a=b",
                           "nbd+unix:///x?socket=/a&b=c", "nbd://h/%4", "nbd://h/%00", "nbd://h:x/",
                           "nbd://[::1/", "nbd://[::1]x/", "fish"})
    EXPECT_EQ(parsed(name), "No valid URL specified") << name;
  EXPECT_EQ(parsed("nbd:foo"), "error parsing address 'foo'");
  EXPECT_EQ(parsed("nbd:[::1"), "error parsing address '[::1'");
  EXPECT_EQ(parsed("nbd:h:"), "error parsing address 'h:'");
}

TEST(NbdAddress, IsReadAndNamed) {
  EXPECT_EQ(read(OptionList().text("host", "h")), "nbd://h:10809");
  EXPECT_EQ(read(OptionList().text("path", "/a")), "nbd+unix://?socket=/a");
  OptionList inet;
  inet.text("server.type", "inet").text("server.host", "h").text("server.port", "7");
  EXPECT_EQ(read(inet), "nbd://h:7");
  EXPECT_EQ(read(inet.text("server.ipv4", "on")), "");
  EXPECT_EQ(read(inet.text("server.x", "y")), "Parameter 'x' is unexpected");
  const auto address = read_address(
      sdk::Options(OptionList().text("server.type", "unix").text("server.path", "/a").abi()));
  EXPECT_EQ(name_of(*address, "e", true), "nbds+unix:///e?socket=/a");
}

TEST(NbdAddress, IsRefused) {
  EXPECT_EQ(read({}), "NBD server address missing");
  EXPECT_EQ(read(OptionList().text("port", "1")), "NBD server address missing");
  EXPECT_EQ(read(OptionList().text("path", "/a").text("host", "h")),
            "path and host may not be used at the same time");
  EXPECT_EQ(read(OptionList().text("path", "/a").text("port", "1")),
            "port may not be used without host");
  EXPECT_EQ(read(OptionList().text("path", "/a").text("server.type", "unix")),
            "Cannot use 'server' and path/host/port at the same time");
  EXPECT_EQ(read(OptionList().text("server.host", "h")), "Parameter 'type' is missing");
  EXPECT_EQ(read(OptionList().text("server.type", "inet")), "Parameter 'host' is missing");
  EXPECT_EQ(read(OptionList().text("server.type", "x")),
            "Parameter 'type' does not accept value 'x'");
  EXPECT_EQ(read(OptionList().text("server.type", "fd").text("server.str", "x")),
            "Unable to parse FD number x");
}

}  // namespace
}  // namespace instar::nbd
