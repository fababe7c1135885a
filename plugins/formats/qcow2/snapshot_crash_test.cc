// SPDX-License-Identifier: Apache-2.0
// A power cut while snapshots and bitmaps are changed: the image is as it was before a step or as it is
// after, all snapshots hold what they held, and no bitmap that is said to be good lacks what was written.
// COPIED flags and counts of a cluster can't change in one write: where just these disagree, a write
// copies a cluster needlessly, or in place what nobody else has.
#include <algorithm>
#include <sstream>

#include "plugins/formats/qcow2/testing.hpp"
#include "sdk/cpp/json_reader.hpp"

namespace instar::qcow2::testing {
namespace {

constexpr uint64_t kSize = 1u << 20;
constexpr uint64_t kCluster = 4096;
using Content = std::vector<uint8_t>;

struct State {
  size_t events = 0;  ///< of the log, when this was safe
  Content content = Content(kSize);
  std::map<std::string, Content> snapshots;  ///< by id
  std::vector<bool> dirty;                   ///< clusters that the bitmap has to name
  bool has_bitmap = false;
};

template <class Ops>
const Ops* interface_of(const TestImage& image, const char* id, void** self) {
  return image.node().interface<Ops>(id, self);
}

std::map<std::string, std::string> listed(const TestImage& image) {
  void* self = nullptr;
  const auto* ops = interface_of<instar_snapshot_ops>(image, INSTAR_SNAPSHOT_ID, &self);
  sdk::StringSink text;
  EXPECT_EQ(ops->list(self, nullptr, text.abi()), 0);
  std::map<std::string, std::string> result;
  sdk::JsonObject::each_item(text.text, [&](std::string_view item) {
    const sdk::JsonObject snapshot(item);
    result[snapshot.string("id").value_or("")] = snapshot.string("name").value_or("");
  });
  return result;
}

class SnapshotCrash : public ::testing::TestWithParam<const char*> {
 protected:
  uint64_t pick(uint64_t limit) {
    return std::uniform_int_distribution<uint64_t>(0, limit)(random_);
  }

  void work() {
    const OptionList options{{"size", std::to_string(kSize)},
                             {"cluster_size", std::to_string(kCluster)},
                             {"refcount_bits", GetParam()}};
    ASSERT_EQ(create(files_, options), "");
    start_ = files_.file.bytes;
    files_.file.logs = true;
    now_.dirty.resize(kSize / kCluster);
    states_.push_back(now_);
    for (int session = 0; session < 12; ++session) {
      image_ = std::make_unique<TestImage>(files_, INSTAR_OPEN_WRITE);
      ASSERT_TRUE(image_->open()) << image_->error();
      for (int i = 0; i < 8; ++i) {
        step();
        ASSERT_FALSE(HasFatalFailure());
      }
      ASSERT_EQ(image_->close(), 0);
      image_.reset();
      save();
    }
  }

  void save() {
    now_.events = files_.file.events.size();
    states_.push_back(now_);
  }

  void step() {
    switch (pick(9)) {
      case 0:
        return change_snapshots([&](const instar_snapshot_ops* ops, void* self) {
          ASSERT_EQ(ops->create(self, nullptr, "s", 1, 2), 0);
          for (const auto& [id, name] : listed(*image_))
            now_.snapshots.try_emplace(id, now_.content);
        });
      case 1:
        if (now_.has_bitmap || now_.snapshots.empty()) return;
        return change_snapshots([&](const instar_snapshot_ops* ops, void* self) {
          const auto& [id, content] = *now_.snapshots.begin();
          ASSERT_EQ(ops->apply(self, nullptr, id.c_str()), 0);
          now_.content = content;
        });
      case 2:
        if (now_.snapshots.size() < 2) return;
        return change_snapshots([&](const instar_snapshot_ops* ops, void* self) {
          const std::string id = now_.snapshots.begin()->first;
          ASSERT_EQ(ops->remove(self, nullptr, id.c_str(), "s"), 0);
          now_.snapshots.erase(id);
        });
      case 3:
        return change_bitmap();
      default:
        return write();
    }
  }

  template <class Change>
  void change_snapshots(Change change) {
    if (now_.snapshots.size() > 8) return;
    ASSERT_EQ(image_->flush(), 0);
    save();
    void* self = nullptr;
    const auto* ops = interface_of<instar_snapshot_ops>(*image_, INSTAR_SNAPSHOT_ID, &self);
    change(ops, self);
    save();
  }

  void change_bitmap() {
    void* self = nullptr;
    const auto* ops = interface_of<instar_bitmap_ops>(*image_, INSTAR_BITMAP_ID, &self);
    if (!now_.has_bitmap) {
      ASSERT_EQ(ops->add(self, nullptr, "b", kCluster, 1), 0);
      now_.has_bitmap = true;
    } else if (pick(2) == 0) {
      ASSERT_EQ(ops->remove(self, nullptr, "b"), 0);
      now_.has_bitmap = false;
    } else {
      ASSERT_EQ(ops->clear(self, nullptr, "b"), 0);
    }
    now_.dirty.assign(now_.dirty.size(), false);
  }

  void write() {
    const uint64_t begin = pick(kSize / 512 - 1) * 512;
    const uint64_t length = std::min((1 + pick(40)) * 512, kSize - begin);
    const auto value = static_cast<uint8_t>(pick(254) + 1);
    const bool zeroes = pick(3) == 0;
    if (zeroes)
      ASSERT_EQ(image_->write_zeroes(begin, length, INSTAR_WRITE_MAY_UNMAP), 0);
    else
      ASSERT_EQ(image_->write(begin, Content(length, value)), 0);
    std::fill_n(now_.content.begin() + static_cast<int64_t>(begin), length,
                zeroes ? uint8_t{0} : value);
    for (uint64_t at = begin / kCluster; now_.has_bitmap && at <= (begin + length - 1) / kCluster;
         ++at)
      now_.dirty[at] = true;
    touched_.push_back({states_.size(), begin / kCluster * kCluster,
                        std::min(sdk::round_up(begin + length, kCluster), kSize)});
  }

  /** Whether the content is a state's, but for what was written since. */
  bool is(const State& state, size_t number, const Content& content) const {
    Content expected = state.content;
    for (const auto& range : touched_)
      if (range.state == number + 1)
        std::copy(content.begin() + static_cast<int64_t>(range.begin),
                  content.begin() + static_cast<int64_t>(range.end),
                  expected.begin() + static_cast<int64_t>(range.begin));
    return content == expected;
  }

  void judge(size_t at) {
    Files after;
    after.file.bytes = files_.file.after_cut(start_, at, random_);
    size_t number = 0;
    while (number + 1 < states_.size() && states_[number + 1].events <= at)
      ++number;
    const State& before = states_[number];
    const State& next = states_[std::min(number + 1, states_.size() - 1)];
    const TestImage image(after, 0);
    ASSERT_TRUE(image.open()) << image.error();
    Content content(kSize);
    ASSERT_EQ(image.read(0, &content), 0);
    ASSERT_TRUE(is(before, number, content) || content == next.content);
    for (const auto& [id, name] : listed(image)) {
      const auto& expected = before.snapshots.contains(id) ? before : next;
      ASSERT_TRUE(expected.snapshots.contains(id)) << "snapshot " << id;
      TestImage view(after, 0);
      void* self = nullptr;
      const auto* ops = interface_of<instar_snapshot_ops>(view, INSTAR_SNAPSHOT_ID, &self);
      ASSERT_EQ(ops->load(self, nullptr, id.c_str()), 0);
      ASSERT_EQ(view.read(0, &content), 0);
      ASSERT_TRUE(content == expected.snapshots.at(id)) << "snapshot " << id;
    }
    judge_bitmap(image, before, next);
    verdict(after);
  }

  static void judge_bitmap(const TestImage& image, const State& before, const State& next) {
    void* self = nullptr;
    const auto* ops = interface_of<instar_bitmap_ops>(image, INSTAR_BITMAP_ID, &self);
    std::vector<bool> found(kSize / kCluster);
    const auto run = [](void* opaque, uint64_t offset, uint64_t length) noexcept -> int {
      for (uint64_t i = offset / kCluster; i * kCluster < offset + length; ++i)
        (*static_cast<std::vector<bool>*>(opaque))[i] = true;
      return 0;
    };
    if (ops->walk(self, nullptr, "b", &found, run) < 0) return;  // none, or not to be trusted
    const auto covers = [&](const State& state) {
      for (size_t i = 0; i < found.size(); ++i)
        if (state.dirty[i] && !found[i]) return false;
      return true;
    };
    ASSERT_TRUE(covers(before) || covers(next));
  }

  static void verdict(const Files& files) {
    const auto said = reference_verdict(files, nullptr, true);
    std::istringstream lines(said.value_or(""));
    for (std::string line; std::getline(lines, line);)
      ASSERT_TRUE(line.find("ERROR") == std::string::npos ||
                  line.find("OFLAG_COPIED") != std::string::npos)
          << *said;
  }

  struct Touched {
    size_t state;  ///< the next one
    uint64_t begin;
    uint64_t end;
  };
  std::mt19937_64 random_{11};
  Files files_;
  std::unique_ptr<TestImage> image_;
  Content start_;
  State now_;
  std::vector<State> states_;
  std::vector<Touched> touched_;
};

TEST_P(SnapshotCrash, NothingIsLost) {
  work();
  ASSERT_FALSE(HasFatalFailure());
  const size_t total = files_.file.events.size();
  for (int i = 0; i < 150; ++i) {
    const size_t at = pick(total);
    judge(at);
    ASSERT_FALSE(HasFatalFailure()) << "cut at " << at << " of " << total;
  }
}

INSTANTIATE_TEST_SUITE_P(RefcountBits, SnapshotCrash, ::testing::Values("16", "64"));

}  // namespace
}  // namespace instar::qcow2::testing
