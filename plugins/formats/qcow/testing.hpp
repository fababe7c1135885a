// SPDX-License-Identifier: Apache-2.0
/** @file testing.hpp For unit tests: images on disks in memory, with toys of a codec and a cipher. */
#pragma once

#include <gtest/gtest.h>

#include "plugins/formats/qcow/image.hpp"
#include "sdk/abi/compress.h"
#include "sdk/abi/registry.h"
#include "sdk/cpp/testing.hpp"
#include "sdk/cpp/testing_cipher.hpp"

namespace instar::qcow::testing {

using sdk::FormatTable;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kCluster = 4096;
constexpr uint64_t kSize = 8u << 20;  // four L2 tables

/** Packs clusters of one byte value only. */
struct ToyCodec {
  static sdk::Result<std::unique_ptr<ToyCodec>> open(const instar_codec_params&) {
    return std::make_unique<ToyCodec>();
  }
  static sdk::Result<int64_t> compress(sdk::ConstBytes in, sdk::Bytes out) {
    if (std::any_of(in.begin(), in.end(), [&](uint8_t byte) { return byte != in[0]; }))
      return int64_t{-ENOSPC};
    std::fill_n(out.begin(), 10, in[0]);
    return int64_t{10};
  }
  static sdk::Result<int64_t> decompress(sdk::ConstBytes in, sdk::Bytes out) {
    if (in.size() != 10) return sdk::fail(EIO, "not what was packed");
    std::fill(out.begin(), out.end(), in[0]);
    return static_cast<int64_t>(out.size());
  }
  static size_t bound(size_t n) { return n; }
};

inline const void* find(const instar_host*, instar_call* call, uint32_t kind, const char* name) {
  if (kind == INSTAR_KIND_CODEC) return sdk::CodecTable<ToyCodec>::ops();
  if (kind == INSTAR_KIND_ENCRYPTION && std::string_view(name) == "aes")
    return sdk::EncryptionTable<sdk::testing::ToyAes>::ops();
  sdk::Call(call).report(sdk::fail(ENOENT, "there is no ", name));
  return nullptr;
}
inline constexpr instar_registry_ops kRegistry{
    sizeof(instar_registry_ops), 0, &find, nullptr, nullptr, nullptr};

/** An image on a disk in memory. */
struct Disk {
  Disk() {
    host.children["file"] = file_.abi();
    host.services[INSTAR_REGISTRY_ID] = &kRegistry;
  }
  std::string create(const OptionList& options) {
    const auto created = host.create(FormatTable<Image>::ops(), "disk.qcow", options);
    return created ? "" : created.error().message;
  }
  sdk::Result<OwnedNode> try_open(uint32_t flags, const OptionList& options = {}) {
    return host.open(FormatTable<Image>::ops(), "disk.qcow", flags, options);
  }
  OwnedNode open(const OptionList& options = {}) {
    auto node = try_open(INSTAR_OPEN_WRITE, options);
    EXPECT_TRUE(node) << (node ? "" : node.error().message);
    return *std::move(node);
  }
  std::string open_error(const OptionList& options = {}) {
    const auto node = try_open(0, options);
    return node ? "" : node.error().message;
  }
  std::vector<uint8_t>& bytes() const { return memory->bytes; }

  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  FakeHost host;

 private:
  OwnedNode file_ = memory_node(memory);
};

inline void write(const OwnedNode& node, uint64_t offset, uint64_t length, uint8_t value) {
  const std::vector<uint8_t> bytes(length, value);
  const auto written = node.ref().write(quiet_call(), offset, bytes.data(), length);
  ASSERT_TRUE(written) << written.error().message;
}
inline std::vector<uint8_t> read(const OwnedNode& node, uint64_t offset, uint64_t length) {
  std::vector<uint8_t> bytes(length, 0xee);
  const auto done = node.ref().read(quiet_call(), offset, bytes.data(), length);
  EXPECT_TRUE(done) << done.error().message;
  return bytes;
}
inline bool all(const std::vector<uint8_t>& bytes, uint8_t value) {
  return std::all_of(bytes.begin(), bytes.end(), [&](uint8_t byte) { return byte == value; });
}
inline void write_packed(const OwnedNode& node, uint64_t offset, uint8_t value) {
  void* self = nullptr;
  const auto* ops = node.ref().interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &self);
  ASSERT_NE(ops, nullptr);
  const std::vector<uint8_t> cluster(kCluster, value);
  uint8_t packed[kCluster];
  const int64_t n = ops->pack(self, nullptr, cluster.data(), kCluster, packed, sizeof packed);
  ASSERT_EQ(n, 10);
  ASSERT_EQ(ops->store(self, nullptr, offset, kCluster, packed, static_cast<size_t>(n)), 0);
}
inline OptionList sized(uint64_t size) {
  OptionList options;
  options.number("size", size);
  return options;
}
inline OptionList key(const char* name) {
  return OptionList().text("encrypt.key-secret", name);
}
inline OptionList encrypted() {
  return sized(kSize).text("encrypt.format", "aes").text("encrypt.key-secret", "k");
}

}  // namespace instar::qcow::testing
