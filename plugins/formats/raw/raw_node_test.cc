// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/raw/raw_node.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "sdk/cpp/testing.hpp"

namespace instar::raw {
namespace {

using sdk::FormatTable;
using sdk::NodeRef;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

/** A raw image over a disk in memory whose byte n is n % 251. */
class Raw : public testing::Test {
 protected:
  explicit Raw(size_t size = 8192) {
    disk_->bytes.resize(size);
    for (size_t i = 0; i < size; ++i)
      disk_->bytes[i] = static_cast<uint8_t>(i % 251);
    host_.children["file"] = file_.abi();
  }
  Result<OwnedNode> open(const OptionList& options = {}) {
    return host_.open(FormatTable<RawNode>::ops(), "disk.raw", INSTAR_OPEN_WRITE, options);
  }
  std::string error(const OptionList& options) {
    auto node = open(options);
    return node ? "" : node.error().message;
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  FakeHost host_;
};

TEST_F(Raw, IsTheFileItself) {
  auto node = open();
  ASSERT_TRUE(node);
  EXPECT_EQ(host_.role_of["file"], uint32_t{INSTAR_CHILD_FILTERED});
  EXPECT_EQ(*node->ref().size(), 8192u);
  std::vector<uint8_t> data(300);
  ASSERT_TRUE(node->ref().read(quiet_call(), 100, data.data(), data.size()));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), disk_->bytes.begin() + 100));
  ASSERT_TRUE(node->ref().write(quiet_call(), 4000, "instar", 6));
  EXPECT_EQ(std::string(disk_->bytes.begin() + 4000, disk_->bytes.begin() + 4006), "instar");
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 4001, 2));
  EXPECT_EQ(disk_->bytes[4001], 0);
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  ASSERT_TRUE(node->ref().discard(quiet_call(), 0, 512));
  EXPECT_EQ(disk_->flushes, 1u);
  EXPECT_EQ(disk_->discards, 1u);
}

TEST_F(Raw, ShowsAWindow) {
  auto node = open(OptionList().number("offset", 1024).number("size", 2048));
  ASSERT_TRUE(node);
  EXPECT_EQ(host_.role_of["file"], uint32_t{INSTAR_CHILD_DATA});
  EXPECT_EQ(*node->ref().size(), 2048u);
  uint8_t byte = 0;
  ASSERT_TRUE(node->ref().read(quiet_call(), 1, &byte, 1));
  EXPECT_EQ(byte, 1025 % 251);
  EXPECT_EQ(node->ref().read(quiet_call(), 2048, &byte, 1).error().code, EINVAL);
  EXPECT_EQ(node->ref().write(quiet_call(), 2047, "ab", 2).error().code, ENOSPC);
  EXPECT_EQ(node->ref().write_zeroes(quiet_call(), 2048, 1).error().code, ENOSPC);
  EXPECT_EQ(node->ref().discard(quiet_call(), UINT64_MAX, 2).error().code, ENOSPC);
  EXPECT_EQ(node->ref().resize(quiet_call(), 4096).error().message,
            "Cannot resize fixed-size raw disks");
}

TEST_F(Raw, RefusesWindowsOutsideOfTheFile) {
  EXPECT_EQ(error(OptionList().number("offset", 9000)),
            "Offset (9000) cannot be greater than size of the containing file (8192)");
  EXPECT_EQ(error(OptionList().number("size", 9216)),
            "The sum of offset (0) and size (9216) has to be smaller or equal to the  actual size "
            "of the containing file (8192)");
  EXPECT_EQ(error(OptionList().number("offset", 4096).number("size", UINT64_MAX)),
            "The sum of offset (4096) and size (18446744073709551615) has to be smaller or equal "
            "to the  actual size of the containing file (8192)");
  EXPECT_EQ(error(OptionList().number("size", 100)), "Specified size is not multiple of 512");
  EXPECT_EQ(error(OptionList().number("offset", 8192)), "");
}

TEST_F(Raw, ExtentsAreTheFilesWithPlaces) {
  std::fill_n(disk_->bytes.begin() + 2048, 1024, uint8_t{0});
  auto node = open(OptionList().number("offset", 1024));
  instar_extent out[4];
  ASSERT_EQ(*node->ref().extents(quiet_call(), 512, 6656, out, 4), 3u);
  EXPECT_EQ(out[0].length, 512u);
  EXPECT_EQ(out[0].flags,
            uint32_t{INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET});
  EXPECT_EQ(out[0].child_offset, 1536u);
  EXPECT_EQ(out[1].length, 1024u);
  EXPECT_EQ(out[1].flags & INSTAR_EXTENT_ZERO, uint32_t{INSTAR_EXTENT_ZERO});
  EXPECT_EQ(out[1].child_offset, 2048u);
  EXPECT_EQ(out[2].child_offset, 3072u);
  ASSERT_EQ(*node->ref().extents(quiet_call(), 512, 6656, out, 2), 2u);
}

TEST(RawExtents, LeaveToTheChildWhatItDoesNotDecide) {
  struct Undecided {
    uint64_t size() const { return 4096; }
    sdk::Status read(uint64_t, sdk::Bytes) { return {}; }
    Result<size_t> extents(const sdk::Call&, uint64_t, uint64_t length, instar_extent* out,
                           size_t) {
      out[0] = {length, 0, 0, 0};
      return size_t{1};
    }
  };
  instar_node below{};
  sdk::NodeTable<Undecided>::publish(std::make_unique<Undecided>(), &below);
  const OwnedNode owner(below);
  FakeHost host;
  host.children["file"] = owner.abi();
  auto node = host.open(FormatTable<RawNode>::ops(), "disk.raw");
  instar_extent out{};
  ASSERT_EQ(*node->ref().extents(quiet_call(), 512, 512, &out, 1), 1u);
  EXPECT_EQ(out.flags, uint32_t{INSTAR_EXTENT_RECURSE | INSTAR_EXTENT_OFFSET});
  EXPECT_EQ(out.child_offset, 512u);
}

TEST_F(Raw, ResizesTheFile) {
  auto node = open(OptionList().number("offset", 1024));
  ASSERT_TRUE(node->ref().resize(quiet_call(), 16384));
  EXPECT_EQ(disk_->bytes.size(), 17408u);
  EXPECT_EQ(*node->ref().size(), 16384u);
  EXPECT_EQ(node->ref().resize(quiet_call(), INT64_MAX - 1000).error().message,
            "Disk size too large for the chosen offset");
}

TEST_F(Raw, SetsNothingAside) {
  auto node = open(OptionList().number("offset", 1024));
  void* self = nullptr;
  const auto* map = node->ref().interface<instar_map_ops>(INSTAR_MAP_ID, &self);
  ASSERT_NE(map, nullptr);
  instar_placement place{};
  ASSERT_EQ(map->prepare_write(self, nullptr, 512, 1024, &place, 1), 1);
  EXPECT_EQ(place.offset, 512u);
  EXPECT_EQ(place.length, 1024u);
  EXPECT_EQ(place.child_offset, 1536u);
  EXPECT_EQ(map->commit_write(self, nullptr, &place, 1), 0);
  EXPECT_EQ(map->prepare_write(self, nullptr, UINT64_MAX - 10, 1024, &place, 1), -ENOTSUP);
}

TEST_F(Raw, HasNoDescriptorWhereTheFileHasNone) {
  auto node = open();
  void* self = nullptr;
  EXPECT_EQ(node->ref().interface<instar_rawfd_ops>(INSTAR_RAWFD_ID, &self), nullptr);
}

TEST_F(Raw, PassesErrorsOn) {
  auto node = open();
  disk_->fail_with = EIO;
  char byte = 0;
  const auto read = node->ref().read(quiet_call(), 0, &byte, 1);
  EXPECT_EQ(read.error().code, EIO);
  EXPECT_EQ(read.error().message, "Input/output error");
  EXPECT_EQ(node->ref().write(quiet_call(), 0, &byte, 1).error().code, EIO);
  EXPECT_EQ(node->ref().flush(quiet_call()).error().code, EIO);
}

TEST_F(Raw, CreatesAFileOfTheSize) {
  ASSERT_TRUE(
      host_.create(FormatTable<RawNode>::ops(), "new.raw", OptionList().number("size", 1 << 20)));
  EXPECT_EQ(host_.created_sizes, std::vector<uint64_t>{1 << 20});
  host_.children.clear();
  EXPECT_EQ(host_.create(FormatTable<RawNode>::ops(), "new.raw").error().code, ENOENT);
}

TEST_F(Raw, MeasuresWholeSectors) {
  const auto given =
      RawNode::measure(sdk::Host(), sdk::Options(OptionList().number("size", 1000).abi()), {});
  ASSERT_TRUE(given);
  EXPECT_EQ(given->required, 1024u);
  EXPECT_EQ(given->fully_allocated, 1024u);
  const auto of_source = RawNode::measure(sdk::Host(), sdk::Options(), file_.ref());
  EXPECT_EQ(of_source->required, 8192u);
}

/** What describe says over a file that says `json`. */
std::string described(const std::string& json) {
  struct Below {
    std::string json;
    uint64_t size() const { return 512; }
    sdk::Status read(uint64_t, sdk::Bytes) { return {}; }
    sdk::Result<std::string> info() { return json; }
  };
  instar_node below{};
  sdk::NodeTable<Below>::publish(std::make_unique<Below>(Below{json}), &below);
  const OwnedNode owner(below);
  FakeHost host;
  host.children["file"] = owner.abi();
  auto node = host.open(FormatTable<RawNode>::ops(), "disk.raw");
  void* self = nullptr;
  const auto* info = node->ref().interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  sdk::StringSink sink;
  EXPECT_EQ(info->describe(self, nullptr, sink.abi()), 0);
  EXPECT_EQ(info->allocated_size, nullptr);
  return sink.text;
}

TEST(RawInfo, SaysWhatTheFileSays) {
  EXPECT_EQ(described("{}"), "{}");
  EXPECT_EQ(
      described(R"({"format-specific": {"data": {"dirty-flag": true}}, "dirty-flag": false})"),
      R"({"dirty-flag":false})");
  EXPECT_EQ(described(R"({"dirty-flag":true,"cluster-size":65536})"),
            R"({"cluster-size":65536,"dirty-flag":true})");
  EXPECT_EQ(described("nonsense"), "{}");
}

}  // namespace
}  // namespace instar::raw
