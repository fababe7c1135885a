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

// Here the cipher changes nothing: what the host passes to it and takes from it is tested.
class EncryptedSecrets : public testing::Test {
 protected:
  void SetUp() override {
    objects_.decrypt_with(
        [&](const std::string& key_id, const std::string& iv, std::span<uint8_t>) -> Status {
          asked_ = sdk::cat(key_id, " ", iv);
          return {};
        });
    ASSERT_TRUE(objects_.add("secret,id=m,data=0123456789abcdef0123456789abcdef"));
    ASSERT_TRUE(objects_.add("secret,id=short,data=short"));
    ASSERT_TRUE(objects_.add("throttle-group,id=t"));
  }
  std::string error_of(std::string_view definition) {
    const auto added = objects_.add(definition);
    return added ? "" : added.error().message;
  }
  Objects objects_;
  std::string asked_;
};

TEST_F(EncryptedSecrets, AreDecryptedAndLoseTheirPadding) {
  const std::string iv = ",keyid=m,iv=MDEyMzQ1Njc4OWFiY2RlZg==";
  ASSERT_EQ(error_of("secret,id=a,format=base64,data=YWJjDQ0NDQ0NDQ0NDQ0NDQ==" + iv), "");
  EXPECT_EQ(asked_, "m 30313233343536373839616263646566");
  EXPECT_EQ((*objects_.find("secret", "a"))->secret.view(), "abc");
  ASSERT_EQ(error_of("secret,id=b,data=" + iv), "");
  EXPECT_EQ((*objects_.find("secret", "b"))->secret.view(), "");
  // 16 bytes of padding and none.
  ASSERT_EQ(error_of("secret,id=c,format=base64,data=EBAQEBAQEBAQEBAQEBAQEA==" + iv), "");
  EXPECT_EQ((*objects_.find("secret", "c"))->secret.view(), "");
  ASSERT_EQ(error_of("secret,id=d,format=base64,data=AAAAAAAAAAAAAAAAAAAAAA==" + iv), "");
  EXPECT_EQ((*objects_.find("secret", "d"))->secret.view().size(), 16u);
}

TEST_F(EncryptedSecrets, RefusesInTheWordsOfQemu) {
  const std::string iv = "iv=MDEyMzQ1Njc4OWFiY2RlZg==";
  EXPECT_EQ(error_of("secret,id=a,keyid=m,data=x"), "IV is required to decrypt secret");
  EXPECT_EQ(error_of("secret,id=a,keyid=m,data=x,iv=AAAA"),
            "IV should be 16 bytes in length not 3");
  EXPECT_EQ(error_of("secret,id=a,keyid=m,data=x,iv=!!"),
            "Base64 data contains invalid characters");
  EXPECT_EQ(error_of("secret,id=a,keyid=zz,data=x," + iv), "No secret with id 'zz'");
  EXPECT_EQ(error_of("secret,id=a,keyid=t,data=x," + iv), "Object with id 't' is not a secret");
  EXPECT_EQ(error_of("secret,id=a,keyid=short,data=x," + iv), "Key should be 32 bytes in length");
  EXPECT_EQ(error_of("secret,id=a,keyid=m,data=abc," + iv),
            "Length 3 must be a multiple of block size 16");
  EXPECT_EQ(error_of("secret,id=a,keyid=m,data=0123456789abcdef," + iv),
            "Incorrect number of padding bytes (102) found on decrypted data");
  EXPECT_EQ(error_of("secret,id=a,keyid=zz," + iv), "Either 'file' or 'data' must be provided");
  EXPECT_EQ(asked_, "m 30313233343536373839616263646566");
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
