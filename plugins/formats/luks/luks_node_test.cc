// SPDX-License-Identifier: Apache-2.0
// The format around a scheme that is no cipher (sdk/cpp/testing_cipher.hpp): where header and content
// lie, by which numbers sectors are encrypted, and what is asked of the file.
#include "plugins/formats/luks/luks_node.hpp"

#include <gtest/gtest.h>

#include "sdk/cpp/testing.hpp"
#include "sdk/cpp/testing_cipher.hpp"

namespace instar::luks_format {
namespace {

using sdk::FormatTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;
using sdk::testing::ToyLuks;

constexpr uint64_t kHeader = 5000;
constexpr uint64_t kSize = 1 << 20;

std::string asked_for;  ///< the scheme

const void* find_scheme(const instar_host*, instar_call*, uint32_t kind,
                        const char* name) noexcept {
  asked_for = name;
  return kind == INSTAR_KIND_ENCRYPTION ? sdk::EncryptionTable<ToyLuks>::ops() : nullptr;
}
constexpr instar_registry_ops kRegistry = {
    sizeof(instar_registry_ops), 0, &find_scheme, nullptr, nullptr, nullptr};

OptionList key() {
  return OptionList().text("key-secret", "k");
}

class LuksNodeTest : public testing::Test {
 protected:
  LuksNodeTest() {
    host_.services[INSTAR_REGISTRY_ID] = &kRegistry;
    host_.children["file"] = file_.abi();
  }
  std::string create(OptionList options, uint64_t size = kSize) {
    const auto made =
        host_.create(FormatTable<LuksNode>::ops(), "disk.luks", options.number("size", size));
    if (!made) return made.error().message;
    if (disk_->bytes.size() < host_.created_sizes.back())
      disk_->bytes.resize(host_.created_sizes.back());
    return "";
  }
  Result<OwnedNode> open(const OptionList& options, uint32_t flags = INSTAR_OPEN_WRITE) {
    return host_.open(FormatTable<LuksNode>::ops(), "disk.luks", flags, options);
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  FakeHost host_;
};

TEST_F(LuksNodeTest, ContentLiesBehindTheHeader) {
  ASSERT_EQ(create(key()), "");
  EXPECT_EQ(host_.created_sizes.back(), kHeader + kSize);
  const auto node = open(key());
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(*node->ref().size(), kSize);
  EXPECT_EQ(node->ref().limits()->request_alignment, 512u);
  std::vector<uint8_t> data(600 * 1024);
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<uint8_t>(i * 7 / 5);
  const auto original = data;
  ASSERT_TRUE(node->ref().write(quiet_call(), 1024, data.data(), data.size()));
  EXPECT_EQ(data, original);
  EXPECT_EQ(disk_->bytes.size(), kHeader + kSize);
  EXPECT_FALSE(std::equal(data.begin(), data.end(), disk_->bytes.begin() + kHeader + 1024));
  std::vector<uint8_t> back(data.size());
  const instar_iovec pieces[] = {{back.data(), 100}, {back.data() + 100, back.size() - 100}};
  ASSERT_TRUE(node->ref().read(quiet_call(), 1024, sdk::IoVec(pieces, 2)));
  EXPECT_EQ(back, data);
  // The same bytes elsewhere are stored differently.
  ASSERT_TRUE(node->ref().write(quiet_call(), 0, data.data(), 512));
  EXPECT_FALSE(std::equal(disk_->bytes.begin() + kHeader, disk_->bytes.begin() + kHeader + 512,
                          disk_->bytes.begin() + kHeader + 1024));
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(disk_->flushes, 1u);
}

TEST_F(LuksNodeTest, AllOfItIsContent) {
  ASSERT_EQ(create(key()), "");
  const auto node = open(key());
  EXPECT_EQ(node->ref().limits()->flags & INSTAR_NODE_ZERO_INIT, 0u);
  instar_extent extent{};
  ASSERT_TRUE(node->ref().extents(quiet_call(), 0, kSize, &extent, 1));
  EXPECT_EQ(extent.length, kSize);
  EXPECT_EQ(extent.flags,
            uint32_t{INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ENCRYPTED});
}

TEST_F(LuksNodeTest, TheHeaderMayBeAFileOfItsOwn) {
  ASSERT_EQ(create(key().flag("detached-header", true)), "");
  EXPECT_EQ(host_.created_sizes.back(), kHeader);
  const auto content = std::make_shared<MemoryDisk>();
  content->bytes.resize(kSize);
  const OwnedNode content_node = memory_node(content);
  host_.children["header"] = file_.abi();
  host_.children["file"] = content_node.abi();
  const auto node = open(key());
  ASSERT_TRUE(node);
  EXPECT_EQ(*node->ref().size(), kSize);
  EXPECT_EQ(host_.role_of["header"], uint32_t{INSTAR_CHILD_FILE});
  const auto before = disk_->bytes;
  std::vector<uint8_t> data(512, 3);
  ASSERT_TRUE(node->ref().write(quiet_call(), 0, data.data(), data.size()));
  EXPECT_EQ(disk_->bytes, before);
  EXPECT_NE(content->bytes[0], 0);
}

TEST_F(LuksNodeTest, Errors) {
  EXPECT_EQ(create({}), "Parameter 'key-secret' is required for cipher");
  EXPECT_EQ(create(key(), INT64_MAX), "The requested file size is too large");
  ASSERT_EQ(create(key()), "");
  EXPECT_EQ(open({}).error().message, "Parameter 'key-secret' is required for cipher");
  EXPECT_TRUE(open({}, INSTAR_OPEN_NO_IO));
  EXPECT_EQ(open(OptionList().text("key-secret", "x")).error().message, "wrong key");
  disk_->bytes.resize(kHeader - 1);
  EXPECT_EQ(open(key()).error().message,
            "Could not refresh total sector count: Input/output error");
  disk_->fail_with = EACCES;
  EXPECT_EQ(open(key()).error().message, "Unable to read encryption header: Permission denied");
}

TEST_F(LuksNodeTest, SpaceIsTakenBeforehand) {
  const auto with_mode = [](const char* mode) { return key().text("preallocation", mode); };
  for (const char* mode : {"off", "metadata"}) {
    EXPECT_EQ(create(with_mode(mode)), "") << mode;
    EXPECT_EQ(host_.created_sizes.back(), kHeader + kSize) << mode;
  }
  for (const char* mode : {"falloc", "full"}) {
    EXPECT_EQ(create(with_mode(mode)), "") << mode;
    EXPECT_EQ(host_.created_sizes.back(), 0u) << mode;  // it grows by what the mode says
    EXPECT_EQ(disk_->bytes.size(), kHeader + kSize) << mode;
  }
  EXPECT_EQ(create(with_mode("bogus")), "invalid parameter value: bogus");
  EXPECT_EQ(create(with_mode("full"), INT64_MAX), "The requested file size is too large");
}

TEST_F(LuksNodeTest, GrowsAndShrinks) {
  ASSERT_EQ(create(key()), "");
  const auto node = open(key());
  ASSERT_TRUE(node->ref().resize(quiet_call(), 2 * kSize));
  EXPECT_EQ(disk_->bytes.size(), kHeader + 2 * kSize);
  EXPECT_EQ(*node->ref().size(), 2 * kSize);
  ASSERT_TRUE(node->ref().resize(quiet_call(), 0));
  EXPECT_EQ(*node->ref().size(), 0u);
  EXPECT_EQ(node->ref().resize(quiet_call(), INT64_MAX).error().message,
            "The requested file size is too large");
}

TEST_F(LuksNodeTest, KeysAreChangedInTheHeader) {
  ASSERT_EQ(create(key()), "");
  const auto node = open(key());
  void* self = nullptr;
  const auto* ops = node->ref().interface<instar_amend_ops>(INSTAR_AMEND_ID, &self);
  ASSERT_NE(ops, nullptr);
  const OptionList change = OptionList().text("new-secret", "n");
  const instar_options options = change.abi();
  sdk::OutgoingCall call;
  ASSERT_EQ(ops->amend(self, call.abi(), &options, 0, nullptr), 0);
  EXPECT_FALSE(open(key()));
  EXPECT_TRUE(open(OptionList().text("key-secret", "n")));
}

TEST_F(LuksNodeTest, EachVersionIsASchemeOfItsOwn) {
  const auto with_version = [](uint64_t version) {
    return key().number("version", version, INSTAR_OPTION_NUMBER);
  };
  EXPECT_EQ(create(with_version(1)), "");
  EXPECT_EQ(asked_for, "luks");
  EXPECT_EQ(create(with_version(2).number("sector-size", 4096), 1000), "");
  EXPECT_EQ(asked_for, "luks2");
  EXPECT_EQ(host_.created_sizes.back(), kHeader + 4096);
  EXPECT_EQ(create(with_version(3)), "Parameter 'version' does not accept value '3'");
  EXPECT_EQ(create(key().text("pbkdf", "argon2i")), "Parameter 'pbkdf' needs version=2");
  const auto scheme_of = [&](size_t offset, const std::string& start) {
    disk_->bytes.assign(64 << 10, 0);
    std::copy(start.begin(), start.end(), disk_->bytes.begin() + static_cast<ptrdiff_t>(offset));
    EXPECT_TRUE(open({}, INSTAR_OPEN_NO_IO));
    return asked_for;
  };
  EXPECT_EQ(scheme_of(0, std::string("LUKS\xba\xbe\0\1", 8)), "luks");
  EXPECT_EQ(scheme_of(0, std::string("LUKS\xba\xbe\0\2", 8)), "luks2");
  EXPECT_EQ(scheme_of(32768, std::string("SKUL\xba\xbe\0\2", 8)), "luks2");
  EXPECT_EQ(scheme_of(32767, std::string("SKUL\xba\xbe\0\2", 8)), "luks");
}

TEST_F(LuksNodeTest, Measures) {
  const auto measured = LuksNode::measure(sdk::Host(host_.abi()),
                                          sdk::Options(OptionList().number("size", 512).abi()), {});
  ASSERT_TRUE(measured);
  EXPECT_EQ(measured->required, kHeader + 512);
  EXPECT_EQ(measured->fully_allocated, kHeader + 512);
}

}  // namespace
}  // namespace instar::luks_format
