// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/settings.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::curl {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::OptionList;

class CurlSettings : public testing::Test {
 protected:
  auto read(const OptionList& options, const char* scheme = "http") {
    return read_settings(sdk::Host(host_.abi()), sdk::Options(options.abi()), scheme);
  }
  std::string error(const OptionList& options) {
    const auto settings = read(options);
    return settings ? "" : settings.error().message;
  }
  FakeHost host_;
};

TEST_F(CurlSettings, HaveDefaults) {
  const auto settings = read(OptionList().text("url", "http://h/x"));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->read_ahead, 256u << 10);
  EXPECT_EQ(settings->timeout, std::chrono::seconds(5));
  EXPECT_TRUE(settings->verify);
  EXPECT_EQ(settings->name, settings->url);
}

TEST_F(CurlSettings, TakeSecrets) {
  host_.secrets["p"] = "pass";
  host_.secrets["c"] = "k=v";
  const auto settings = read(OptionList()
                                 .text("url", "http://h/x")
                                 .text("username", "u")
                                 .text("password-secret", "p")
                                 .text("cookie-secret", "c"));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->password, "pass");
  EXPECT_EQ(settings->cookie, "k=v");
  EXPECT_EQ(settings->name, "");
}

TEST_F(CurlSettings, TakeCredentialsOutOfTheUrl) {
  const auto settings = read(OptionList().text("url", "http://u:p%40ss@h/x"));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->username, "u");
  EXPECT_EQ(settings->password, "p@ss");
  EXPECT_EQ(settings->name, settings->url);
}

TEST_F(CurlSettings, AreRefused) {
  OptionList url;
  url.text("url", "http://h/x");
  EXPECT_EQ(error({}), "curl block driver requires an 'url' option");
  EXPECT_EQ(error(OptionList().text("url", "https://h/x")),
            "http curl driver cannot handle the URL 'https://h/x' (does not start with 'http://')");
  EXPECT_EQ(error(OptionList(url).number("readahead", 1000)),
            "HTTP_READAHEAD_SIZE 1000 is not a multiple of 512");
  EXPECT_EQ(error(OptionList(url).number("timeout", 10'001, INSTAR_OPTION_NUMBER)),
            "timeout parameter is too large or negative");
  EXPECT_EQ(error(OptionList(url).text("cookie", "a").text("cookie-secret", "b")),
            "curl driver cannot handle both cookie and cookie secret");
  EXPECT_EQ(error(OptionList(url).text("password-secret", "none")), "No secret with id 'none'");
}

}  // namespace
}  // namespace instar::curl
