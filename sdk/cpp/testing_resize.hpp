// SPDX-License-Identifier: Apache-2.0
/** @file testing_resize.hpp For unit tests of formats: images that get another size, and power cuts in
 * the midst of that. */
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "driver.hpp"
#include "power_cut.hpp"
#include "testing.hpp"

namespace instar::sdk::testing {

/** What a guest sees of a disk: its size, and the first bytes of each step of its beginning. */
struct Content {
  static constexpr uint64_t kStep = 512u << 10;
  static constexpr uint64_t kPiece = 2048;
  static constexpr uint64_t kMost = 300u << 20;

  std::string error;  ///< why there is none
  uint64_t size = 0;
  std::string pieces;

  /** Of a disk that gets another size. */
  Content resized(uint64_t to) const {
    Content other{"", to, pieces};
    other.pieces.resize(div_up(std::min(to, kMost), kStep) * kPiece, '\0');
    if (to < kMost && to % kStep != 0 && to % kStep < kPiece)
      std::fill(other.pieces.end() - static_cast<int64_t>(kPiece - to % kStep), other.pieces.end(),
                '\0');
    return other;
  }
  /** A sector was written, which may lie between two pieces. */
  void put(uint64_t at, const std::string& sector) {
    if (at < kMost && at % kStep < kPiece)
      pieces.replace(at / kStep * kPiece + at % kStep, 512, sector);
  }
  bool operator==(const Content&) const = default;
};

/** An image of one file, on a disk in memory. */
template <class Driver>
struct ImageInMemory {
  explicit ImageInMemory(std::vector<uint8_t> bytes = {}) {
    disk->bytes = std::move(bytes);
    host.children["file"] = file.abi();
  }
  Status create(const OptionList& options) {
    return host.create(FormatTable<Driver>::ops(), "image", options);
  }
  Result<OwnedNode> open(uint32_t flags = INSTAR_OPEN_WRITE) {
    return host.open(FormatTable<Driver>::ops(), "image", flags);
  }
  Content content() {
    const auto node = open(0);
    if (!node) return {node.error().message, 0, ""};
    Content content;
    const auto size = node->ref().size();
    if (size) content.size = *size;
    for (uint64_t at = 0; at < std::min(content.size, Content::kMost); at += Content::kStep) {
      std::string piece(Content::kPiece, '\0');
      const auto n = static_cast<size_t>(std::min(Content::kPiece, content.size - at));
      const auto done = node->ref().read(quiet_call(), at, piece.data(), n);
      if (!done) return {done.error().message, 0, ""};
      content.pieces += piece;
    }
    return content;
  }

  std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(disk);
  FakeHost host;
};

/** Writes at each of the places: how many `unit`s they are from the beginning. */
template <class Driver>
void fill(ImageInMemory<Driver>& image, const std::vector<uint64_t>& places, uint64_t unit = 1) {
  auto node = image.open();
  ASSERT_TRUE(node) << node.error().message;
  for (const uint64_t place : places) {
    const std::string text(1500, static_cast<char>('a' + place % 26));
    ASSERT_TRUE(node->ref().write(quiet_call(), place * unit, text.data(), text.size()));
  }
  ASSERT_TRUE(node->close());
}

/** Writes into what a power cut left, which reads as `found`. */
template <class Driver>
void write_after_cut(ImageInMemory<Driver>& left, Content found) {
  auto node = left.open();
  ASSERT_TRUE(node) << node.error().message;
  const std::string sector(512, 'w');
  const uint64_t places[] = {0, round_down(found.size / 2, Content::kStep), found.size - 512};
  for (const uint64_t at : places) {
    found.put(at, sector);
    ASSERT_TRUE(node->ref().write(quiet_call(), at, sector.data(), sector.size()));
  }
  ASSERT_TRUE(node->close());
  ASSERT_EQ(left.content() == found, true);
}

/** Makes what a power cut left as large as it was to be, or had been: zeroes are behind its end. */
template <class Driver>
void grow_after_cut(ImageInMemory<Driver>& left, uint64_t size) {
  const Content found = left.content();
  if (found.size >= size) return;
  auto node = left.open();
  ASSERT_TRUE(node) << node.error().message;
  const auto done = node->ref().resize(quiet_call(), size, INSTAR_PREALLOCATION_OFF);
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_TRUE(node->close());
  ASSERT_EQ(left.content() == found.resized(size), true);
}

/** Resizes, and looks at what each power cut in the meantime leaves: the old content or the new one,
 * which can be written to, and grows. Leaves the resized image in `image`.
 * @param exact false: only what both sizes have is looked at */
template <class Driver>
void resize_safely(ImageInMemory<Driver>& image, uint64_t size,
                   uint32_t mode = INSTAR_PREALLOCATION_OFF, bool exact = true) {
  const Content before = image.content();
  const std::vector<uint8_t> start = image.disk->bytes;
  Journal journal;
  image.disk->journal = &journal;
  {
    auto node = image.open();
    ASSERT_TRUE(node) << node.error().message;
    const auto done = node->ref().resize(quiet_call(), size, mode);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_TRUE(node->close());
  }
  image.disk->journal = nullptr;
  const Content after = image.content();
  ASSERT_EQ(before.resized(after.size) == after, true) << "the content is another one";
  const uint64_t common = std::min(before.size, after.size);
  for (uint64_t round = 0; round < (kSanitized ? 1 : 2); ++round) {
    std::mt19937_64 random(round);
    PowerCut power(journal, {start});
    for (size_t cut = 0; cut <= journal.events().size(); ++cut) {
      ImageInMemory<Driver> left(power.at(cut, random)[0]);
      const Content found = left.content();
      const bool one_of_both = exact ? found == before || found == after
                                     : (found.size == before.size || found.size == after.size) &&
                                           found.resized(common) == before.resized(common);
      ASSERT_TRUE(one_of_both) << "cut at " << cut << " of " << journal.events().size() << ": "
                               << found.error;
      write_after_cut(left, found);
      if (exact && cut % 2 == round) grow_after_cut(left, std::max(before.size, after.size));
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "written after a cut at " << cut;
    }
  }
}

}  // namespace instar::sdk::testing
