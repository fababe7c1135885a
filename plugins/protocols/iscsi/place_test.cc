// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/iscsi/place.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::iscsi {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;

Settings parsed(const std::string& name) {
  const auto settings = parse_name(name);
  return settings ? *settings : Settings{{"error", settings.error().message}};
}

sdk::Result<Place> read(const OptionList& options, const FakeHost& host = {}) {
  return read_place(sdk::Host(host.abi()), quiet_call(), sdk::Options(options.abi()));
}

std::string refusal(const OptionList& options) {
  const auto place = read(options);
  return place ? "none" : place.error().message;
}

OptionList target() {
  return OptionList().text("transport", "tcp").text("portal", "h").text("target", "iqn.t");
}

TEST(IscsiName, GivesOptions) {
  const Settings plain = {
      {"transport", "tcp"}, {"portal", "h:1"}, {"target", "iqn.t:d"}, {"lun", "7"}};
  EXPECT_EQ(parsed("iscsi://h:1/iqn.t:d/7"), plain);
  EXPECT_EQ(parsed("iscsi://h:1/iqn.t%3ad/7"), plain);
  const Settings with_user = {{"transport", "iser"}, {"portal", "[::1]"}, {"target", "t"},
                              {"lun", "0"},          {"user", "joe"},     {"password", "pw"}};
  EXPECT_EQ(parsed("iser://joe%pw@[::1]/t/0"), with_user);
}

TEST(IscsiName, TellsWhatIsWrong) {
  const std::string longer_than_libiscsi_takes = "iscsi://h/" + std::string(300, 't') + "/1";
  for (const std::string& name :
       {std::string("iscsi:"), std::string("iscsi:x"), std::string("iscsi://h"),
        std::string("iscsi://h/t"), std::string("iscsi://h/t/x"), std::string("iscsi://h/t/1x"),
        longer_than_libiscsi_takes})
    EXPECT_EQ(parsed(name), (Settings{{"error", "Failed to parse URL : " + name}})) << name;
}

TEST(IscsiPlace, NeedsItsParts) {
  const std::string needed = "Need all of transport, portal and target options";
  EXPECT_EQ(refusal({}), needed);
  EXPECT_EQ(refusal(OptionList().text("transport", "tcp").text("portal", "h")), needed);
  EXPECT_EQ(refusal(OptionList().text("portal", "h").text("target", "t")), needed);
  EXPECT_EQ(refusal(OptionList().text("transport", "x").text("portal", "h").text("target", "t")),
            "Unknown transport: x");
  EXPECT_EQ(refusal(target().text("header-digest", "md5")), "Invalid header-digest setting : md5");
  EXPECT_EQ(refusal(OptionList()
                        .text("transport", "tcp")
                        .text("portal", "h")
                        .text("target", std::string(256, 't'))),
            "iSCSI: Failed to set target name.");
}

TEST(IscsiPlace, KnowsOnlyLunsThatHaveANumberOfTheirOwn) {
  EXPECT_EQ(read(target().number("lun", 65535, INSTAR_OPTION_NUMBER))->lun, 65535);
  EXPECT_EQ(refusal(target().number("lun", 65536, INSTAR_OPTION_NUMBER)),
            "LUN 65536 is not between 0 and 65535");
  EXPECT_EQ(refusal(target().number("lun", UINT64_MAX, INSTAR_OPTION_NUMBER)),
            "LUN 18446744073709551615 is not between 0 and 65535");
}

TEST(IscsiPlace, HasDefaults) {
  const auto place = read(target());
  ASSERT_TRUE(place);
  EXPECT_EQ(place->lun, 0);
  EXPECT_EQ(place->initiator, "iqn.2008-11.org.linux-kvm");
  EXPECT_EQ(place->digest, ISCSI_HEADER_DIGEST_NONE_CRC32C);
  EXPECT_EQ(place->limit.count(), 60);
  EXPECT_EQ(read(target().number("timeout", 0, INSTAR_OPTION_NUMBER))->limit.count(), 0);
}

TEST(IscsiPlace, TakesThePasswordFromASecret) {
  FakeHost host;
  host.secrets["s"] = "pw";
  const auto place = read(target().text("user", "joe").text("password-secret", "s"), host);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->user, "joe");
  EXPECT_EQ(place->password, "pw");
  EXPECT_EQ(read(target().text("user", "joe").text("password", "pw"))->password, "pw");
  EXPECT_EQ(refusal(target().text("user", "joe").text("password-secret", "none")),
            "No secret with id 'none'");
  EXPECT_EQ(refusal(target().text("user", "joe")),
            "CHAP username specified but no password was given");
  EXPECT_EQ(refusal(target().text("user", "j").text("password", "p").text("password-secret", "s")),
            "'password' and 'password-secret' properties are mutually exclusive");
}

}  // namespace
}  // namespace instar::iscsi
