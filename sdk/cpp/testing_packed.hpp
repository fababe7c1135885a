// SPDX-License-Identifier: Apache-2.0
/** @file testing_packed.hpp For unit tests of packings: what must hold for each of them. */
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "packed_node.hpp"
#include "testing_damage.hpp"

namespace instar::sdk::testing {

using Content = std::vector<uint8_t>;

/** Some of it is text, some noise, some zeroes. */
inline Content packable_content(size_t size) {
  std::mt19937 random(7);
  Content content(size);
  for (size_t i = 0; i < size; ++i) {
    const size_t kind = i / 50000 % 3;
    content[i] = kind == 0   ? static_cast<uint8_t>("a disk of no great interest "[i % 28])
                 : kind == 1 ? static_cast<uint8_t>(random())
                             : uint8_t{0};
  }
  return content;
}

/** A packed file on a disk in memory. */
template <class P>
struct PackedDisk {
  explicit PackedDisk(Content packed) {
    memory->bytes = std::move(packed);
    host.children["file"] = file.abi();
  }
  Result<OwnedNode> open(const OptionList& options = {}, uint32_t flags = 0) {
    return host.open(FilterTable<PackedNode<P>>::ops(), "disk.packed", flags, options);
  }
  /** Every read from now on fails with this errno; 0: none. Workers may still be reading. */
  void fail_with(int code) {
    const std::lock_guard lock(memory->mutex);
    memory->fail_with = code;
  }
  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(memory);
  FakeHost host;
};

/** The node's content, read in steps, or why there is none. */
inline Result<Content> read_in_order(const NodeRef& node, size_t step) {
  INSTAR_TRY(const uint64_t size, node.size());
  Content content(size);
  for (size_t at = 0; at < size; at += step)
    INSTAR_CHECK(
        node.read(quiet_call(), at, content.data() + at, std::min<size_t>(step, size - at)));
  return content;
}

template <class P>
Result<Content> unpacked(const Content& packed, const OptionList& options = {}) {
  PackedDisk<P> disk(packed);
  INSTAR_TRY(const OwnedNode node, disk.open(options));
  return read_in_order(node.ref(), 70000);
}

template <class P>
void expect_content(const Content& packed, const Content& content, const OptionList& options = {}) {
  const auto got = unpacked<P>(packed, options);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(*got == content);
}

/** Everywhere, by several threads. */
template <class P>
void expect_random_access(const Content& packed, const Content& content) {
  PackedDisk<P> disk(packed);
  const auto node = disk.open();
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->ref().size().operator*(), content.size());
  const auto read_some = [&](unsigned seed) {
    std::mt19937 random(seed);
    Content part;
    for (int i = 0; i < 60; ++i) {
      const size_t at = random() % content.size();
      part.resize(std::min<size_t>(1 + random() % 200000, content.size() - at));
      const auto status = node->ref().read(quiet_call(), at, part.data(), part.size());
      ASSERT_TRUE(status) << status.error().message;
      ASSERT_TRUE(
          std::equal(part.begin(), part.end(), content.begin() + static_cast<ptrdiff_t>(at)));
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i)
    threads.emplace_back(read_some, i);
  for (auto& thread : threads)
    thread.join();
}

/** Nothing that is cut off looks whole, wherever it is cut. */
template <class P>
void expect_cuts_are_found(const Content& packed) {
  for (size_t step = packed.size() / 40 + 1, length = 1; length < packed.size(); length += step) {
    const Content cut(packed.begin(), packed.begin() + static_cast<ptrdiff_t>(length));
    EXPECT_FALSE(unpacked<P>(cut)) << "cut to " << length;
  }
  Content last(packed);
  last.pop_back();
  EXPECT_FALSE(unpacked<P>(last));
}

/** Behind the end there may be zeroes, and nothing else. */
template <class P>
void expect_padding_only(Content packed, const Content& content) {
  packed.resize(packed.size() + 300);
  expect_content<P>(packed, content);
  packed.back() = 'x';
  EXPECT_FALSE(unpacked<P>(packed));
}

/** All of it without a known size, or why not; then it has one. */
inline Result<Content> read_forward(const NodeRef& node, size_t step) {
  void* self = nullptr;
  const auto* ops = node.interface<instar_forward_ops>(INSTAR_FORWARD_ID, &self);
  if (ops == nullptr) return fail(ENOTSUP, "no instar.forward/1");
  Content content;
  Content part(step);
  for (size_t n = step; n == step;) {
    OutgoingCall call;
    const int64_t read = ops->read(self, call.abi(), content.size(), part.data(), step);
    if (read < 0) return call.error(read);
    n = static_cast<size_t>(read);
    content.insert(content.end(), part.begin(), part.begin() + read);
  }
  EXPECT_EQ(node.size().operator*(), content.size());
  return content;
}
inline Status find_size(const NodeRef& node, bool keep) {
  void* self = nullptr;
  const auto* ops = node.interface<instar_forward_ops>(INSTAR_FORWARD_ID, &self);
  OutgoingCall call;
  return call.status(ops->find_size(self, call.abi(), keep ? 1 : 0));
}

/** No temporary files while it is alive. */
class NoTemporaryFiles {
 public:
  NoTemporaryFiles() {
    if (const char* folder = ::getenv("TMPDIR")) before_ = folder;
    ::setenv("TMPDIR", "/nonexistent", 1);
  }
  ~NoTemporaryFiles() { before_ ? ::setenv("TMPDIR", before_->c_str(), 1) : ::unsetenv("TMPDIR"); }

 private:
  std::optional<std::string> before_;
};

/** Without a temporary file, as long as it is read in order. @param content more than a window. */
template <class P>
void expect_reads_forward(const Content& packed, const Content& content) {
  const NoTemporaryFiles none;
  PackedDisk<P> disk(packed);
  {
    const auto node = disk.open();
    ASSERT_TRUE(node) << node.error().message;
    uint8_t first = 0;
    ASSERT_EQ(node->ref().read(quiet_call(), 0, &first, 1).error().code, ENOENT) << "not spooled";
    const auto got = read_forward(node->ref(), 700001);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(*got == content);
  }
  const auto node = disk.open();
  ASSERT_TRUE(find_size(node->ref(), false));
  EXPECT_EQ(node->ref().size().operator*(), content.size());
  for (int round = 0; round < 2; ++round) {
    const auto got = read_in_order(node->ref(), 1 << 20);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(*got == content);
  }
  uint8_t byte = 0;
  EXPECT_TRUE(node->ref().read(quiet_call(), content.size() - 1, &byte, 1));
  EXPECT_EQ(node->ref().read(quiet_call(), content.size() / 2, &byte, 1).error().code, ENOENT);
  for (const size_t length : {packed.size() / 2, packed.size() - 1}) {
    PackedDisk<P> cut(Content(packed.begin(), packed.begin() + static_cast<ptrdiff_t>(length)));
    const auto damaged = cut.open();
    ASSERT_TRUE(damaged);
    EXPECT_FALSE(read_forward(damaged->ref(), 1 << 20));
    EXPECT_FALSE(find_size(damaged->ref(), false));
  }
}

/** Damage is found by the checksum, or it does not matter; it never does harm. */
template <class P>
void expect_damage_is_found(const Content& packed, const Content& content, int rounds) {
  std::mt19937_64 random(5);
  for (int round = damage_rounds(rounds); round > 0; --round) {
    PackedDisk<P> disk(packed);
    damage(disk.memory->bytes, random, {0, packed.size() - std::min<size_t>(128, packed.size())});
    const auto node = disk.open();
    if (!node) continue;
    if (const auto size = node->ref().size(); !size || *size > 2 * content.size()) continue;
    if (const auto got = read_in_order(node->ref(), 100000)) {
      EXPECT_TRUE(*got == content);
    }
    exercise(node->ref(), false, random);
  }
}

/** A read that fails below is an error, and no more than that. Of those ahead, each that was under way
 * may be one, too, to whoever comes to wait for it meanwhile: a dead server costs its timeout once. */
template <class P>
void expect_reading_goes_on(const Content& packed, const Content& content) {
  PackedDisk<P> disk(packed);
  disk.fail_with(EIO);
  {
    const auto node = disk.open();
    EXPECT_FALSE(node && node->ref().size());
  }
  disk.fail_with(0);
  const auto node = disk.open();
  ASSERT_TRUE(node) << node.error().message;
  disk.fail_with(EIO);
  (void)static_cast<bool>(read_in_order(node->ref(), 50000));
  disk.fail_with(0);
  auto got = read_in_order(node->ref(), 50000);
  for (unsigned ahead = std::thread::hardware_concurrency() + 1; !got && ahead > 0; --ahead)
    got = read_in_order(node->ref(), 50000);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(*got == content);
}

/** All of that, of one packed file. */
template <class P>
void expect_sound_packing(const Content& packed, const Content& content, int rounds = 300) {
  expect_content<P>(packed, content);
  expect_content<P>(packed, content, OptionList().flag("spool", true));
  expect_random_access<P>(packed, content);
  expect_cuts_are_found<P>(packed);
  expect_padding_only<P>(packed, content);
  expect_damage_is_found<P>(packed, content, rounds);
  expect_reading_goes_on<P>(packed, content);
  PackedDisk<P> disk(packed);
  EXPECT_EQ(disk.open({}, INSTAR_OPEN_WRITE).error().message, "Image is read-only");
}

}  // namespace instar::sdk::testing
