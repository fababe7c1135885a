// SPDX-License-Identifier: Apache-2.0
// A power cut at any point of long random work: what was flushed is there, snapshots and bitmaps are
// whole or not there, and the metadata has at most leaks. Every event of a workload is a cut point.
//
// INSTAR_CRASH_CUTS=N: N cut points of each kind of image, of one workload after another.
// INSTAR_CRASH_SEED=N: the first workload's number.
#include <cstdlib>

#include "plugins/formats/qcow2/workload_model.hpp"

namespace instar::qcow2::testing {
namespace {

constexpr size_t kEvents = 1100;  // of a workload
constexpr size_t kCuts = kSanitized ? kEvents / 5 : 2 * kEvents;
constexpr size_t kReferenceEvery =
    50;  // a cut; two processes take as long as many of our own checks
constexpr size_t kReferenceSeldom = 500;  // where there are more cuts than kCuts
constexpr size_t kGoOnEvery = 16;
constexpr size_t kRepairEvery = 4;

size_t from_environment(const char* name, size_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

size_t wanted_cuts() {
  return from_environment("INSTAR_CRASH_CUTS", kCuts);
}

class WorkloadCrash : public ::testing::TestWithParam<ImageKind> {
 protected:
  size_t run(uint64_t seed, size_t cuts);
  void judge_cut(const Workload& work, size_t cut, PowerCut::Files files);
  void go_on(const PowerCut::Files& files, State state, uint64_t seed);
};

void WorkloadCrash::judge_cut(const Workload& work, size_t cut, PowerCut::Files files) {
  State found;
  ASSERT_EQ(judge(work.states(), cut, files, &found), "");
  if (cut % (wanted_cuts() > kCuts ? kReferenceSeldom : kReferenceEvery) == 0) {
    const auto verdict = ask(files, found);
    ASSERT_TRUE(!verdict || verdict->empty()) << *verdict;
  }
  if (cut % (is_dirty(files[kImageFile]) ? kRepairEvery : kGoOnEvery) == 0)
    go_on(files, found, cut);
  ASSERT_EQ(check_metadata(files), "");
}

/** Whoever works on with what a cut left does no harm, either, be it only that he repairs it and is cut
 * off again. */
void WorkloadCrash::go_on(const PowerCut::Files& files, State state, uint64_t seed) {
  Workload work(GetParam(), seed, files, std::move(state));
  if (!is_dirty(files[kImageFile]))
    for (int i = 0; i < 12 && !HasFatalFailure(); ++i)
      work.random_step();
  if (!HasFatalFailure()) work.close();
  ASSERT_FALSE(HasFatalFailure()) << "when work goes on after the cut";
  std::string steps;
  for (const auto& state : work.states())
    steps += "\n  " + state.step;
  SCOPED_TRACE("when work goes on after the cut:" + steps);
  const auto flags = files[kImageFile][7] == 2 ? Flags::kMayDiffer : Flags::kExact;
  const size_t total = work.journal().events().size();
  std::mt19937_64 random(seed);
  PowerCut power(work.journal(), work.start());
  for (const size_t cut : {random() % (total + 1), total}) {
    auto after = cut < total ? power.at(cut, random) : work.current();
    State found;
    ASSERT_EQ(judge(work.states(), cut, after, &found), "") << "cut again at " << cut;
    ASSERT_EQ(check_metadata(after, flags), "") << "cut again at " << cut;
  }
}

/** How many cut points there were. */
size_t WorkloadCrash::run(uint64_t seed, size_t cuts) {
  Workload work(GetParam(), seed);
  work.run(std::min(cuts, kEvents));
  std::mt19937_64 random(seed);
  PowerCut power(work.journal(), work.start());
  const size_t total = work.journal().events().size();
  for (size_t cut = 0; cut <= total && !HasFatalFailure(); ++cut) {
    judge_cut(work, cut, power.at(cut, random));
    EXPECT_FALSE(HasFatalFailure()) << "cut at " << cut << " of " << total << ", seed " << seed;
  }
  return total + 1;
}

TEST_P(WorkloadCrash, LosesNothing) {
  const size_t left = wanted_cuts();
  size_t done = 0;
  for (uint64_t seed = from_environment("INSTAR_CRASH_SEED", 1); done < left && !HasFatalFailure();
       ++seed)
    done += run(seed, left - done);
  RecordProperty("cuts", std::to_string(done));
}

const std::vector<ImageKind>& all_kinds() {
  static const std::vector<ImageKind> kKinds = {
      {.name = "Cluster64k", .cluster_bits = 16},
      {.name = "Cluster4kBacking", .backing = true},
      {.name = "Cluster512Backing", .cluster_bits = 9, .backing = true},
      {.name = "Refcount1", .refcount_bits = 1},
      {.name = "Refcount64Backing", .cluster_bits = 11, .refcount_bits = 64, .backing = true},
      {.name = "ExtendedBacking", .cluster_bits = 14, .extended = true, .backing = true},
      {.name = "Lazy", .lazy = true},
      {.name = "Version2", .version2 = true},
      {.name = "Version2Backing", .version2 = true, .backing = true},
      {.name = "DataFile", .data_file = true},
      {.name = "LongHeader", .backing = true, .data_file = true, .long_header = true},
      {.name = "Aes", .backing = true, .encryption = "aes"},
      {.name = "Luks", .cluster_bits = 14, .backing = true, .encryption = "luks"},
  };
  return kKinds;
}

INSTANTIATE_TEST_SUITE_P(Kinds, WorkloadCrash, ::testing::ValuesIn(all_kinds()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace instar::qcow2::testing
