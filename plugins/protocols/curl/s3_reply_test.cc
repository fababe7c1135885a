// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/s3_reply.hpp"

#include <gtest/gtest.h>

#include <random>

namespace instar::curl {
namespace {

constexpr const char* kRefusal =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchKey</Code><Message>No "
    "&lt;such&gt; "
    "key: &quot;a &#38; b&quot;</Message><Resource>/b/k</Resource></Error>";

TEST(S3Reply, GivesTheTextOfAnElement) {
  EXPECT_EQ(xml_text(kRefusal, "Code"), "NoSuchKey");
  EXPECT_EQ(xml_text(kRefusal, "Message"), "No <such> key: \"a & b\"");
  EXPECT_EQ(xml_text(kRefusal, "Region"), std::nullopt);
  EXPECT_EQ(xml_text("<UploadId></UploadId>", "UploadId"), "");
}

TEST(S3Reply, LeavesOutWhatTerminalsObey) {
  EXPECT_EQ(xml_text("<Code>a\x1b[31mb&#27;c\n&#x1b;d\x7f</Code>", "Code"), "a[31mbcd");
}

TEST(S3Reply, EndsWhereTheTextDoes) {
  EXPECT_EQ(xml_text("<Code>abc", "Code"), "abc");
  EXPECT_EQ(xml_text("<Code>abc&lt", "Code"), "abc");
  EXPECT_EQ(xml_text("<Code>abc<Inner>x</Inner></Code>", "Code"), "abc");
  EXPECT_EQ(xml_text("<Code>", "Code"), "");
  EXPECT_EQ(xml_text("<Code", "Code"), std::nullopt);
  EXPECT_EQ(xml_text("<Code>" + std::string(100'000, 'x'), "Code")->size(), 1000u);
}

TEST(S3Reply, IsDescribed) {
  EXPECT_EQ(describe_refusal(404, kRefusal), "NoSuchKey (404): No <such> key: \"a & b\"");
  EXPECT_EQ(describe_refusal(403, "<Error><Code>AccessDenied</Code></Error>"),
            "AccessDenied (403)");
  EXPECT_EQ(describe_refusal(502, "<html>Bad gateway"), "The requested URL returned error: 502");
}

TEST(S3Reply, SurvivesDamage) {
  std::minstd_rand random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = kRefusal;
    for (int i = 0; i < 4; ++i)
      text[random() % text.size()] =
          static_cast<char>(random() % 3 != 0 ? "<>&;#x/"[random() % 7] : random() % 256);
    text.resize(random() % (text.size() + 1));
    const std::string shown = describe_refusal(400, text);
    EXPECT_LE(shown.size(), 2100u);
    for (const char c : shown)
      ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
  }
}

}  // namespace
}  // namespace instar::curl
