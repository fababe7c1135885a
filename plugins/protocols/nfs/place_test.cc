// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nfs/place.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::nfs {
namespace {

using sdk::testing::OptionList;

std::string named(std::string_view filename) {
  const auto place = read_place(filename);
  return place ? name_of(*place) : place.error().message;
}

std::string read(const OptionList& options) {
  const auto place = read_place(sdk::Options(options.abi()));
  return place ? name_of(*place) : place.error().message;
}

OptionList server() {
  return OptionList().text("server.type", "inet").text("server.host", "h");
}

TEST(NfsName, IsAUri) {
  EXPECT_EQ(named("nfs://h/e/f"), "nfs://h/e/f");
  EXPECT_EQ(named("nfs://u@h:2049/e/a%20b#x"), "nfs://h/e/a b");
  EXPECT_EQ(named("nfs://h/e/f?uid=0&gid=7"), "nfs://h/e/f?gid=7");
  EXPECT_EQ(named("nfs://h/e/f?uid=5&gid=7&debug=1&uid"), "nfs://h/e/f?uid=5&gid=7");
}

TEST(NfsName, TellsWhatIsWrong) {
  for (const char* name : {"nfs:x", "nfs://", "nfs:///x"})
    EXPECT_EQ(named(name), "missing hostname in URI") << name;
  EXPECT_EQ(named("nfs://h"), "missing file path in URI");
  for (const char* name : {"nfs://h:x/y", "nfs://h/%zz"})
    EXPECT_EQ(named(name), "Invalid URI specified") << name;
  EXPECT_EQ(named("nfs://h/x?foo=1"), "Unknown NFS parameter name: foo");
  for (const char* value : {"", "x", "-1", "1x", "99999999999999999999"})
    EXPECT_EQ(named(sdk::cat("nfs://h/x?uid=", value)), "Invalid value for NFS parameter: uid");
}

TEST(NfsName, GivesOptions) {
  const auto settings =
      parse_name("nfs://h/e/f?tcp-syncnt=1&readahead=2&pagecache=3&debug=4&uid=5&gid=6");
  ASSERT_TRUE(settings);
  const Settings wanted = {
      {"server.host", "h"},   {"server.type", "inet"}, {"path", "/e/f"},
      {"tcp-syn-count", "1"}, {"readahead-size", "2"}, {"page-cache-size", "3"},
      {"debug", "4"},         {"user", "5"},           {"group", "6"}};
  EXPECT_EQ(*settings, wanted);
}

TEST(NfsPlace, NeedsItsParts) {
  EXPECT_EQ(read({}), "Parameter 'server' is missing");
  EXPECT_EQ(read(OptionList().text("path", "/x")), "Parameter 'server' is missing");
  EXPECT_EQ(read(OptionList().text("server.host", "h")), "Parameter 'server.type' is missing");
  EXPECT_EQ(read(OptionList().text("server.type", "unix")),
            "Parameter 'type' does not accept value 'unix'");
  EXPECT_EQ(read(OptionList().text("server.type", "inet")), "Parameter 'server.host' is missing");
  EXPECT_EQ(read(server()), "Parameter 'path' is missing");
  EXPECT_EQ(read(server().text("path", "/x").text("server.port", "1")),
            "Parameter 'server.port' is unexpected");
  EXPECT_EQ(read(server().text("path", "x")), "Invalid URL specified");
}

TEST(NfsPlace, HasAFolderAndAFile) {
  const auto place = read_place(
      sdk::Options(server().text("path", "/a/b/c").number("user", 3, INSTAR_OPTION_NUMBER).abi()));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->folder(), "/a/b");
  EXPECT_EQ(place->file(), "/c");
  EXPECT_EQ(place->user, 3u);
}

}  // namespace
}  // namespace instar::nfs
