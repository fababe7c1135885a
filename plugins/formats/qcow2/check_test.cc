// SPDX-License-Identifier: Apache-2.0
// Check and repair: images with one defect each, any damage at all, and repairs that are cut off.
#include "sdk/abi/check.h"

#include <algorithm>

#include "plugins/formats/qcow2/testing.hpp"

namespace instar::qcow2::testing {
namespace {

constexpr uint64_t kSize = 4u << 20;
constexpr uint64_t kCluster = 4096;
constexpr uint32_t kAll = INSTAR_FIX_LEAKS | INSTAR_FIX_ERRORS;

struct Findings {
  int result = 0;
  instar_check_result counters{};
  std::string messages;
};

Findings check(Files& files, uint32_t fix) {
  Findings findings;
  const uint32_t flags = INSTAR_OPEN_CHECK | (fix != 0 ? uint32_t{INSTAR_OPEN_WRITE} : 0u);
  TestImage image(files, flags);
  if (!image.open()) {
    findings.result = -EINVAL;
    findings.messages = image.error();
    return findings;
  }
  void* self = nullptr;
  const auto* ops = image.node().interface<instar_check_ops>(INSTAR_CHECK_ID, &self);
  sdk::StringSink sink;
  sdk::OutgoingCall call;
  findings.result = ops->check(self, call.abi(), fix, &findings.counters, sink.abi(), nullptr);
  findings.messages = sink.text;
  return findings;
}

/** Data, compressed and zero clusters in an image of 4 MiB. */
std::vector<uint8_t> image(OptionList options) {
  Files files;
  options.add("size", std::to_string(kSize));
  EXPECT_EQ(create(files, options), "");
  const TestImage opened(files, INSTAR_OPEN_WRITE);
  EXPECT_EQ(opened.write(70000, std::vector<uint8_t>(200000, 0x55)), 0);
  EXPECT_EQ(
      opened.write_packed(1u << 20, std::vector<uint8_t>(opened.node().limits()->cluster_size, 3)),
      0);
  EXPECT_EQ(opened.write_zeroes(2u << 20, 1u << 20, 0), 0);
  EXPECT_EQ(opened.flush(), 0);
  return files.file.bytes;
}

class Check : public ::testing::Test {
 protected:
  Check() { files_.file.bytes = image({{"cluster_size", "4096"}}); }
  uint64_t get(uint64_t offset) { return load_be<uint64_t>(&files_.file.bytes[offset]); }
  void put(uint64_t offset, uint64_t value) { store_be(&files_.file.bytes[offset], value); }
  uint64_t reftable() { return get(48); }
  uint64_t refblock() { return get(reftable()); }
  uint64_t l1() { return get(40); }
  uint64_t l2() { return get(l1()) & kL1OffsetMask; }
  /** Of the first data cluster, in the L2 table. */
  uint64_t entry() { return l2() + 70000 / kCluster * 8; }
  void set_count(uint64_t cluster, uint16_t count) {
    store_be(&files_.file.bytes[refblock() + cluster * 2], count);
  }
  void expect_good() {
    const Findings again = check(files_, 0);
    EXPECT_EQ(again.result, 0);
    EXPECT_EQ(again.messages, "");
    EXPECT_EQ(again.counters.corruptions + again.counters.leaks + again.counters.check_errors, 0);
    const auto verdict = reference_verdict(files_, nullptr);
    if (verdict) {
      EXPECT_EQ(*verdict, "");
    }
  }
  Files files_;
};

TEST_F(Check, GoodImages) {
  expect_good();
  const Findings findings = check(files_, 0);
  EXPECT_EQ(findings.counters.total_clusters, static_cast<int64_t>(kSize / kCluster));
  EXPECT_EQ(findings.counters.compressed_clusters, 1);
  for (const char* width : {"1", "2", "4", "8", "32", "64"}) {
    files_.file.bytes = image({{"cluster_size", "4096"}, {"refcount_bits", width}});
    expect_good();
  }
  files_.file.bytes = image({{"cluster_size", "16384"}, {"extended_l2", "on"}});
  expect_good();
}

TEST_F(Check, LeaksAreFreed) {
  const uint64_t end = files_.file.bytes.size() / kCluster;
  set_count(end + 3, 1);
  Findings findings = check(files_, 0);
  EXPECT_EQ(findings.counters.leaks, 0) << "beyond the end of the file";
  files_.file.bytes.resize((end + 4) * kCluster);
  const std::string cluster = std::to_string(end + 3);
  findings = check(files_, 0);
  EXPECT_EQ(findings.messages, "Leaked cluster " + cluster + " refcount=1 reference=0\n");
  EXPECT_EQ(findings.counters.leaks, 1);
  findings = check(files_, INSTAR_FIX_LEAKS);
  EXPECT_EQ(findings.counters.leaks_fixed, 1);
  expect_good();
}

TEST_F(Check, FlagsFollowCounts) {
  put(entry(), get(entry()) & ~kEntryCopied);
  const Findings findings = check(files_, kAll);
  EXPECT_EQ(findings.counters.corruptions_fixed, 1) << findings.messages;
  EXPECT_NE(get(entry()) & kEntryCopied, 0u);
  expect_good();
}

// What was repaired in it is seen where the next entry refers to it.
TEST_F(Check, TableOfTwoEntriesIsRepairedOnce) {
  put(entry(), ((get(entry()) & kEntryOffsetMask) + 512) | kEntryZero);
  put(l1() + 8, get(l1()));
  const std::string messages = check(files_, kAll).messages;
  const size_t first = messages.find("Preallocated cluster is not properly aligned");
  EXPECT_NE(first, messages.npos);
  EXPECT_EQ(messages.find("Preallocated", first + 1), messages.npos) << messages;
}

TEST_F(Check, LostBlockIsRebuilt) {
  std::fill_n(files_.file.bytes.begin() + static_cast<int64_t>(refblock()), kCluster, uint8_t{0});
  EXPECT_GT(check(files_, 0).counters.corruptions, 0);
  const Findings findings = check(files_, kAll);
  EXPECT_EQ(findings.result, 0) << findings.messages;
  EXPECT_NE(findings.messages.find("Rebuilding refcount structure\n"), std::string::npos);
  expect_good();
}

TEST_F(Check, FlagsOfTheHeaderAreCleared) {
  put(72, kIncompatCorrupt | kIncompatDirty);
  EXPECT_EQ(check(files_, kAll).result, 0);
  EXPECT_EQ(get(72), 0u);
}

TEST_F(Check, DirtyImagesAreRepairedWhenOpened) {
  put(72, kIncompatDirty);
  files_.file.bytes.resize(files_.file.bytes.size() + kCluster);
  set_count(files_.file.bytes.size() / kCluster - 1, 1);
  { const TestImage opened(files_, INSTAR_OPEN_WRITE); }
  EXPECT_EQ(get(72), 0u);
  expect_good();
}

TEST_F(Check, LazyImagesAreDirtyWhileWritten) {
  files_.file.bytes = image({{"cluster_size", "4096"}, {"lazy_refcounts", "on"}});
  {
    TestImage opened(files_, INSTAR_OPEN_WRITE);
    EXPECT_EQ(get(72), 0u);
    EXPECT_EQ(opened.write(0, std::vector<uint8_t>(kCluster, 1)), 0);
    EXPECT_EQ(get(72), uint64_t{kIncompatDirty});
    EXPECT_EQ(opened.close(), 0);
  }
  EXPECT_EQ(get(72), 0u);
}

TEST_F(Check, WritesIntoMetadataAreStopped) {
  put(entry(), refblock() | kEntryCopied);
  TestImage opened(files_, INSTAR_OPEN_WRITE);
  const auto before = files_.file.bytes;
  EXPECT_EQ(opened.write(70000 / kCluster * kCluster, std::vector<uint8_t>(kCluster, 1)), -EIO);
  EXPECT_EQ(get(72), uint64_t{kIncompatCorrupt});
  std::vector<uint8_t> read(512);
  EXPECT_EQ(opened.read(0, &read), -ENOMEDIUM);  // no longer there
  opened.close();
  put(72, 0);
  EXPECT_EQ(files_.file.bytes, before);
}

TEST_F(Check, WithoutOverlapCheckTheyAreNot) {
  put(entry(), refblock() | kEntryCopied);
  TestImage opened(files_, INSTAR_OPEN_WRITE, {{"overlap-check", "none"}});
  EXPECT_EQ(opened.write(70000 / kCluster * kCluster, std::vector<uint8_t>(kCluster, 1)), 0);
}

/** A repair that is cut off at any write can be started again, and ends as well. */
TEST_F(Check, RepairSurvivesPowerCuts) {
  std::mt19937_64 random(3);
  std::vector<uint8_t> content(kSize);
  ASSERT_EQ(TestImage(files_, 0).read(0, &content), 0);
  for (const bool rebuild : {false, true}) {
    Files broken;
    broken.file.bytes = files_.file.bytes;
    for (uint64_t i = 0; i < 12; ++i)
      store_be(&broken.file.bytes[refblock() + (5 + random() % 40) * 2],
               static_cast<uint16_t>(rebuild && i % 2 == 0 ? 0 : 2));
    const auto start = broken.file.bytes;
    Journal journal;
    broken.file.journal = &journal;
    ASSERT_EQ(check(broken, kAll).result, 0);
    PowerCut cuts(journal, {start});
    for (size_t cut = 0; cut <= journal.events().size(); ++cut) {
      Files after;
      after.file.bytes = std::move(cuts.at(cut, random)[0]);
      ASSERT_EQ(check(after, kAll).result, 0) << "cut at " << cut;
      const Findings left = check(after, 0);
      ASSERT_EQ(left.counters.corruptions + left.counters.leaks + left.counters.check_errors, 0)
          << "cut at " << cut << ": " << left.messages;
      std::vector<uint8_t> read(kSize);
      ASSERT_EQ(TestImage(after, 0).read(0, &read), 0);
      ASSERT_TRUE(read == content) << "cut at " << cut;
    }
  }
}

TEST(Fuzz, CheckAndRepairOfAnyDamageEnd) {
  const std::vector<std::vector<uint8_t>> seeds = {
      image({{"cluster_size", "4096"}}), image({{"cluster_size", "512"}, {"compat", "0.10"}}),
      image({{"cluster_size", "16384"}, {"extended_l2", "on"}}),
      image({{"cluster_size", "65536"}, {"refcount_bits", "1"}})};
  const char* longer = std::getenv("INSTAR_FUZZ_ROUNDS");
  const int rounds = longer != nullptr ? std::atoi(longer) : 2000;
  std::mt19937_64 random(1);
  for (int round = 0; round < rounds; ++round) {
    Files files;
    auto& bytes = files.file.bytes;
    bytes = seeds[static_cast<size_t>(round) % seeds.size()];
    for (uint64_t n = 1 + random() % 6; n > 0; --n) {
      const uint64_t place = random() % 2 == 0 ? random() % 120 : random() % bytes.size();
      const uint64_t at = std::min<uint64_t>(place, bytes.size() - 8);
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<uint8_t>(random());
          break;
        case 1:
          store_be(&bytes[at / 8 * 8], random() % (bytes.size() + 65536) | (random() % 4) << 62);
          break;
        default:
          store_be(&bytes[at / 4 * 4], static_cast<uint32_t>(random() % 300));
      }
    }
    (void)check(files, 0);
    (void)check(files, random() % 2 == 0 ? uint32_t{INSTAR_FIX_LEAKS} : kAll);
    (void)check(files, 0);
  }
}

}  // namespace
}  // namespace instar::qcow2::testing
