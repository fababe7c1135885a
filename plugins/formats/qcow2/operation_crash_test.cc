// SPDX-License-Identifier: Apache-2.0
// A power cut at every point of one operation that changes much of an image: it is done, or not, and when
// it is started again it comes to its end.
#include <functional>

#include "plugins/formats/qcow2/workload_model.hpp"
#include "sdk/abi/resize.h"

namespace instar::qcow2::testing {
namespace {

constexpr int kRounds = kSanitized ? 1 : 8;  // of each cut; what survives differs
constexpr size_t kReferenceVerdicts = 15;    // of one operation; the genuine tool takes its time

using Step = std::function<void(Workload&)>;

struct Operation {
  const char* name;
  ImageKind kind;
  Step prepare;  ///< may be nullptr
  Step run;      ///< may find that it is done already
};

class OperationCrash : public ::testing::TestWithParam<Operation> {
 protected:
  void judge_cut(const Workload& work, size_t cut, PowerCut::Files files, bool ask_reference);
  void start_again(const Workload& work, const PowerCut::Files& files, State found);
};

void OperationCrash::judge_cut(const Workload& work, size_t cut, PowerCut::Files files,
                               bool ask_reference) {
  State found;
  ASSERT_EQ(judge(work.states(), cut, files, &found), "");
  if (ask_reference) {
    const auto verdict = ask(files, found);
    ASSERT_TRUE(!verdict || verdict->empty()) << *verdict;
  }
  start_again(work, files, found);
  ASSERT_FALSE(HasFatalFailure()) << "when it is started again";
  ASSERT_EQ(check_metadata(files), "");
}

void OperationCrash::start_again(const Workload& work, const PowerCut::Files& files, State found) {
  Workload again(GetParam().kind, 1, files, std::move(found));
  while (!again.now().broken_bitmaps.empty() && !HasFatalFailure())
    again.remove_bitmap(again.now().broken_bitmaps.back());
  if (!HasFatalFailure()) GetParam().run(again);
  if (!HasFatalFailure()) again.close();
  if (HasFatalFailure()) return;
  ASSERT_TRUE(again.now().sectors == work.now().sectors);
  auto after = again.current();
  ASSERT_EQ(judge(again.states(), again.journal().events().size(), after, &found), "");
  const auto flags = files[kImageFile][7] == 2 ? Flags::kMayDiffer : Flags::kExact;
  ASSERT_EQ(check_metadata(after, flags), "");
}

TEST_P(OperationCrash, IsDoneOrNot) {
  Workload work(GetParam().kind, 1);
  for (int i = 0; i < 50 && !HasFatalFailure(); ++i)
    work.random_write_step();
  if (GetParam().prepare && !HasFatalFailure()) GetParam().prepare(work);
  if (!HasFatalFailure()) work.close();
  ASSERT_FALSE(HasFatalFailure());
  const size_t first = work.journal().events().size();
  GetParam().run(work);
  if (!HasFatalFailure()) work.close();
  ASSERT_FALSE(HasFatalFailure());
  const size_t last = work.journal().events().size();
  const size_t ask_every = 1 + (last - first) / kReferenceVerdicts;
  for (int round = 0; round < kRounds; ++round) {
    std::mt19937_64 random(static_cast<uint64_t>(round));
    PowerCut power(work.journal(), work.start());
    for (size_t cut = first; cut <= last; ++cut) {
      judge_cut(work, cut, power.at(cut, random), round == 0 && cut % ask_every == 0);
      ASSERT_FALSE(HasFatalFailure())
          << "cut at " << cut - first << " of " << last - first << ", round " << round;
    }
  }
}

Step resize_to(size_t sectors, uint32_t preallocation = 0) {
  return [=](Workload& work) {
    if (work.now().sectors.size() != sectors) work.resize(sectors, preallocation);
  };
}

Step amend_to(const char* name, const char* value) {
  return [=](Workload& work) { work.amend({{name, value}}); };
}

void take_snapshot(Workload& work) {
  work.create_snapshot();
  for (int i = 0; i < 10; ++i)
    work.random_write_step();
}

void take_bitmap(Workload& work) {
  work.add_bitmap("b");
}

void take_snapshot_and_bitmaps(Workload& work) {
  work.add_bitmap("a");
  work.add_bitmap("b");
  take_snapshot(work);
}

void create_snapshot(Workload& work) {
  if (work.now().snapshots.size() < 2) work.create_snapshot();
}

void apply_snapshot(Workload& work) {
  work.apply_snapshot("1");
}

void remove_snapshot(Workload& work) {
  if (work.now().snapshots.contains("1")) work.remove_snapshot("1");
}

/** Whatever there is: another directory, which may be that of before. */
void change_bitmaps(Workload& work) {
  if (work.now().bitmaps.contains("a")) work.remove_bitmap("a");
  if (!work.now().bitmaps.contains("c")) work.add_bitmap("c");
  if (work.now().bitmaps.contains("b")) work.merge_bitmap("b", "c");
}

void add_bitmap(Workload& work) {
  work.add_bitmap("a");
  work.enable_bitmap("a", true);
}

/** What follows is not in a bitmap that is gone or disabled. */
void clear_some(Workload& work) {
  work.write_zeroes(1, work.now().sectors.size() / 2, INSTAR_WRITE_MAY_UNMAP);
  work.flush();
}

/** What a snapshot has stays as it is. */
void create_snapshot_and_clear(Workload& work) {
  create_snapshot(work);
  clear_some(work);
}

void disable_bitmap(Workload& work) {
  if (work.now().bitmaps.contains("a")) work.enable_bitmap("a", false);
  clear_some(work);
}

void remove_bitmap(Workload& work) {
  if (work.now().bitmaps.contains("a")) work.remove_bitmap("a");
  clear_some(work);
}

/** The file still lists the bitmap when all else is dropped. */
void commit_without_bitmap(Workload& work) {
  if (work.now().bitmaps.contains("a")) work.remove_bitmap("a");
  work.commit();
}

void rename_backing(Workload& work) {
  std::string name = "base.raw";
  for (int i = 0; i < 300; ++i)
    name.insert(0, "./");
  work.rename_backing(name);
}

const std::vector<Operation>& all_operations() {
  const ImageKind plain{.name = "Plain"};
  const ImageKind backing{.name = "Backing", .backing = true};
  const ImageKind version2{.name = "Version2", .version2 = true, .backing = true};
  const ImageKind small{.name = "Small", .cluster_bits = 9, .refcount_bits = 64, .backing = true};
  const ImageKind extended{
      .name = "Extended", .cluster_bits = 14, .extended = true, .backing = true};
  const ImageKind data_file{.name = "DataFile", .data_file = true};
  const ImageKind long_header{
      .name = "LongHeader", .backing = true, .data_file = true, .long_header = true};
  const ImageKind aes{.name = "Aes", .backing = true, .encryption = "aes"};
  static const std::vector<Operation> kOperations = {
      {"Shrink", plain, take_snapshot_and_bitmaps, resize_to(131)},
      {"ShrinkSmall", small, take_snapshot, resize_to(67)},
      {"ShrinkExtended", extended, nullptr, resize_to(203)},
      {"ShrinkDataFile", data_file, nullptr, resize_to(131)},
      {"Grow", backing, take_snapshot_and_bitmaps, resize_to(9001)},
      {"GrowSmall", small, take_snapshot, resize_to(9001)},
      {"GrowVersion2", {.name = "V2", .version2 = true}, nullptr, resize_to(9001)},
      {"GrowPreallocated", plain, nullptr, resize_to(5001, INSTAR_PREALLOCATION_METADATA)},
      {"GrowPreallocatedSmall", small, nullptr, resize_to(5001, INSTAR_PREALLOCATION_METADATA)},
      {"SnapshotCreate", backing, take_snapshot_and_bitmaps, create_snapshot},
      {"SnapshotApply", backing, take_snapshot, apply_snapshot},
      {"SnapshotDelete", backing, take_snapshot, remove_snapshot},
      {"SnapshotCreateVersion2", version2, take_snapshot, create_snapshot_and_clear},
      {"SnapshotApplyVersion2", version2, take_snapshot, apply_snapshot},
      {"SnapshotDeleteVersion2", version2, take_snapshot, remove_snapshot},
      {"Bitmaps", backing, take_snapshot_and_bitmaps, change_bitmaps},
      {"FirstBitmap", backing, nullptr, change_bitmaps},
      {"BitmapDisable", plain, add_bitmap, disable_bitmap},
      {"BitmapRemove", plain, add_bitmap, remove_bitmap},
      {"WiderCounts", plain, take_snapshot, amend_to("refcount_bits", "64")},
      {"NarrowerCounts", backing, nullptr, amend_to("refcount_bits", "8")},
      {"Upgrade", version2, take_snapshot, amend_to("compat", "1.1")},
      {"Downgrade", backing, take_snapshot_and_bitmaps, amend_to("compat", "0.10")},
      {"LazyRefcounts", plain, nullptr, amend_to("lazy_refcounts", "on")},
      {"LongerBackingName", backing, take_snapshot_and_bitmaps, rename_backing},
      {"LongHeader", long_header, take_bitmap, rename_backing},
      {"LongHeaderBitmaps", long_header, take_bitmap, change_bitmaps},
      {"DowngradeAes", aes, take_snapshot_and_bitmaps, amend_to("compat", "0.10")},
      {"Commit", extended, nullptr, [](Workload& work) { work.commit(); }},
      {"CommitWithoutBitmap", extended, add_bitmap, commit_without_bitmap},
      {"CommitVersion2", version2, nullptr, [](Workload& work) { work.commit(); }},
      {"RebaseAway", backing, nullptr, [](Workload& work) { work.rebase(true); }},
      {"RebaseBack", backing, [](Workload& work) { work.rebase(true); },
       [](Workload& work) { work.rebase(false); }},
  };
  return kOperations;
}

INSTANTIATE_TEST_SUITE_P(Operations, OperationCrash, ::testing::ValuesIn(all_operations()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace instar::qcow2::testing
