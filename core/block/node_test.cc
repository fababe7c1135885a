// SPDX-License-Identifier: Apache-2.0
#include "core/block/node.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "core/block/fake_driver.hpp"
#include "sdk/abi/resize.h"

namespace instar::block {
namespace {

const Call kCall(nullptr);

/** Random requests of all shapes; the node must do what plain memory does. */
void compare_with_memory(FakeState& state) {
  std::vector<uint8_t> model = state.bytes;
  const NodePtr node = fake_node(state, NodeKind::kFormat);
  ASSERT_NE(node, nullptr);
  std::mt19937 random(7);
  std::vector<uint8_t> buffer(9000);
  for (int i = 0; i < 3000; ++i) {
    const uint64_t offset = random() % model.size();
    const uint64_t length = std::min<uint64_t>(1 + random() % 8000, model.size() - offset);
    const size_t split = random() % (length + 1);
    uint8_t* base = buffer.data() + random() % 3;
    const instar_iovec pieces[] = {{base, split}, {base + split, length - split}};
    const int action = static_cast<int>(random() % 3);
    if (action == 0) {
      for (uint64_t k = 0; k < length; ++k)
        base[k] = model[offset + k] = static_cast<uint8_t>(random());
      ASSERT_TRUE(node->write(kCall, offset, IoVec(pieces, 2)));
    } else if (action == 1) {
      std::fill_n(model.begin() + static_cast<ptrdiff_t>(offset), length, uint8_t{0});
      ASSERT_TRUE(node->write_zeroes(kCall, offset, length));
    } else {
      ASSERT_TRUE(node->read(kCall, offset, IoVec(pieces, 2)));
      ASSERT_EQ(std::memcmp(base, &model[offset], length), 0) << "at " << offset;
    }
  }
  EXPECT_EQ(state.bytes, model);
  EXPECT_FALSE(state.misaligned);
}

TEST(Node, PassesOnWhatFits) {
  FakeState state(65536);
  compare_with_memory(state);
}

TEST(Node, AlignsSplitsAndBounces) {
  FakeState state(65536);
  state.limits.request_alignment = 512;
  state.limits.memory_alignment = 4096;
  state.limits.max_transfer = 2048;
  state.limits.write_zeroes_alignment = 1024;
  state.limits.max_write_zeroes = 8192;
  compare_with_memory(state);
}

TEST(Node, WritesZeroesPlainlyWhereTheDriverDeclines) {
  FakeState state(65536);
  state.bytes.assign(state.bytes.size(), 1);
  state.zero_result = -ENOTSUP;
  const NodePtr node = fake_node(state);
  const auto refused = node->write_zeroes(kCall, 0, 4096, INSTAR_WRITE_NO_FALLBACK);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOTSUP);
  EXPECT_EQ(state.bytes[0], 1);
  ASSERT_TRUE(node->write_zeroes(kCall, 0, 4096));
  EXPECT_EQ(state.bytes[4095], 0);
  EXPECT_EQ(state.bytes[4096], 1);
  state.zero_result = -EIO;
  EXPECT_EQ(node->write_zeroes(kCall, 0, 4096).error().code, EIO);
}

TEST(Node, HasZeroesBehindItsEndAndASizeInSectors) {
  FakeState state(700);
  state.bytes.assign(700, 9);
  const NodePtr node = fake_node(state);
  EXPECT_EQ(*node->size(), 1024u);
  std::vector<uint8_t> buffer(2000, 1);
  ASSERT_TRUE(node->read(kCall, 600, buffer.data(), buffer.size()));
  EXPECT_EQ(buffer[99], 9);
  EXPECT_TRUE(sdk::is_zero(buffer.data() + 100, buffer.size() - 100));
  instar_extent extents[4];
  ASSERT_EQ(*node->extents(kCall, 0, 1024, extents, 4), 2u);
  EXPECT_EQ(extents[0].length, 700u);
  EXPECT_EQ(extents[1].flags,
            uint32_t{INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET});
  state.limits.flags = INSTAR_NODE_REMOTE;
  ASSERT_EQ(*fake_node(state)->extents(kCall, 0, 1024, extents, 4), 2u);
  EXPECT_EQ(extents[1].flags, uint32_t{INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED})
      << "a server has no place for them";
  state.tells_extents = false;
  ASSERT_EQ(*fake_node(state)->extents(kCall, 0, 1024, extents, 4), 1u);
  EXPECT_EQ(extents[0].length, 1024u);
  EXPECT_EQ(extents[0].flags,
            uint32_t{INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET});
}

TEST(Node, GrowsFilesButNotImages) {
  FakeState file(512);
  EXPECT_TRUE(fake_node(file)->write(kCall, 1024, "x", 1));
  FakeState image(512);
  const auto refused = fake_node(image, NodeKind::kFormat)->write(kCall, 1024, "x", 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EIO);
  FakeState wide(512);
  EXPECT_FALSE(fake_node(wide)->write(kCall, INT64_MAX, "xy", 2));
  EXPECT_FALSE(fake_node(wide)->read(kCall, UINT64_MAX, file.bytes.data(), 2));
}

TEST(Node, RefusesWritesWhenOpenForReading) {
  FakeState state(512);
  const NodePtr node = fake_node(state, NodeKind::kProtocol, {}, 0);
  EXPECT_EQ(node->write(kCall, 0, "x", 1).error().code, EPERM);
  EXPECT_EQ(node->abi()->ops->write, nullptr);
  EXPECT_EQ(node->limits().can_write, INSTAR_ABILITY_NONE);
}

TEST(Node, ChecksWhatDriversSayOfExtents) {
  const auto answer = [](std::vector<instar_extent> extents) {
    FakeState state(4096);
    state.extents = std::move(extents);
    instar_extent out[4];
    const auto count = fake_node(state, NodeKind::kFormat)->extents(kCall, 0, 4096, out, 4);
    return count ? std::string("good") : count.error().message;
  };
  EXPECT_EQ(answer({{4096, 0, INSTAR_EXTENT_DATA, 0}}), "good");
  EXPECT_EQ(answer({{0, 0, INSTAR_EXTENT_DATA, 0}}),
            "Driver 'fake' gave an extent of 0 bytes where 4096 were left");
  EXPECT_EQ(answer({{4000, 0, 0, 0}, {97, 0, 0, 0}}),
            "Driver 'fake' gave an extent of 97 bytes where 96 were left");
  EXPECT_EQ(answer({{4096, 0, INSTAR_EXTENT_DATA | INSTAR_EXTENT_OFFSET, 3}}),
            "Driver 'fake' gave an extent in child 3, which it does not have");
}

TEST(Node, TurnsZeroesIntoHolesWhenAskedTo) {
  FakeState state(4096);
  const NodePtr node = fake_node(state);
  node->set_policy({DetectZeroes::kOn, {}});
  const std::vector<uint8_t> zeroes(1024);
  ASSERT_TRUE(node->write(kCall, 0, zeroes.data(), zeroes.size()));
  EXPECT_EQ(state.zeroes, 1);
  EXPECT_EQ(state.writes, 0);
}

TEST(Node, GuardsTheFirstBlock) {
  FakeState state(4096);
  const NodePtr node = fake_node(state);
  node->set_policy({DetectZeroes::kOff, [](const uint8_t* block) { return block[3] != 'Q'; }});
  EXPECT_EQ(node->write(kCall, 3, "Q", 1).error().code, EPERM);
  EXPECT_TRUE(node->write(kCall, 4, "Q", 1));
  EXPECT_TRUE(node->write(kCall, 515, "Q", 1));
  EXPECT_TRUE(node->write_zeroes(kCall, 0, 4096));
}

TEST(Node, FlushesAfterAWriteThatMustBeStable) {
  FakeState state(4096);
  const NodePtr node = fake_node(state);
  ASSERT_TRUE(node->write(kCall, 0, "x", 1));
  EXPECT_EQ(state.flushes, 0);
  ASSERT_TRUE(node->write(kCall, 0, "x", 1, INSTAR_WRITE_FUA));
  EXPECT_EQ(state.flushes, 1);
  FakeState strict(4096);
  const auto flags = INSTAR_OPEN_WRITE | INSTAR_OPEN_WRITETHROUGH;
  ASSERT_TRUE(fake_node(strict, NodeKind::kProtocol, {}, flags)->write(kCall, 0, "x", 1));
  EXPECT_EQ(strict.flushes, 1);
}

/** Threads that write single bytes of one block must not undo each other. */
TEST(Node, KeepsConcurrentPartsOfABlockApart) {
  FakeState state(512);
  state.limits.request_alignment = 512;
  state.slow = true;
  const NodePtr node = fake_node(state);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (uint64_t i = static_cast<uint64_t>(t); i < 512; i += 4)
        EXPECT_TRUE(node->write(kCall, i, "x", 1));
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(std::count(state.bytes.begin(), state.bytes.end(), 'x'), 512);
}

template <instar_thread_model kModel>
int most_calls_at_once() {
  FakeState state(4096);
  state.slow = true;
  const NodePtr nodes[] = {fake_node<kModel>(state), fake_node<kModel>(state)};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      uint8_t byte = 0;
      for (int i = 0; i < 2000; ++i)
        EXPECT_TRUE(nodes[t % 2]->read(kCall, 0, &byte, 1));
    });
  for (auto& thread : threads)
    thread.join();
  return state.most_inside;
}

TEST(Node, KeepsToTheThreadModel) {
  EXPECT_LE(most_calls_at_once<INSTAR_THREADS_PER_NODE>(), 2);
  EXPECT_EQ(most_calls_at_once<INSTAR_THREADS_GLOBAL>(), 1);
}

TEST(Node, TakesTablesOfOlderAndNewerDrivers) {
  static instar_node_ops ops{};
  ops.struct_size = offsetof(instar_node_ops, write);
  ops.close = [](void*, instar_call*) { return 0; };
  ops.size = [](void*, instar_call*) -> int64_t { return 512; };
  ops.limits = [](void*, instar_call*, instar_node_limits*) { return 0; };
  ops.read = [](void*, instar_call*, uint64_t, const instar_iovec*, size_t) { return 0; };
  // Beyond struct_size: not to be looked at.
  ops.flush = reinterpret_cast<int (*)(void*, instar_call*)>(1);
  ops.get_interface = reinterpret_cast<const void* (*)(void*, const char*, void**)>(1);
  const auto make = [] {
    return Node::make(NodeKind::kFormat, "old", {}, INSTAR_OPEN_WRITE, {&ops, nullptr}, {});
  };
  auto node = make();
  ASSERT_TRUE(node);
  EXPECT_TRUE((*node)->flush(kCall));
  void* self = nullptr;
  EXPECT_EQ((*node)->interface<void>(INSTAR_RESIZE_ID, &self), nullptr);
  ops.limits = [](void*, instar_call*, instar_node_limits* limits) {
    limits->request_alignment = 768;
    return 0;
  };
  const auto refused = make();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "Driver 'old' reports request alignment 768, which is not a power of two");
}

TEST(Node, IsKnownBehindItsTable) {
  FakeState state(512);
  const NodePtr node = fake_node(state);
  EXPECT_EQ(Node::from_abi(node->abi()), node.get());
  const instar_node foreign{nullptr, nullptr};
  EXPECT_EQ(Node::from_abi(&foreign), nullptr);
}

}  // namespace
}  // namespace instar::block
