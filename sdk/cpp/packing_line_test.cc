// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/packing_line.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <cstring>

namespace instar::sdk {
namespace {

constexpr size_t kBlock = 100;

/** Blocks of a byte become that byte; the even ones take their time, and 7 does not fit. */
Result<int64_t> pack(ConstBytes block, Bytes out) {
  if (block[0] % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  if (block[0] == 7) return int64_t{-ENOSPC};
  if (block[0] == 200) return fail(EIO, "broken");
  out[0] = block[0];
  return int64_t{1};
}

struct Stored {
  std::vector<std::pair<uint64_t, size_t>> blocks;  ///< number and length
  std::vector<int> bytes;                           ///< -1: it did not fit
};

PackingLine line_into(Stored& stored) {
  return PackingLine(kBlock, 10, &pack,
                     [&](uint64_t number, ConstBytes block, ConstBytes packed) -> Status {
                       stored.blocks.emplace_back(number, block.size());
                       stored.bytes.push_back(packed.empty() ? -1 : packed[0]);
                       return {};
                     });
}

Status put(PackingLine& line, uint64_t number, int byte, size_t length = kBlock) {
  INSTAR_TRY(const Bytes room, line.room());
  EXPECT_EQ(room.size(), kBlock);
  std::memset(room.data(), byte, length);
  line.put(number, length);
  return {};
}

TEST(PackingLine, BlocksLeaveAsTheyCame) {
  Stored stored;
  PackingLine line = line_into(stored);
  for (int i = 0; i < 150; ++i)
    ASSERT_TRUE(put(line, 3 * static_cast<uint64_t>(i), i));
  ASSERT_TRUE(put(line, 1000, 150, 5));
  ASSERT_TRUE(line.finish());
  ASSERT_EQ(stored.blocks.size(), 151u);
  for (int i = 0; i < 150; ++i) {
    EXPECT_EQ(stored.blocks[i], std::make_pair(3 * static_cast<uint64_t>(i), kBlock));
    EXPECT_EQ(stored.bytes[i], i == 7 ? -1 : i);
  }
  EXPECT_EQ(stored.blocks.back(), std::make_pair(uint64_t{1000}, size_t{5}));
}

TEST(PackingLine, AnErrorComesInItsTurn) {
  Stored stored;
  PackingLine line = line_into(stored);
  Status status;
  for (int i = 190; i < 250 && status; ++i)
    status = put(line, 0, i);
  if (status) status = line.finish();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "broken");
  EXPECT_EQ(stored.bytes.size(), 10u);
}

TEST(PackingLine, MayBeGivenUp) {
  Stored stored;
  PackingLine line = line_into(stored);
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(put(line, 0, 2));
  EXPECT_TRUE(stored.bytes.empty());
}

/** No thread can be started while it lives: their stacks are too large for any address space. */
class NoThreads {
 public:
  NoThreads() {
    pthread_attr_init(&attributes_);
    pthread_getattr_default_np(&attributes_);
    pthread_attr_getstacksize(&attributes_, &size_);
    set(size_t{1} << 60);
  }
  ~NoThreads() {
    set(size_);
    pthread_attr_destroy(&attributes_);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  void set(size_t size) {
    pthread_attr_setstacksize(&attributes_, size);
    EXPECT_EQ(pthread_setattr_default_np(&attributes_), 0);
  }

  pthread_attr_t attributes_{};
  size_t size_ = 0;
};

TEST(PackingLine, WithoutThreadsTheCallerPacks) {
  const NoThreads none;
  EXPECT_THROW(std::thread([] {}).join(), std::system_error);
  Stored stored;
  PackingLine line = line_into(stored);
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(put(line, static_cast<uint64_t>(i), i));
  ASSERT_TRUE(line.finish());
  EXPECT_EQ(stored.blocks.size(), 50u);
}

TEST(PackingLine, NothingAtAll) {
  Stored stored;
  PackingLine line = line_into(stored);
  EXPECT_TRUE(line.finish());
}

}  // namespace
}  // namespace instar::sdk
