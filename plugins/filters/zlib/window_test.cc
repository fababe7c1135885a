// SPDX-License-Identifier: Apache-2.0
// What is written for a window of 4 KiB must be read by whoever keeps only 4 KiB, as genuine
// qemu-img does with the clusters of qcow2. The environment's INSTAR_CLUSTERS
// sets how many blocks are tried: bazel test --test_env=INSTAR_CLUSTERS=1000000
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "plugins/filters/zlib/clusters.hpp"
#include "plugins/filters/zlib/codec.hpp"

namespace instar::zlib {
namespace {

constexpr uint64_t kDefaultCount = 40000;
constexpr unsigned kWindowBits = 12;

uint64_t cluster_count() {
  const char* text = std::getenv("INSTAR_CLUSTERS");
  return text != nullptr ? std::stoull(text) : kDefaultCount;
}

/**
 * A reader that keeps the last 4 KiB and nothing else. (zlib's inflate would not do: into one large
 * buffer it copies from any distance.)
 */
class SmallReader {
 public:
  SmallReader() : window_(size_t{1} << kWindowBits) {
    EXPECT_EQ(inflateBackInit(&stream_, kWindowBits, window_.data()), Z_OK);
  }
  ~SmallReader() { inflateBackEnd(&stream_); }
  SmallReader(const SmallReader&) = delete;
  SmallReader& operator=(const SmallReader&) = delete;

  bool gives(sdk::ConstBytes packed, sdk::ConstBytes expected) {
    expected_ = expected;
    stream_.next_in = const_cast<uint8_t*>(packed.data());
    stream_.avail_in = static_cast<uInt>(packed.size());
    const int result = inflateBack(&stream_, &no_more_input, nullptr, &take, this);
    return result == Z_STREAM_END && expected_.empty();
  }

 private:
  static unsigned no_more_input(void*, z_const uint8_t**) { return 0; }
  static int take(void* self, uint8_t* data, unsigned length) {
    auto& rest = static_cast<SmallReader*>(self)->expected_;
    if (length > rest.size() || std::memcmp(data, rest.data(), length) != 0) return 1;
    rest = rest.subspan(length);
    return 0;
  }

  z_stream stream_{};
  std::vector<uint8_t> window_;
  sdk::ConstBytes expected_;
};

/** Blocks first, first + step, … below count; the number of the first bad one, or count. */
uint64_t try_blocks(int level, uint64_t first, uint64_t step, uint64_t count) {
  const instar_codec_params params{sizeof params, INSTAR_FRAMING_RAW, level, kWindowBits, 0};
  const auto codec = ZlibCodec::open(params);
  if (!codec) return first;
  SmallReader reader;
  ClusterMaker maker(42);
  std::vector<uint8_t> packed;
  for (uint64_t n = first; n < count; n += step) {
    const auto block = maker.make(n);
    packed.resize(ZlibCodec::bound(block.size()));
    const auto length = (*codec)->compress(block, packed);
    if (!length || *length <= 0) return n;
    if (!reader.gives(sdk::ConstBytes(packed).first(static_cast<size_t>(*length)), block)) return n;
  }
  return count;
}

void try_all(int level, uint64_t count) {
  const uint64_t workers = std::max(1u, std::thread::hardware_concurrency());
  std::vector<uint64_t> bad(workers, count);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < workers; ++i)
    threads.emplace_back([&, i] { bad[i] = try_blocks(level, i, workers, count); });
  for (auto& thread : threads)
    thread.join();
  for (const uint64_t n : bad)
    EXPECT_EQ(n, count) << "block " << n << " at level " << level;
  std::printf("level %d: %llu blocks\n", level, static_cast<unsigned long long>(count));
}

TEST(Window, FastLevelStaysInside4KiB) {
  try_all(0, cluster_count());
}

TEST(Window, DenseLevelsStayInside4KiB) {
  for (const int level : {1, 6, 9})
    try_all(level, cluster_count() / 10);
}

}  // namespace
}  // namespace instar::zlib
