// SPDX-License-Identifier: Apache-2.0
/** @file testing.hpp For unit tests: images on disks in memory. */
#pragma once

#include <gtest/gtest.h>

#include "plugins/formats/vhdx/image.hpp"
#include "sdk/cpp/parent_name.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::vhdx::testing {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kBlock = kMiB;
constexpr uint64_t kBlocks = 6;
constexpr uint64_t kBat = 2 * kMiB;
constexpr uint64_t kMetadata = 3 * kMiB;
constexpr uint64_t kItems = kMetadata + (64u << 10);
constexpr uint64_t kData = 8 * kMiB;

/** An image on a disk in memory. */
struct Disk {
  explicit Disk(std::vector<uint8_t> content = {}) {
    memory->bytes = std::move(content);
    host.children["file"] = file.abi();
  }
  sdk::Status create(OptionList options = {}) {
    options.number("size", kBlocks * kBlock).number("block_size", kBlock);
    return host.create(FormatTable<Image>::ops(), "disk.vhdx", options);
  }
  sdk::Result<OwnedNode> open(uint32_t flags = INSTAR_OPEN_WRITE) {
    return host.open(FormatTable<Image>::ops(), "disk.vhdx", flags);
  }
  std::string open_error() {
    const auto node = open(0);
    return node ? "" : node.error().message;
  }
  uint64_t entry(size_t block) const { return sdk::load_le<uint64_t>(&bytes()[kBat + 8 * block]); }
  std::vector<uint8_t>& bytes() { return memory->bytes; }
  const std::vector<uint8_t>& bytes() const { return memory->bytes; }

  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(memory);
  FakeHost host;
};

inline void write(const OwnedNode& node, uint64_t offset, size_t length, uint8_t value) {
  const std::vector<uint8_t> data(length, value);
  ASSERT_TRUE(node.ref().write(quiet_call(), offset, data.data(), data.size()));
}

inline std::vector<uint8_t> read(const OwnedNode& node, uint64_t offset, size_t length) {
  std::vector<uint8_t> data(length, 0xee);
  EXPECT_TRUE(node.ref().read(quiet_call(), offset, data.data(), data.size()));
  return data;
}

inline std::vector<uint8_t> filled(size_t length, uint8_t value) {
  return std::vector<uint8_t>(length, value);
}

/** Adds a parent locator to an image, and forgets its blocks. */
inline void make_child(Disk& child, const std::string& linkage) {
  auto& bytes = child.bytes();
  const std::pair<std::string, std::string> pairs[] = {{"parent_linkage", "{" + linkage + "}"},
                                                       {"relative_path", ".\\parent.vhdx"}};
  constexpr uint32_t kLocator = 4096;  // among the items
  ParentLocatorHeader header{kVhdxParent, 0, 2};
  std::memcpy(&bytes[kItems + kLocator], &header, sizeof header);
  uint32_t text = 512;
  const auto add = [&](const std::string& string) {
    for (const uint16_t unit : sdk::utf16_of(string)) {
      sdk::store_le(&bytes[kItems + kLocator + text], unit);
      text += 2;
    }
    return text;
  };
  for (size_t i = 0; i < 2; ++i) {
    ParentLocatorEntry entry;
    entry.key_offset = text;
    entry.key_length = static_cast<uint16_t>(add(pairs[i].first) - entry.key_offset);
    entry.value_offset = text;
    entry.value_length = static_cast<uint16_t>(add(pairs[i].second) - entry.value_offset);
    std::memcpy(&bytes[kItems + kLocator + sizeof header + i * sizeof entry], &entry, sizeof entry);
  }
  const MetadataEntry item{kParentLocator, (64u << 10) + kLocator, text, kIsRequired, 0};
  std::memcpy(&bytes[kMetadata + 32 + 5 * sizeof item], &item, sizeof item);
  bytes[kMetadata + offsetof(MetadataTable, entry_count)] = 6;
  bytes[kItems + offsetof(FileParameters, flags)] = kHasParent;
  std::fill_n(&bytes[kBat], kBlocks * 8, uint8_t{0});
}

}  // namespace instar::vhdx::testing
