// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/s3_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "plugins/protocols/curl/s3_upload.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::curl {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::OptionList;

constexpr uint64_t kMiB = 1 << 20;

class S3StoreTest : public testing::Test {
 protected:
  S3StoreTest() {
    for (const char* name :
         {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
          "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"})
      ::unsetenv(name);
    EXPECT_TRUE(prepare_hashes());
  }
  auto find(const OptionList& options, const S3Name& name = {"bucket", "a b/k"}) {
    return find_store(sdk::Host(host_.abi()), sdk::Options(options.abi()), name, "");
  }
  std::string error(const OptionList& options) {
    const auto store = find(options);
    return store ? "" : store.error().message;
  }
  /** The headers of a request for the object, joined. */
  static std::string headers(const S3Store& store) {
    Request request;
    request.url = store.settings.url;
    std::string text;
    for (const auto& header : store.dialect->headers(request))
      text += header + "\n";
    return text;
  }
  FakeHost host_;
};

TEST_F(S3StoreTest, IsAwsWithoutMore) {
  const auto store = find({});
  ASSERT_TRUE(store);
  EXPECT_EQ(store->settings.url, "https://s3.us-east-1.amazonaws.com/bucket/a%20b/k");
  EXPECT_EQ(store->settings.name, "s3://bucket/a b/k");
  EXPECT_EQ(headers(*store), "");
  const auto elsewhere = find(OptionList().text("region", "cn-north-1"));
  ASSERT_TRUE(elsewhere);
  EXPECT_EQ(elsewhere->settings.url, "https://s3.cn-north-1.amazonaws.com.cn/bucket/a%20b/k");
}

TEST_F(S3StoreTest, IsWhatTheEnvironmentSays) {
  ::setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8000/", 1);
  ::setenv("AWS_REGION", "eu-west-1", 1);
  ::setenv("AWS_ACCESS_KEY_ID", "id", 1);
  ::setenv("AWS_SECRET_ACCESS_KEY", "hidden", 1);
  ::setenv("AWS_SESSION_TOKEN", "token", 1);
  const auto store = find({});
  ASSERT_TRUE(store);
  EXPECT_EQ(store->settings.url, "http://127.0.0.1:8000/bucket/a%20b/k");
  EXPECT_EQ(store->settings.name, "s3://bucket/a b/k");
  const std::string text = headers(*store);
  EXPECT_NE(text.find("host: 127.0.0.1:8000\n"), text.npos) << text;
  EXPECT_NE(text.find("x-amz-security-token: token\n"), text.npos) << text;
  EXPECT_NE(text.find("/eu-west-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;"
                      "x-amz-date;x-amz-security-token,"),
            text.npos)
      << text;
  EXPECT_EQ(text.find("hidden"), text.npos);
  // The user's own credentials go without the environment's token.
  host_.secrets["s"] = "secret\n";
  const auto own = find(OptionList().text("access-key", "own").text("key-secret", "s"));
  ASSERT_TRUE(own);
  EXPECT_EQ(headers(*own).find("token"), std::string::npos);
  EXPECT_EQ(own->settings.name, "");
  ::unsetenv("AWS_ACCESS_KEY_ID");
  EXPECT_EQ(error({}), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are of use together only");
}

TEST_F(S3StoreTest, IsRefused) {
  const std::string together = "access-key and key-secret are of use together only";
  EXPECT_EQ(error(OptionList().text("access-key", "a")), together);
  EXPECT_EQ(error(OptionList().text("key-secret", "a")), together);
  EXPECT_EQ(error(OptionList().text("access-key", "a").text("key-secret", "none")),
            "No secret with id 'none'");
  EXPECT_EQ(error(OptionList().text("region", "a/b")), "'a/b' is no name of a region");
  for (const char* endpoint :
       {"ftp://h", "http://", "http://u@h", "http://h?x", "http://h\r\nX: y"})
    EXPECT_NE(error(OptionList().text("endpoint", endpoint)), "") << endpoint;
  EXPECT_EQ(error(OptionList().number("part-size", kMiB)),
            "part-size must be between 5 MiB and 5 GiB");
  EXPECT_FALSE(find({}, {"bu/cket", "k"}));
  EXPECT_FALSE(find({}, {"bucket", ""}));
}

TEST_F(S3StoreTest, LearnsTheRegion) {
  Reply reply;
  reply.code = 301;
  reply.region = "eu-central-1";
  const S3Dialect dialect({}, "us-east-1");
  EXPECT_EQ(dialect.other_region(), "");
  EXPECT_EQ(dialect.explain(reply, ""), "The requested URL returned error: 301");
  EXPECT_EQ(dialect.other_region(), "eu-central-1");
  const S3Dialect told({}, "us-east-1");
  EXPECT_EQ(told.explain({},
                         "<Error><Code>AuthorizationHeaderMalformed</Code>"
                         "<Region>../evil</Region></Error>"),
            "AuthorizationHeaderMalformed (0)");
  EXPECT_EQ(told.other_region(), "");
}

TEST_F(S3StoreTest, TriesOnceInTheOtherRegion) {
  std::string seen;
  const auto work = [&](S3Store& store) -> sdk::Status {
    seen += store.settings.url + "\n";
    Reply reply;
    reply.region = "eu-central-" + std::to_string(seen.size());
    store.dialect->explain(reply, "");
    return sdk::fail(EIO, "moved");
  };
  EXPECT_FALSE(in_its_region(sdk::Host(host_.abi()), {}, {"b", "k"}, work));
  EXPECT_EQ(seen,
            "https://s3.us-east-1.amazonaws.com/b/k\n"
            "https://s3.eu-central-39.amazonaws.com/b/k\n");
}

TEST(S3Name, IsBucketAndKey) {
  const auto name = parse_s3_name("s3://b.c-d/k/../l?m#n %41");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->bucket, "b.c-d");
  EXPECT_EQ(name->key, "k/../l?m#n %41");
  for (const char* bad :
       {"s3:b/k", "s3://", "s3://b", "s3://b/", "s3:///k", "s3://b@c/k", "s3://../k"})
    EXPECT_FALSE(parse_s3_name(bad)) << bad;
}

TEST(S3Parts, AreFewEnough) {
  constexpr uint64_t kTiB = uint64_t{1} << 40;
  EXPECT_EQ(*choose_part_size(0, 0), 8 * kMiB);
  EXPECT_EQ(*choose_part_size(kTiB, 0), 132 * kMiB);
  EXPECT_EQ(*choose_part_size(1 << 30, 5 * kMiB), 5 * kMiB);
  for (const uint64_t size : {uint64_t{1}, 64 * kMiB, kTiB, 5 * kTiB, 30 * kTiB})
    EXPECT_LE(size / *choose_part_size(size, 0), 8000u);
  EXPECT_FALSE(choose_part_size(kTiB, 8 * kMiB));
  EXPECT_FALSE(choose_part_size(50 * kTiB, 0));
  EXPECT_FALSE(choose_part_size(UINT64_MAX, 0));
}

TEST(S3Parts, AreListed) {
  EXPECT_EQ(completion_of({"\"a\"", "<&>"}),
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>&lt;&amp;&gt;</ETag></Part>"
            "</CompleteMultipartUpload>");
}

}  // namespace
}  // namespace instar::curl
