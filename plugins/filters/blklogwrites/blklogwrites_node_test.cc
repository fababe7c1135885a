// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blklogwrites/blklogwrites_node.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"

namespace instar::blklogwrites {
namespace {

using sdk::FilterTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

class Blklogwrites : public testing::Test {
 protected:
  Blklogwrites() {
    disk_->bytes.resize(1 << 20, 5);
    host_.children["file"] = file_.abi();
    host_.children["log"] = log_node_.abi();
  }
  Result<OwnedNode> open(const OptionList& options = {}) {
    return host_.open(FilterTable<BlklogwritesNode>::ops(), "x", INSTAR_OPEN_WRITE, options);
  }
  std::string error(const OptionList& options) {
    const auto opened = open(options);
    return opened ? "" : opened.error().message;
  }
  SuperBlock super() const {
    SuperBlock found;
    std::memcpy(&found, log_->bytes.data(), sizeof found);
    return found;
  }
  Entry entry(size_t sector) const {
    Entry found;
    std::memcpy(&found, log_->bytes.data() + sector * 512, sizeof found);
    return found;
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::shared_ptr<MemoryDisk> log_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  OwnedNode log_node_ = memory_node(log_);
  FakeHost host_;
};

TEST_F(Blklogwrites, WritesDownWhatChanges) {
  auto node = open();
  ASSERT_TRUE(node);
  EXPECT_EQ(node->ref().limits()->request_alignment, 512u);
  const std::string data(1024, 'x');
  ASSERT_TRUE(node->ref().write(quiet_call(), 4096, data.data(), data.size()));
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 8192, 512));
  ASSERT_TRUE(node->ref().discard(quiet_call(), 0, 2048));
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(super().magic, kMagic);
  EXPECT_EQ(super().version, 1u);
  EXPECT_EQ(super().entries, 4u);
  EXPECT_EQ(super().sector_size, 512u);
  EXPECT_EQ(entry(1).sector, 8u);
  EXPECT_EQ(entry(1).sectors, 2u);
  EXPECT_EQ(log_->bytes[1024], 'x');
  EXPECT_EQ(entry(4).sector, 16u);
  EXPECT_EQ(log_->bytes[5 * 512], 0);
  EXPECT_EQ(entry(6).flags, uint64_t{kDiscard});
  EXPECT_EQ(entry(6).sectors, 4u);
  EXPECT_EQ(entry(7).flags, uint64_t{kFlush});
  EXPECT_EQ(log_->bytes.size(), 8u * 512);
}

TEST_F(Blklogwrites, GoesOnWithALog) {
  const std::string data(512, 'x');
  for (int i = 0; i < 2; ++i) {
    auto node = open(OptionList().flag("log-append", true));
    ASSERT_TRUE(node);
    ASSERT_TRUE(node->ref().write(quiet_call(), 512u * (7 + i), data.data(), data.size()));
    ASSERT_TRUE(node->close());
  }
  EXPECT_EQ(super().entries, 2u);
  EXPECT_EQ(entry(1).sector, 7u);
  EXPECT_EQ(entry(3).sector, 8u);
}

TEST_F(Blklogwrites, RefusesWhatMakesNoSense) {
  EXPECT_EQ(error(OptionList().number("log-sector-size", 3)), "Invalid log sector size 3");
  EXPECT_EQ(error(OptionList().number("log-sector-size", 1u << 23)),
            "Invalid log sector size 8388608");
  EXPECT_EQ(error(OptionList().number("log-super-update-interval", 0)),
            "Invalid log superblock update interval 0");
  EXPECT_EQ(error(OptionList().flag("log-append", true).number("log-sector-size", 512)),
            "log-append and log-sector-size are mutually exclusive");
  const auto append = OptionList().flag("log-append", true);
  log_->bytes.assign(4096, 1);
  EXPECT_EQ(error(append), "Invalid log superblock magic");
  SuperBlock super;
  super.magic = kMagic;
  super.version = 2;
  const auto put = [&] { std::memcpy(log_->bytes.data(), &super, sizeof super); };
  put();
  EXPECT_EQ(error(append), "Unsupported log version 2");
  super.version = 1;
  put();
  EXPECT_EQ(error(append), "Invalid log sector size 0");
  super.sector_size = 512;
  super.entries = UINT64_MAX;
  put();
  EXPECT_EQ(error(append), "Entry 0 of the log is longer than the log");
  log_->bytes.assign(4096, 0);
  put();
  EXPECT_EQ(error(append), "The log ends before its entry 7 of 18446744073709551615");
}

}  // namespace
}  // namespace instar::blklogwrites
