// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/uri.hpp"

#include <gtest/gtest.h>

namespace instar::sdk {
namespace {

std::string shown(std::string_view rest) {
  const auto uri = parse_uri(rest);
  if (!uri) return "none";
  return uri->user + "|" + uri->host + "|" + uri->port + "|" + uri->path + "|" + uri->query;
}

std::string parameters(std::string_view query) {
  const auto list = query_parameters(query);
  if (!list) return "none";
  std::string out;
  for (const auto& one : *list)
    out += one.name + "=" + one.value.value_or("(none)") + ";";
  return out;
}

TEST(Uri, HasItsParts) {
  EXPECT_EQ(shown("u@h:7/a%20b?q=%31#f"), "u|h|7|/a b|q=%31");
  EXPECT_EQ(shown("a:b@[::1]:22"), "a:b|::1|22||");
  EXPECT_EQ(shown("[::1]/x"), "|::1||/x|");
  EXPECT_EQ(shown("h:/"), "|h||/|");
  EXPECT_EQ(shown(""), "||||");
  EXPECT_EQ(shown("?a"), "||||a");
}

TEST(Uri, IsNoneWithWhatCantBeDecoded) {
  for (const char* rest : {"h:x/y", "h/a%zz", "h/%", "h/%00", "[::1", "[::1]x", "%g@h/"})
    EXPECT_EQ(shown(rest), "none") << rest;
}

TEST(Uri, HasParameters) {
  EXPECT_EQ(parameters("a=1&b&&c=&a=%3a=2"), "a=1;b=(none);c=;a=:=2;");
  EXPECT_EQ(parameters(""), "");
  EXPECT_EQ(parameters("a=%4"), "none");
}

}  // namespace
}  // namespace instar::sdk
