// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/transfer.hpp"

#include <gtest/gtest.h>

#include "plugins/protocols/curl/backoff.hpp"

namespace instar::curl {
namespace {

TEST(ContentRange, IsRead) {
  const auto range = parse_content_range("bytes 5-9/100");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5u);
  EXPECT_EQ(range->last, 9u);
  EXPECT_EQ(range->total, 100u);
  ASSERT_TRUE(parse_content_range("bytes 0-0/*"));
  EXPECT_FALSE(parse_content_range("bytes 0-0/*")->total);
}

TEST(ContentRange, IsRefusedWhenItIsNone) {
  for (const char* text :
       {"", "bytes", "bytes */100", "bytes 9-5/100", "bytes 0-9/", "bytes 0-9/9x", "bytes 0-9/9",
        "bytes -1-9/100", "items 0-9/100", "bytes 0-9", "bytes 0-18446744073709551616/5"})
    EXPECT_FALSE(parse_content_range(text)) << text;
}

TEST(Backoff, EndsWhenNothingComes) {
  Backoff backoff(std::chrono::seconds(1));
  const auto begin = std::chrono::steady_clock::now();
  int attempts = 0;
  while (backoff.again(sdk::Call(nullptr)))
    ++attempts;
  EXPECT_GE(attempts, 2);
  EXPECT_LE(attempts, 8);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST(Backoff, EndsWhenTheUserDoes) {
  int32_t cancelled = 1;
  instar_call abi{};
  abi.cancelled = &cancelled;
  EXPECT_FALSE(Backoff(std::chrono::seconds(5)).again(sdk::Call(&abi)));
}

TEST(Transient, IsWhatMayPass) {
  Reply reply;
  reply.result = CURLE_HTTP_RETURNED_ERROR;
  for (const long code : {408, 429, 500, 503}) {
    reply.code = code;
    EXPECT_TRUE(is_transient(reply)) << code;
  }
  for (const long code : {401, 403, 404, 416}) {
    reply.code = code;
    EXPECT_FALSE(is_transient(reply)) << code;
  }
  reply.result = CURLE_PEER_FAILED_VERIFICATION;
  EXPECT_FALSE(is_transient(reply));
}

}  // namespace
}  // namespace instar::curl
