// SPDX-License-Identifier: Apache-2.0
// A power cut at any point of a resize, an amendment, a change of the backing file or an emptying: the
// image opens, has at most leaked clusters, and reads as before or as afterwards.
#include <algorithm>
#include <functional>

#include "plugins/formats/qcow2/testing.hpp"
#include "sdk/abi/amend.h"
#include "sdk/abi/change_backing.h"
#include "sdk/abi/make_empty.h"
#include "sdk/abi/snapshot.h"

namespace instar::qcow2::testing {
namespace {

constexpr uint64_t kSize = 1u << 20;
constexpr uint64_t kCluster = 4096;
constexpr uint64_t kShrunk = kSize / 4 + kCluster;

template <class Ops>
const Ops* get(const TestImage& image, const char* id, void** self) {
  return image.node().interface<Ops>(id, self);
}

int resize(const TestImage& image, uint64_t size, uint32_t mode) {
  void* self = nullptr;
  const auto* ops = get<instar_resize_ops>(image, INSTAR_RESIZE_ID, &self);
  return ops->resize(self, nullptr, size, mode, 0, nullptr);
}

int amend(const TestImage& image, const OptionList& options) {
  void* self = nullptr;
  const auto* ops = get<instar_amend_ops>(image, INSTAR_AMEND_ID, &self);
  const instar_options given = options.abi();
  return ops->amend(self, nullptr, &given, 0, nullptr);
}

struct Case {
  const char* name;
  const char* compat;
  bool backing;
  bool snapshot;
  uint64_t size_after;
  std::function<int(const TestImage&)> change;
};

class Maintenance : public ::testing::TestWithParam<Case> {
 protected:
  uint64_t pick(uint64_t limit) {
    return std::uniform_int_distribution<uint64_t>(0, limit)(random_);
  }
  void make();
  std::vector<uint8_t> read(Files& files);

  std::mt19937_64 random_{11};
  Files files_;
  std::vector<uint8_t> start_;
};

void Maintenance::make() {
  OptionList options{{"size", std::to_string(kSize)},
                     {"cluster_size", std::to_string(kCluster)},
                     {"compat", GetParam().compat}};
  if (GetParam().backing) {
    files_.backing = std::make_unique<MemoryFile>(std::vector<uint8_t>(kSize, 7));
    options.add("backing_file", "base.raw");
    options.add("backing_fmt", "raw");
  }
  ASSERT_EQ(create(files_, options), "");
  TestImage image(files_, INSTAR_OPEN_WRITE);
  ASSERT_TRUE(image.open()) << image.error();
  for (int i = 0; i < 60; ++i) {
    const uint64_t begin = pick(kSize / kCluster - 1) * kCluster;
    const std::vector<uint8_t> bytes(kCluster, static_cast<uint8_t>(20 + i));
    if (pick(3) == 0)
      ASSERT_EQ(image.write_zeroes(begin, kCluster, INSTAR_WRITE_MAY_UNMAP), 0);
    else if (pick(3) == 0)
      ASSERT_EQ(image.write_packed(begin, bytes), 0);
    else
      ASSERT_EQ(image.write(begin, bytes), 0);
    if (i == 30 && GetParam().snapshot) {
      void* self = nullptr;
      const auto* ops = get<instar_snapshot_ops>(image, INSTAR_SNAPSHOT_ID, &self);
      ASSERT_EQ(ops->create(self, nullptr, "s", 0, 0), 0);
    }
  }
  ASSERT_EQ(image.close(), 0);
}

/** Empty when the image can't be read. */
std::vector<uint8_t> Maintenance::read(Files& files) {
  const TestImage image(files, 0);
  if (!image.open()) return {};
  std::vector<uint8_t> content(*image.node().size());
  if (image.read(0, &content) != 0) return {};
  return content;
}

TEST_P(Maintenance, IsDoneOrNot) {
  make();
  ASSERT_FALSE(HasFatalFailure());
  start_ = files_.file.bytes;
  const auto before = read(files_);
  ASSERT_EQ(before.size(), kSize);
  files_.file.logs = true;
  {
    TestImage image(files_, INSTAR_OPEN_WRITE);
    ASSERT_TRUE(image.open()) << image.error();
    ASSERT_EQ(GetParam().change(image), 0);
    ASSERT_EQ(image.close(), 0);
  }
  files_.file.logs = false;
  const auto after = read(files_);
  ASSERT_EQ(after.size(), GetParam().size_after);
  const auto last = reference_verdict(files_, &after);
  if (last) {
    EXPECT_EQ(*last, "");
  }
  const size_t total = files_.file.events.size();
  for (size_t at = 0; at <= total; ++at) {
    Files cut_files;
    cut_files.file.bytes = files_.file.after_cut(start_, at, random_);
    if (files_.backing) cut_files.backing = std::make_unique<MemoryFile>(files_.backing->bytes);
    const auto content = read(cut_files);
    ASSERT_TRUE(content.size() == before.size() || content.size() == after.size())
        << "cut at " << at;
    // Byte by byte: parts that are given up go one after another.
    for (size_t i = 0; i < content.size(); ++i) {
      const bool was = i < before.size() && content[i] == before[i];
      const bool is = i < after.size() && content[i] == after[i];
      const bool dropped = i >= std::min(before.size(), after.size());
      ASSERT_TRUE(was || is || dropped) << "cut at " << at << " of " << total << ", byte " << i;
    }
    if (const auto verdict = reference_verdict(cut_files, nullptr, true)) {
      ASSERT_EQ(*verdict, "") << "cut at " << at;
    }
  }
}

const std::vector<Case>& all_cases() {
  static const std::vector<Case> kCases = {
      {"Shrink", "1.1", false, false, kShrunk,
       [](const TestImage& image) { return resize(image, kShrunk, 0); }},
      {"ShrinkWithSnapshot", "1.1", true, true, kShrunk,
       [](const TestImage& image) { return resize(image, kShrunk, 0); }},
      {"Grow", "1.1", true, true, 16 * kSize,
       [](const TestImage& image) { return resize(image, 16 * kSize, 0); }},
      {"GrowPreallocated", "1.1", false, false, 8 * kSize,
       [](const TestImage& image) {
         return resize(image, 8 * kSize, INSTAR_PREALLOCATION_METADATA);
       }},
      {"WiderCounts", "1.1", false, true, kSize,
       [](const TestImage& image) {
         return amend(image, {{"refcount_bits", "64"}});
       }},
      {"NarrowerCounts", "1.1", false, false, kSize,
       [](const TestImage& image) {
         return amend(image, {{"refcount_bits", "8"}});
       }},
      {"Upgrade", "0.10", true, true, kSize,
       [](const TestImage& image) {
         return amend(image, {{"compat", "1.1"}});
       }},
      {"Downgrade", "1.1", true, true, kSize,
       [](const TestImage& image) {
         return amend(image, {{"compat", "0.10"}});
       }},
      {"LongerBackingName", "1.1", true, false, kSize,
       [](const TestImage& image) {
         void* self = nullptr;
         const auto* ops = get<instar_change_backing_ops>(image, INSTAR_CHANGE_BACKING_ID, &self);
         std::string name = "base.raw";
         for (int i = 0; i < 300; ++i)
           name.insert(0, "./");
         return ops->change_backing(self, nullptr, name.c_str(), "raw");
       }},
      {"MakeEmpty", "1.1", true, true, kSize,
       [](const TestImage& image) {
         void* self = nullptr;
         const auto* ops = get<instar_make_empty_ops>(image, INSTAR_MAKE_EMPTY_ID, &self);
         return ops->make_empty(self, nullptr);
       }},
  };
  return kCases;
}

INSTANTIATE_TEST_SUITE_P(Changes, Maintenance, ::testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace instar::qcow2::testing
