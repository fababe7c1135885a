// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vpc/image.hpp"

#include <gtest/gtest.h>

#include "plugins/formats/vpc/geometry.hpp"
#include "sdk/cpp/parent_name.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::vpc {
namespace {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kBlock = kDefaultBlockSize;
constexpr uint64_t kBlocks = 3;
constexpr uint64_t kTable = sizeof(Footer) + sizeof(DynamicHeader);
constexpr uint64_t kTableEnd = kTable + kSectorSize;

/** An image on a disk in memory. */
struct Disk {
  Disk() { host.children["file"] = file.abi(); }
  sdk::Status create(OptionList options = {}) {
    options.number("size", kBlocks * kBlock).flag("force_size", true);
    return host.create(FormatTable<Image>::ops(), "disk.vhd", options);
  }
  sdk::Result<OwnedNode> open(uint32_t flags = INSTAR_OPEN_WRITE) {
    return host.open(FormatTable<Image>::ops(), "disk.vhd", flags);
  }
  std::string open_error() {
    const auto node = open(0);
    return node ? "" : node.error().message;
  }
  template <class Structure>
  Structure get(size_t offset) const {
    Structure structure;
    std::memcpy(&structure, &bytes()[offset], sizeof structure);
    return structure;
  }
  /** With a new checksum. */
  template <class Structure>
  void set(size_t offset, Structure structure) {
    structure.checksum = checksum_of(structure);
    std::memcpy(&bytes()[offset], &structure, sizeof structure);
  }
  uint32_t entry(size_t block) const {
    return sdk::load_be<uint32_t>(&bytes()[kTable + 4 * block]);
  }
  std::vector<uint8_t>& bytes() { return memory->bytes; }
  const std::vector<uint8_t>& bytes() const { return memory->bytes; }
  bool ends_with_footer() const {
    return std::equal(bytes().begin(), bytes().begin() + sizeof(Footer),
                      bytes().end() - sizeof(Footer));
  }

  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(memory);
  FakeHost host;
};

void write(const OwnedNode& node, uint64_t offset, size_t length, uint8_t value) {
  const std::vector<uint8_t> data(length, value);
  ASSERT_TRUE(node.ref().write(quiet_call(), offset, data.data(), data.size()));
}

std::vector<uint8_t> read(const OwnedNode& node, uint64_t offset, size_t length) {
  std::vector<uint8_t> data(length, 0xee);
  EXPECT_TRUE(node.ref().read(quiet_call(), offset, data.data(), data.size()));
  return data;
}

std::vector<uint8_t> filled(size_t length, uint8_t value) {
  return std::vector<uint8_t>(length, value);
}

TEST(VpcGeometry, IsWhatTheGenuineToolWrites) {
  struct Known {
    uint64_t sectors, cylinders;
    uint32_t heads, per_track;
  };
  // Of images that qemu-img 10.0.2 made.
  for (const Known& known :
       {Known{0, 0, 0, 0}, Known{1, 1, 4, 17}, Known{69, 2, 4, 17}, Known{255, 4, 4, 17},
        Known{280059, 565, 16, 31}, Known{885523, 879, 16, 63}, Known{66059279, 16191, 16, 255},
        Known{66059281, 16192, 16, 255}, Known{267382799, 65535, 16, 255},
        Known{kMostSectors, 65535, 16, 255}}) {
    const Geometry geometry = geometry_above(known.sectors);
    EXPECT_EQ(geometry.cylinders, known.cylinders) << known.sectors;
    EXPECT_EQ(geometry.heads, known.heads) << known.sectors;
    EXPECT_EQ(geometry.sectors_per_track, known.per_track) << known.sectors;
  }
}

TEST(Vpc, TheTableIsWrittenByFlushOnlyAndTheFooterFollowsTheBlocks) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  auto node = disk.open();
  ASSERT_TRUE(node);
  write(*node, kBlock + 512, 512, 7);
  EXPECT_EQ(disk.entry(1), kUnallocated);
  EXPECT_TRUE(disk.ends_with_footer());
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(disk.entry(1), kTableEnd / kSectorSize);
  EXPECT_EQ(disk.bytes().size(), kTableEnd + kSectorSize + kBlock + sizeof(Footer));
  EXPECT_EQ(disk.bytes()[kTableEnd], 0xff);
  EXPECT_EQ(read(*node, kBlock, 512), filled(512, 0));
  EXPECT_EQ(read(*node, kBlock + 512, 512), filled(512, 7));
}

TEST(Vpc, BitsOfOthersAreSetBeforeTheirBlockIsWritten) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  {
    auto node = disk.open();
    write(*node, 0, 512, 7);
  }
  disk.bytes()[kTableEnd + 3] = 0;
  auto node = disk.open();
  EXPECT_EQ(read(*node, 0, 512), filled(512, 7));
  EXPECT_EQ(disk.bytes()[kTableEnd + 3], 0);
  write(*node, 4096, 512, 8);
  EXPECT_EQ(disk.bytes()[kTableEnd + 3], 0xff);
}

TEST(Vpc, AFixedDiskIsKnownByItsEnd) {
  Disk disk;
  ASSERT_TRUE(disk.create(OptionList().text("subformat", "fixed")));
  EXPECT_EQ(disk.bytes().size(), kBlocks * kBlock + sizeof(Footer));
  auto node = disk.open();
  ASSERT_TRUE(node);
  EXPECT_EQ(*node->ref().size(), kBlocks * kBlock);
  write(*node, kBlock * kBlocks - 512, 512, 9);
  EXPECT_EQ(disk.bytes()[kBlocks * kBlock - 1], 9);
  instar_extent extent{};
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, kBlocks * kBlock, &extent, 1), 1u);
  EXPECT_EQ(extent.length, kBlocks * kBlock);
  EXPECT_NE(extent.flags & INSTAR_EXTENT_RECURSE, 0u);
}

TEST(Vpc, AFixedDiskOfNoSizeIsOnlyAFooter) {
  Disk disk;
  ASSERT_TRUE(disk.host.create(FormatTable<Image>::ops(), "disk.vhd",
                               OptionList().text("subformat", "fixed").number("size", 0)));
  EXPECT_EQ(disk.bytes().size(), sizeof(Footer));
  auto node = disk.open();
  ASSERT_TRUE(node);
  EXPECT_EQ(*node->ref().size(), 0u);
}

TEST(Vpc, RefusesWhatItCannotRead) {
  Disk disk;
  ASSERT_TRUE(disk.create());
  const auto dynamic = disk.get<DynamicHeader>(sizeof(Footer));
  auto broken = dynamic;
  broken.block_size = 3 << 20;
  disk.set(sizeof(Footer), broken);
  EXPECT_EQ(disk.open_error(), "Invalid block size 3145728");
  broken = dynamic;
  broken.max_table_entries = 2;
  disk.set(sizeof(Footer), broken);
  EXPECT_EQ(disk.open_error(), "Page table too small");
  broken.max_table_entries = 0xffffffff;
  disk.set(sizeof(Footer), broken);
  EXPECT_EQ(disk.open_error(), "Max Table Entries too large (-1)");
  disk.set(sizeof(Footer), dynamic);
  sdk::store_be(&disk.bytes()[kTable], uint32_t{1000});
  EXPECT_EQ(disk.open_error(), truncated().message);
  disk.bytes()[100] ^= 1;
  EXPECT_EQ(disk.open_error(), "Incorrect header checksum");
}

/** A child of three blocks over a parent full of ones. */
class Differencing : public testing::Test {
 protected:
  Differencing() {
    EXPECT_TRUE(parent_.create());
    {
      auto node = parent_.open();
      write(*node, 0, kBlocks * kBlock, 1);
    }
    EXPECT_TRUE(child_.create());
    auto footer = child_.get<Footer>(0);
    footer.disk_type = static_cast<uint32_t>(DiskType::kDifferencing);
    child_.set(0, footer);
    header_ = child_.get<DynamicHeader>(sizeof(Footer));
    header_.parent_unique_id = parent_.get<Footer>(0).unique_id;
    const auto name = sdk::utf16_of("C:\\disks\\parent.vhd");
    std::copy(name.begin(), name.end(), header_.parent_unicode_name);
    child_.set(sizeof(Footer), header_);
    parent_node_ = *parent_.open(0);
    child_.host.children["backing"] = parent_node_.abi();
  }

  Disk parent_;
  Disk child_;
  DynamicHeader header_;
  OwnedNode parent_node_;
};

TEST_F(Differencing, ShowsItsParentButWhereSectorsAreItsOwn) {
  auto node = child_.open();
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(read(*node, 0, 4096), filled(4096, 1));
  write(*node, kBlock + 9 * 512, 3 * 512, 5);
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  // Nothing of the parent was copied, and three bits are set.
  EXPECT_EQ(child_.bytes()[kTableEnd + 1], 0x70);
  EXPECT_EQ(child_.bytes()[kTableEnd + kSectorSize + 8 * 512], 0);
  EXPECT_EQ(read(*node, kBlock + 8 * 512, 512), filled(512, 1));
  EXPECT_EQ(read(*node, kBlock + 9 * 512, 1536), filled(1536, 5));
  EXPECT_EQ(read(*node, kBlock + 12 * 512, 8192), filled(8192, 1));
  write(*node, kBlock + 12 * 512, 512, 6);
  EXPECT_EQ(read(*node, kBlock + 12 * 512, 512), filled(512, 6));
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), kBlock, 1024, 0));
  EXPECT_EQ(read(*node, kBlock, 1024), filled(1024, 0));
  EXPECT_EQ(read(*node, kBlock + 1024, 512), filled(512, 1));
  ASSERT_TRUE(node->close());
  node = child_.open();
  EXPECT_EQ(read(*node, kBlock, 1024), filled(1024, 0));
  EXPECT_EQ(read(*node, kBlock + 12 * 512, 512), filled(512, 6));
}

TEST_F(Differencing, BlockStatusIsSectorBySector) {
  auto node = child_.open();
  write(*node, kBlock + 512, 1024, 5);
  instar_extent extents[4];
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, kBlocks * kBlock, extents, 4), 4u);
  EXPECT_EQ(extents[0].length, kBlock);
  EXPECT_EQ(extents[0].flags, 0u);
  EXPECT_EQ(extents[1].length, 512u);
  EXPECT_EQ(extents[1].flags, 0u);
  EXPECT_EQ(extents[2].length, 1024u);
  EXPECT_EQ(extents[2].child_offset, kTableEnd + kSectorSize + 512);
  EXPECT_EQ(extents[3].length, kBlock - 1536);
}

TEST_F(Differencing, OnlyOverItsOwnParent) {
  header_.parent_unique_id[0] ^= 1;
  child_.set(sizeof(Footer), header_);
  const std::string error = child_.open_error();
  EXPECT_TRUE(error.starts_with("'parent.vhd' is not the parent of this image: its ID is "))
      << error;
}

TEST_F(Differencing, NotWithoutItsParent) {
  child_.host.children.erase("backing");
  EXPECT_EQ(child_.open_error(), "No such file or directory");
}

TEST(ParentName, OfWindowsMeansAFileHere) {
  EXPECT_EQ(sdk::relative_name(".\\parent.vhd"), "parent.vhd");
  EXPECT_EQ(sdk::relative_name("..\\disks\\a:b.vhd"), "./../disks/a:b.vhd");
  EXPECT_EQ(sdk::relative_name("C:\\parent.vhd"), "");
  EXPECT_EQ(sdk::absolute_name("C:\\disks\\parent.vhd"), "parent.vhd");
  EXPECT_EQ(sdk::absolute_name("/disks/parent.vhd"), "/disks/parent.vhd");
  const std::string text = "p\xc3\xa4rent \xe2\x82\xac \xf0\x9f\x98\x80";
  EXPECT_EQ(sdk::utf8_of(sdk::utf16_of(text)), text);
}

}  // namespace
}  // namespace instar::vpc
