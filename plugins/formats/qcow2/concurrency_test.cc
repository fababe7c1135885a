// SPDX-License-Identifier: Apache-2.0
// Several threads work on one image at once, each on its own bytes, which share clusters.
#include <algorithm>
#include <atomic>
#include <thread>

#include "plugins/formats/qcow2/testing.hpp"

namespace instar::qcow2::testing {
namespace {

constexpr uint64_t kSize = 4u << 20;
constexpr uint64_t kCluster = 16384;
constexpr size_t kThreads = 4;
constexpr uint64_t kStripe = 2048;  // a cluster is shared by all threads, twice

class Worker {
 public:
  Worker(TestImage& image, size_t number, std::vector<uint8_t>& model)
      : image_(image), number_(number), model_(model), random_(number + 1) {}

  /** False at the first result that is not right. */
  bool run() {
    for (int i = 0; i < 400; ++i) {
      const uint64_t stripe = random_() % (kSize / kStripe / kThreads) * kThreads + number_;
      const uint64_t begin = stripe * kStripe;
      std::vector<uint8_t> bytes(kStripe, static_cast<uint8_t>(random_()));
      const auto at = model_.begin() + static_cast<int64_t>(begin);
      switch (random_() % 6) {
        case 0:
          if (image_.flush() != 0) return false;
          break;
        case 1:
          bytes.assign(kStripe, 0);
          if (image_.write_zeroes(begin, kStripe, INSTAR_WRITE_MAY_UNMAP) != 0) return false;
          std::copy(bytes.begin(), bytes.end(), at);
          break;
        case 2:
          if (image_.read(begin, &bytes) != 0) return false;
          if (!std::equal(bytes.begin(), bytes.end(), at)) return false;
          break;
        default:
          if (image_.write(begin, bytes) != 0) return false;
          std::copy(bytes.begin(), bytes.end(), at);
      }
    }
    return true;
  }

 private:
  TestImage& image_;
  size_t number_;
  std::vector<uint8_t>& model_;
  std::mt19937_64 random_;
};

class Concurrency : public ::testing::TestWithParam<const char*> {};

TEST_P(Concurrency, ThreadsDoNotDisturbEachOther) {
  Files files;
  ASSERT_EQ(create(files, {{"size", std::to_string(kSize)},
                           {"cluster_size", std::to_string(kCluster)},
                           {"extended_l2", GetParam()}}),
            "");
  std::vector<uint8_t> model(kSize);
  {
    TestImage image(files, INSTAR_OPEN_WRITE, {{"l2-cache-size", "65536"}});
    ASSERT_TRUE(image.open()) << image.error();
    std::atomic<size_t> right{0};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        if (Worker(image, i, model).run()) ++right;
      });
    for (auto& thread : threads)
      thread.join();
    EXPECT_EQ(right, kThreads);
    ASSERT_EQ(image.close(), 0);
  }
  const TestImage image(files, 0);
  std::vector<uint8_t> content(kSize);
  ASSERT_EQ(image.read(0, &content), 0);
  EXPECT_TRUE(content == model);
  const auto verdict = reference_verdict(files, &model);
  if (verdict) {
    EXPECT_EQ(*verdict, "");
  }
}

/** Packing runs outside of locks; storing gathers neighbours. Readers meet what is not written yet. */
TEST(Packing, ThreadsStoreAndRead) {
  Files files;
  ASSERT_EQ(
      create(files, {{"size", std::to_string(kSize)}, {"cluster_size", std::to_string(kCluster)}}),
      "");
  std::vector<uint8_t> model(kSize);
  TestImage image(files, INSTAR_OPEN_WRITE);
  ASSERT_TRUE(image.open()) << image.error();
  std::atomic<size_t> right{0};
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      bool good = true;
      for (uint64_t cluster = thread; cluster < kSize / kCluster; cluster += kThreads) {
        std::vector<uint8_t> bytes(kCluster, static_cast<uint8_t>(cluster));
        for (size_t i = 0; i < kCluster; i += 7)
          bytes[i] = static_cast<uint8_t>(i * cluster);
        good = good && image.write_packed(cluster * kCluster, bytes) == 0;
        std::copy(bytes.begin(), bytes.end(),
                  model.begin() + static_cast<int64_t>(cluster * kCluster));
        std::vector<uint8_t> back(kCluster);
        good = good && image.read(cluster * kCluster, &back) == 0 && back == bytes;
      }
      right += good;
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(right, kThreads);
  ASSERT_EQ(image.close(), 0);
  const auto verdict = reference_verdict(files, &model);
  if (verdict) {
    EXPECT_EQ(*verdict, "");
  }
}

INSTANTIATE_TEST_SUITE_P(ExtendedL2, Concurrency, ::testing::Values("off", "on"));

}  // namespace
}  // namespace instar::qcow2::testing
