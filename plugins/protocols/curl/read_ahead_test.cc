// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/read_ahead.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "sdk/cpp/testing.hpp"

namespace instar::curl {
namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::Status;
using sdk::testing::quiet_call;

constexpr uint64_t kBlock = 1024, kSize = 40 * kBlock + 100;

class ReadAheadTest : public testing::Test {
 protected:
  Status fetch(uint64_t offset, Bytes to) {
    ++fetches_;
    if (broken_) return sdk::fail(EIO, "broken");
    for (size_t i = 0; i < to.size(); ++i)
      to[i] = static_cast<uint8_t>((offset + i) * 7);
    return {};
  }
  bool right(uint64_t offset, size_t length) {
    std::vector<uint8_t> data(length);
    if (!ahead_.read(quiet_call(), offset, data)) return false;
    for (size_t i = 0; i < length; ++i)
      if (data[i] != static_cast<uint8_t>((offset + i) * 7)) return false;
    return true;
  }
  std::atomic<int> fetches_{0};
  std::atomic<bool> broken_{false};
  ReadAhead ahead_{kBlock, kSize,
                   [this](const Call&, uint64_t offset, Bytes to) { return fetch(offset, to); }};
};

TEST_F(ReadAheadTest, FetchesABlockOnce) {
  EXPECT_TRUE(right(0, 10));
  EXPECT_TRUE(right(10, 1000));
  EXPECT_EQ(fetches_, 1);
  EXPECT_TRUE(right(1000, 100));  // and the next
  EXPECT_EQ(fetches_, 2);
  EXPECT_TRUE(right(kSize - 100, 100));
  EXPECT_TRUE(right(kSize - 600, 600));
}

TEST_F(ReadAheadTest, ForgetsWhatWasNotUsed) {
  for (uint64_t at = 0; at < 30 * kBlock; at += kBlock)
    EXPECT_TRUE(right(at, 1));
  EXPECT_EQ(fetches_, 30);
  EXPECT_TRUE(right(29 * kBlock, 1));
  EXPECT_EQ(fetches_, 30);
  EXPECT_TRUE(right(0, 1));
  EXPECT_EQ(fetches_, 31);
}

TEST_F(ReadAheadTest, KeepsNoErrors) {
  broken_ = true;
  EXPECT_FALSE(right(0, 10));
  broken_ = false;
  EXPECT_TRUE(right(0, 10));
}

TEST_F(ReadAheadTest, ServesManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (uint64_t number = 0; number < 8; ++number)
    threads.emplace_back([&, number] {
      for (uint64_t at = number; at + 50 < kSize; at += 331)
        if (!right(at, 50)) ++wrong;
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace instar::curl
