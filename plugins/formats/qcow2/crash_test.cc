// SPDX-License-Identifier: Apache-2.0
// A power cut at any point: what was written since the last flush is partly lost. Then the image
// opens, has at most leaked clusters, and holds everything that was flushed.
#include <algorithm>

#include "plugins/formats/qcow2/testing.hpp"

namespace instar::qcow2::testing {
namespace {

constexpr uint64_t kSize = 2u << 20;
constexpr uint64_t kCluster = 4096;

class Crash : public ::testing::TestWithParam<bool> {
 protected:
  uint64_t pick(uint64_t limit) {
    return std::uniform_int_distribution<uint64_t>(0, limit)(random_);
  }

  /** Random work on an image; after each flush the content that is safe, and the log's length. */
  void work() {
    OptionList options{{"size", std::to_string(kSize)}, {"cluster_size", std::to_string(kCluster)}};
    std::vector<uint8_t> model(kSize);
    if (GetParam()) {
      std::vector<uint8_t> base(kSize);
      std::generate(base.begin(), base.end(), [&] { return static_cast<uint8_t>(random_()); });
      model = base;
      files_.backing = std::make_unique<MemoryFile>(std::move(base));
      options.add("backing_file", "base.raw");
      options.add("backing_fmt", "raw");
    }
    ASSERT_EQ(create(files_, options), "");
    start_ = files_.file.bytes;
    files_.file.logs = true;
    TestImage image(files_, INSTAR_OPEN_WRITE, {{"l2-cache-size", "8192"}});
    ASSERT_TRUE(image.open()) << image.error();
    saved_.push_back({0, model});
    for (int i = 0; i < 400; ++i) {
      const uint64_t begin = pick(kSize / 512 - 1) * 512;
      const uint64_t length = std::min((1 + pick(23)) * 512, kSize - begin);
      const std::vector<uint8_t> bytes(length, static_cast<uint8_t>(1 + i % 255));
      const auto cluster = static_cast<int64_t>(begin / kCluster * kCluster);
      const std::vector<uint8_t> block(kCluster, bytes[0]);
      switch (pick(4)) {
        case 0:
          ASSERT_EQ(image.write_zeroes(begin, length, INSTAR_WRITE_MAY_UNMAP), 0);
          std::fill_n(model.begin() + static_cast<int64_t>(begin), length, uint8_t{0});
          break;
        case 1:
          ASSERT_EQ(image.write_packed(static_cast<uint64_t>(cluster), block), 0);
          std::copy(block.begin(), block.end(), model.begin() + cluster);
          break;
        default:
          ASSERT_EQ(image.write(begin, bytes), 0);
          std::copy(bytes.begin(), bytes.end(), model.begin() + static_cast<int64_t>(begin));
      }
      touched_.push_back(
          {saved_.size(), begin / kCluster * kCluster, sdk::round_up(begin + length, kCluster)});
      if (pick(15) == 0) {
        ASSERT_EQ(image.flush(), 0);
        saved_.push_back({files_.file.events.size(), model});
      }
    }
  }

  struct Saved {
    size_t events;
    std::vector<uint8_t> content;
  };
  struct Touched {
    size_t flushes;  ///< before it
    uint64_t begin;
    uint64_t end;
  };
  std::mt19937_64 random_{7};
  Files files_;
  std::vector<uint8_t> start_;
  std::vector<Saved> saved_;
  std::vector<Touched> touched_;
};

TEST_P(Crash, FlushedDataSurvives) {
  work();
  ASSERT_FALSE(HasFatalFailure());
  const size_t total = files_.file.events.size();
  for (int i = 0; i < 600; ++i) {
    const size_t at = pick(total);
    Files after;
    after.file.bytes = files_.file.after_cut(start_, at, random_);
    if (files_.backing) after.backing = std::make_unique<MemoryFile>(files_.backing->bytes);
    size_t flush = 0;
    while (flush + 1 < saved_.size() && saved_[flush + 1].events <= at)
      ++flush;
    std::vector<uint8_t> content(kSize);
    {
      const TestImage image(after, 0);
      ASSERT_TRUE(image.open()) << image.error();
      ASSERT_EQ(image.read(0, &content), 0) << "cut at " << at;
    }
    // What was written later may be there or not.
    std::vector<uint8_t> expected = saved_[flush].content;
    for (const auto& range : touched_)
      if (range.flushes > flush)
        std::copy(content.begin() + static_cast<int64_t>(range.begin),
                  content.begin() + static_cast<int64_t>(range.end),
                  expected.begin() + static_cast<int64_t>(range.begin));
    const auto [a, b] = std::mismatch(content.begin(), content.end(), expected.begin());
    ASSERT_TRUE(a == content.end())
        << "cut at " << at << " of " << total << ", byte " << a - content.begin();
    if (i >= 60) continue;  // the genuine tool takes its time
    const auto verdict = reference_verdict(after, nullptr, true);
    if (verdict) {
      ASSERT_EQ(*verdict, "") << "cut at " << at;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backing, Crash, ::testing::Bool());

}  // namespace
}  // namespace instar::qcow2::testing
