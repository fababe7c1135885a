// SPDX-License-Identifier: Apache-2.0
#include "core/objects/objects.hpp"

#include <gtest/gtest.h>

namespace instar::objects {
namespace {

std::string error_of(std::string_view definition) {
  Objects objects;
  const auto added = objects.add(definition);
  return added ? "" : added.error().message;
}

TEST(Objects, RefusesInTheWordsOfQemu) {
  EXPECT_EQ(error_of("foo"), "Parameter 'qom-type' does not accept value 'foo'");
  EXPECT_EQ(error_of(""), "Parameter 'qom-type' is missing");
  EXPECT_EQ(error_of("secret,data=x"), "Parameter 'id' is missing");
  EXPECT_EQ(error_of("secret,id=a"), "Either 'file' or 'data' must be provided");
  EXPECT_EQ(error_of("secret,id=a,data=x,file=y"), "'file' and 'data' are mutually exclusive");
  EXPECT_EQ(error_of("secret,id=a,data=x,foo=y"), "Parameter 'foo' is unexpected");
  EXPECT_EQ(error_of("secret,id=9a,data=x"), "Parameter 'id' expects an identifier");
  EXPECT_EQ(error_of("secret,id=a,data=x,format=bogus"),
            "Parameter 'format' does not accept value 'bogus'");
  EXPECT_EQ(error_of("secret,id=a,data=!,format=base64"),
            "Base64 data contains invalid characters");
  EXPECT_EQ(error_of("throttle-group,id=g,x-bps-total=foo"),
            "Parameter 'x-bps-total' expects integer");
  EXPECT_EQ(error_of("throttle-group,id=g,x-bps-total=1,x-bps-read=1"),
            "bps/iops/max total values and read/write values cannot be used at the same time");
  EXPECT_EQ(error_of("secret,id=a,file=/nonexist"),
            "Unable to read /nonexist: Failed to open file “/nonexist”: No such file or directory");
}

TEST(Objects, KeepsSecretsAndFindsThemByTypeAndId) {
  Objects objects;
  ASSERT_TRUE(objects.add("secret,id=s,data=aGVsbG8=,format=base64"));
  const auto found = objects.find("secret", "s");
  ASSERT_TRUE(found);
  EXPECT_EQ((*found)->secret.view(), "hello");
  EXPECT_EQ((*found)->properties.count("data"), 0u);
  EXPECT_FALSE(objects.find("throttle-group", "s"));
  EXPECT_EQ(objects.find("secret", "t").error().message, "No secret with id 't'");
  EXPECT_EQ(objects.add("secret,id=s,data=x").error().message,
            "attempt to add duplicate property 's' to object (type 'container')");
}

TEST(Objects, AcceptsJsonAndHelps) {
  Objects objects;
  EXPECT_TRUE(objects.add(R"({"qom-type":"secret","id":"s","data":"x"})"));
  EXPECT_EQ(*objects.add("tls-creds-anon,help"),
            "tls-creds-anon options:\n  dir=<string>\n  endpoint=<QCryptoTLSCredsEndpoint>\n"
            "  priority=<string>\n  verify-peer=<bool>\n");
  EXPECT_TRUE(objects.add("help")->starts_with("List of user creatable objects:\n  authz-list\n"));
}

}  // namespace
}  // namespace instar::objects
