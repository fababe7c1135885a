// SPDX-License-Identifier: Apache-2.0
// A power cut at every point of some work: what was flushed is there, what was not is old or new, and
// the log is replayed to the same end in memory and in the file.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "plugins/formats/vhdx/testing.hpp"

namespace instar::vhdx::testing {
namespace {

using sdk::testing::Journal;
using sdk::testing::kSanitized;
using sdk::testing::PowerCut;

constexpr size_t kSectors = kBlocks * kBlock / 512;
constexpr int kRounds = kSanitized ? 1 : 3;
constexpr int kSteps = 40;
constexpr size_t kReferenceEvery = 29;

/** What each sector may read as. Every write has a number of its own in each of its bytes. */
class Model {
 public:
  void write(size_t events, size_t begin, size_t count, uint8_t value) {
    for (size_t i = begin; i < begin + count; ++i)
      changes_[i].push_back({events, steps_, value});
    ++steps_;
  }
  /** @param events of the journal when it had ended */
  void flush(size_t events) { flushes_.push_back({events, steps_++}); }

  /** Whether `found` is right after a cut behind `cut` events. */
  bool admits(size_t cut, size_t sector, uint8_t found) const {
    size_t flushed = 0;
    for (const Flush& flush : flushes_)
      if (flush.events <= cut) flushed = flush.step;
    uint8_t old = kInitial;
    for (const Change& change : changes_[sector]) {
      if (change.step < flushed)
        old = change.value;
      else if (change.events < cut && change.value == found)
        return true;
    }
    return found == old;
  }

  static constexpr uint8_t kInitial = 1;

 private:
  struct Change {
    size_t events;  ///< of the journal when it began
    size_t step;
    uint8_t value;
  };
  struct Flush {
    size_t events;
    size_t step;
  };
  std::vector<std::vector<Change>> changes_ = std::vector<std::vector<Change>>(kSectors);
  std::vector<Flush> flushes_;
  size_t steps_ = 1;
};

/** With and without a parent. */
class VhdxCrash : public ::testing::TestWithParam<bool> {
 protected:
  VhdxCrash() {
    EXPECT_TRUE(parent_.create());
    {
      auto node = parent_.open();
      testing::write(*node, 0, kBlocks * kBlock, Model::kInitial);
    }
    parent_node_ = *parent_.open(0);
    if (!GetParam()) {
      disk_.bytes() = parent_.bytes();
    } else {
      EXPECT_TRUE(disk_.create());
      make_child(disk_, *parent_node_.ref().identity());
    }
    add_parent(disk_);
  }
  void add_parent(Disk& disk) {
    if (GetParam()) disk.host.children["backing"] = parent_node_.abi();
  }
  void work();
  void judge(size_t cut, const std::vector<uint8_t>& left);
  void ask_reference(size_t cut, const std::vector<uint8_t>& left);
  std::string wrong(size_t cut, const std::vector<uint8_t>& content) const;

  Disk parent_;
  OwnedNode parent_node_;
  Disk disk_;
  Journal journal_;
  Model model_;
};

void VhdxCrash::work() {
  disk_.memory->journal = &journal_;
  auto node = disk_.open();
  ASSERT_TRUE(node);
  std::mt19937_64 random(1);
  for (int i = 0; i < kSteps; ++i) {
    const size_t begin = random() % kSectors;
    const size_t most = i % 4 == 0 ? 2500 : 9;
    const size_t count = std::min<size_t>(1 + random() % most, kSectors - begin);
    const size_t events = journal_.events().size();
    if (i % 5 == 4) {
      ASSERT_TRUE(node->ref().flush(quiet_call()));
      model_.flush(journal_.events().size());
    } else if (i % 7 == 3) {
      model_.write(events, begin, count, 0);
      ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), begin * 512, count * 512, 0));
    } else {
      model_.write(events, begin, count, static_cast<uint8_t>(2 + i));
      testing::write(*node, begin * 512, count * 512, static_cast<uint8_t>(2 + i));
    }
  }
  ASSERT_TRUE(node->close());
  model_.flush(journal_.events().size());
  disk_.memory->journal = nullptr;
}

std::string VhdxCrash::wrong(size_t cut, const std::vector<uint8_t>& content) const {
  for (size_t sector = 0; sector < kSectors; ++sector) {
    const uint8_t* bytes = &content[sector * 512];
    if (!std::all_of(bytes, bytes + 512, [&](uint8_t byte) { return byte == *bytes; }))
      return sdk::cat("sector ", sector, " is torn");
    if (!model_.admits(cut, sector, *bytes))
      return sdk::cat("sector ", sector, " reads ", int{*bytes});
  }
  return "";
}

void VhdxCrash::judge(size_t cut, const std::vector<uint8_t>& left) {
  Disk disk(left);
  add_parent(disk);
  auto in_memory = disk.open(0);
  ASSERT_TRUE(in_memory) << in_memory.error().message;
  const auto content = testing::read(*in_memory, 0, kBlocks * kBlock);
  ASSERT_EQ(wrong(cut, content), "");
  ASSERT_TRUE(disk.bytes() == left);
  ASSERT_TRUE(in_memory->close());
  auto node = disk.open();
  ASSERT_TRUE(node) << node.error().message;
  ASSERT_TRUE(testing::read(*node, 0, kBlocks * kBlock) == content) << "replayed into the file";
  testing::write(*node, 5 * 512, 512, 99);
  ASSERT_TRUE(node->close());
  node = disk.open(0);
  ASSERT_TRUE(node) << node.error().message;
  auto after = content;
  std::fill_n(after.begin() + 5 * 512, 512, uint8_t{99});
  ASSERT_TRUE(testing::read(*node, 0, kBlocks * kBlock) == after) << "written after the cut";
}

/** The genuine tool replays our log to the same end. */
void VhdxCrash::ask_reference(size_t cut, const std::vector<uint8_t>& left) {
  const char* reference = std::getenv("INSTAR_REFERENCE");
  if (reference == nullptr || GetParam()) return;  // it knows no parents
  const auto folder = std::filesystem::path(::testing::TempDir()) / "instar-vhdx-crash";
  std::filesystem::create_directories(folder);
  const std::string image = folder / "cut.vhdx";
  const std::string raw = folder / "cut.raw";
  std::ofstream(image, std::ios::binary)
      .write(reinterpret_cast<const char*>(left.data()), static_cast<std::streamsize>(left.size()));
  const std::string tool = sdk::cat("'", reference, "/bin/qemu-img' ");
  ASSERT_EQ(std::system((tool + "check -q -r all '" + image + "'").c_str()), 0);
  ASSERT_EQ(std::system((tool + "convert -O raw '" + image + "' '" + raw + "'").c_str()), 0);
  std::ifstream stream(raw, std::ios::binary);
  const std::vector<uint8_t> content{std::istreambuf_iterator<char>(stream), {}};
  ASSERT_EQ(content.size(), kBlocks * kBlock);
  ASSERT_EQ(wrong(cut, content), "");
  std::filesystem::remove_all(folder);
}

TEST_P(VhdxCrash, LosesNothingThatWasFlushed) {
  const auto start = disk_.bytes();
  work();
  ASSERT_FALSE(HasFatalFailure());
  if (std::getenv("INSTAR_REFERENCE") == nullptr)
    std::puts("without the genuine tool: INSTAR_REFERENCE is not set");
  for (int round = 0; round < kRounds; ++round) {
    std::mt19937_64 random(static_cast<uint64_t>(round));
    PowerCut power(journal_, {start});
    for (size_t cut = 0; cut <= journal_.events().size(); ++cut) {
      const auto left = power.at(cut, random)[0];
      judge(cut, left);
      if (!HasFatalFailure() && round == 0 && cut % kReferenceEvery == 0) ask_reference(cut, left);
      ASSERT_FALSE(HasFatalFailure())
          << "cut at " << cut << " of " << journal_.events().size() << ", round " << round;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Parents, VhdxCrash, ::testing::Bool(), [](const auto& info) {
  return std::string(info.param ? "Differencing" : "Dynamic");
});

}  // namespace
}  // namespace instar::vhdx::testing
