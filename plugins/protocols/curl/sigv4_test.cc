// SPDX-License-Identifier: Apache-2.0
// The examples of "Authenticating Requests: Using the Authorization Header" in the S3 API reference.
#include "plugins/protocols/curl/sigv4.hpp"

#include <gtest/gtest.h>

namespace instar::curl {
namespace {

constexpr const char* kHost = "examplebucket.s3.amazonaws.com";
constexpr const char* kTime = "20130524T000000Z";

std::string empty_hash() {
  return hash_of({});
}

class SigV4 : public testing::Test {
 protected:
  SigV4() { EXPECT_TRUE(prepare_hashes()); }

  std::string signature(std::string method, std::string path, std::string query,
                        std::map<std::string, std::string> headers, std::string hash) {
    headers["host"] = kHost;
    headers["x-amz-content-sha256"] = hash;
    headers["x-amz-date"] = kTime;
    const Credentials credentials{"AKIAIOSFODNN7EXAMPLE",
                                  "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
    text_ = authorization(credentials, "us-east-1", kTime,
                          {std::move(method), std::move(path), std::move(query), std::move(headers),
                           std::move(hash)});
    return text_.substr(text_.rfind('=') + 1);
  }
  std::string text_;
};

TEST_F(SigV4, HashesAsTheStandardSays) {
  EXPECT_EQ(empty_hash(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_F(SigV4, OfARange) {
  EXPECT_EQ(signature("GET", "/test.txt", "", {{"range", "bytes=0-9"}}, empty_hash()),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(text_,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_F(SigV4, OfWhatIsStored) {
  const std::string_view body = "Welcome to Amazon S3.";
  const std::string hash = hash_of({reinterpret_cast<const uint8_t*>(body.data()), body.size()});
  EXPECT_EQ(hash, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
  EXPECT_EQ(signature("PUT", "/" + percent_encoded("test$file.text", "/"), "",
                      {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                      hash),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST_F(SigV4, OfQueries) {
  EXPECT_EQ(signature("GET", "/", "lifecycle=", {}, empty_hash()),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(signature("GET", "/", "max-keys=2&prefix=J", {}, empty_hash()),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(PercentEncoded, KeepsFewCharacters) {
  EXPECT_EQ(percent_encoded("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encoded("a b+c/d?e%\xc3\xa9"), "a%20b%2Bc%2Fd%3Fe%25%C3%A9");
  EXPECT_EQ(percent_encoded("a/../b", "/"), "a/../b");
}

}  // namespace
}  // namespace instar::curl
