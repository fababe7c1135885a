// SPDX-License-Identifier: Apache-2.0
/** @file testing.hpp For unit tests: images on disks in memory. */
#pragma once

#include <gtest/gtest.h>

#include "plugins/formats/parallels/image.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::parallels::testing {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kCluster = 4096;
constexpr uint64_t kClusters = 16;
constexpr uint32_t kFixAll = INSTAR_FIX_LEAKS | INSTAR_FIX_ERRORS;

/** An image on a disk in memory. */
struct Disk {
  explicit Disk(std::vector<uint8_t> content = {}) {
    memory->bytes = std::move(content);
    host.children["file"] = file.abi();
  }
  sdk::Status create(OptionList options = {}, uint64_t size = kClusters * kCluster) {
    options.number("size", size).number("cluster_size", kCluster);
    return host.create(FormatTable<Image>::ops(), "disk.hds", options);
  }
  sdk::Result<OwnedNode> open(uint32_t flags = INSTAR_OPEN_WRITE, const OptionList& options = {}) {
    return host.open(FormatTable<Image>::ops(), "disk.hds", flags, options);
  }
  std::string open_error(uint32_t flags = 0) {
    const auto node = open(flags);
    return node ? "" : node.error().message;
  }
  struct Checked {
    instar_check_result result;
    std::string messages;
    int status;
  };
  Checked check(uint32_t fix = 0) {
    Checked checked{};
    const auto node = open(INSTAR_OPEN_CHECK | (fix != 0 ? INSTAR_OPEN_WRITE : 0));
    EXPECT_TRUE(node) << (node ? "" : node.error().message);
    if (!node) return checked;
    void* self = nullptr;
    const auto* ops = node->ref().interface<instar_check_ops>(INSTAR_CHECK_ID, &self);
    sdk::StringSink sink;
    checked.status = ops->check(self, nullptr, fix, &checked.result, sink.abi(), nullptr);
    checked.messages = sink.text;
    return checked;
  }
  Header header() const {
    Header header;
    std::memcpy(&header, bytes().data(), sizeof header);
    return header;
  }
  void set_header(const Header& header) { std::memcpy(bytes().data(), &header, sizeof header); }
  uint32_t entry(size_t cluster) const {
    return sdk::load_le<uint32_t>(&bytes()[sizeof(Header) + 4 * cluster]);
  }
  void set_entry(size_t cluster, uint32_t value) {
    sdk::store_le(&bytes()[sizeof(Header) + 4 * cluster], value);
  }
  std::vector<uint8_t>& bytes() { return memory->bytes; }
  const std::vector<uint8_t>& bytes() const { return memory->bytes; }

  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(memory);
  FakeHost host;
};

inline void write(const OwnedNode& node, uint64_t offset, size_t length, uint8_t value) {
  const std::vector<uint8_t> data(length, value);
  const auto done = node.ref().write(quiet_call(), offset, data.data(), data.size());
  ASSERT_TRUE(done) << done.error().message;
}

inline std::vector<uint8_t> read(const OwnedNode& node, uint64_t offset, size_t length) {
  std::vector<uint8_t> data(length, 0xee);
  EXPECT_TRUE(node.ref().read(quiet_call(), offset, data.data(), data.size()));
  return data;
}

inline std::vector<uint8_t> filled(size_t length, uint8_t value) {
  return std::vector<uint8_t>(length, value);
}

}  // namespace instar::parallels::testing
