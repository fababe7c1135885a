// SPDX-License-Identifier: Apache-2.0
#include "core/block/status.hpp"

#include <gtest/gtest.h>

#include "core/block/fake_driver.hpp"

namespace instar::block {
namespace {

const Call kCall(nullptr);
constexpr uint32_t kPlain = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;
constexpr uint32_t kHole = INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;

NodePtr layer(FakeState& state, NodePtr file, NodePtr backing = nullptr) {
  std::vector<Child> children;
  children.push_back({"file", INSTAR_CHILD_FILE, std::move(file)});
  if (backing != nullptr) children.push_back({"backing", INSTAR_CHILD_BACKING, std::move(backing)});
  return fake_node(state, NodeKind::kFormat, std::move(children));
}

std::vector<ChainExtent> status_of(Node& node, uint64_t length, StatusOptions options = {},
                                   size_t max = 1024) {
  const auto runs = chain_status(kCall, node, 0, length, options, max);
  EXPECT_TRUE(runs) << runs.error().message;
  return runs ? *runs : std::vector<ChainExtent>{};
}

TEST(ChainStatus, GoesDownTheChainAndEndsInZeroes) {
  FakeState file(65536), base(2048), top(4096);
  base.extents = {{1024, 8192, kPlain, 0}, {1024, 0, 0, 0}};
  top.extents = {{2048, 0, 0, 0}, {2048, 0, 0, 0}};
  const NodePtr storage = fake_node(file);
  const NodePtr below = layer(base, storage);
  const NodePtr node = layer(top, fake_node(file), below);
  const auto runs = status_of(*node, 4096);
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].depth, 1);
  EXPECT_EQ(runs[0].layer, below.get());
  EXPECT_EQ(runs[0].file, storage.get());
  EXPECT_EQ(runs[0].file_offset, 8192u);
  EXPECT_EQ(runs[1].flags, uint32_t{INSTAR_EXTENT_ZERO});  // a gap without anything below
  EXPECT_EQ(runs[1].depth, 1);
  EXPECT_EQ(runs[2].offset, 2048u);  // behind the end of a shorter backing file
  EXPECT_EQ(runs[2].flags, uint32_t{INSTAR_EXTENT_ZERO});
  EXPECT_EQ(runs[2].depth, 0);
}

TEST(ChainStatus, StopsAboveTheBase) {
  FakeState file(4096), base(4096), top(4096);
  top.extents = {{4096, 0, 0, 0}};
  const NodePtr below = layer(base, fake_node(file));
  const NodePtr node = layer(top, fake_node(file), below);
  StatusOptions options;
  options.base = below.get();
  const auto runs = status_of(*node, 4096, options);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].flags, 0u);
}

TEST(ChainStatus, AddsTheFilesHolesWhereTheFormatAsksForThem) {
  FakeState file(16384), image(4096);
  file.extents = {{1024, 8192, kPlain, 0}, {3072, 9216, kHole, 0}};
  image.extents = {{4096, 8192, kPlain | INSTAR_EXTENT_RECURSE, 0}};
  const NodePtr node = layer(image, fake_node(file));
  const auto runs = status_of(*node, 4096);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].flags, kPlain);
  EXPECT_EQ(runs[1].flags, kPlain | INSTAR_EXTENT_ZERO);
  EXPECT_EQ(runs[1].file_offset, 9216u);
  StatusOptions quick;
  quick.want_zero = false;
  ASSERT_EQ(status_of(*node, 4096, quick).size(), 1u);
}

TEST(ChainStatus, LetsAFilterShowItsChild) {
  FakeState file(4096), filter(4096);
  file.extents = {{1024, 0, kHole, 0}, {3072, 1024, kPlain, 0}};
  filter.extents = {{4096, 0, INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_RECURSE, 0}};
  const NodePtr storage = fake_node(file);
  std::vector<Child> children;
  children.push_back({"file", INSTAR_CHILD_FILTERED, storage});
  const NodePtr node = fake_node(filter, NodeKind::kFilter, std::move(children));
  const auto runs = status_of(*node, 4096);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].flags, kHole);
  EXPECT_EQ(runs[1].file, storage.get());
  EXPECT_EQ(runs[1].file_offset, 1024u);
}

/** A raw node whose file is an overlay: what that one's backing file holds is content all the same. */
TEST(ChainStatus, KeepsTheBackingFilesOfAnImageWithinRaw) {
  FakeState file(8192), base(4096), overlay(4096), raw(4096);
  base.extents = {{4096, 0, kPlain, 0}};
  overlay.extents = {{1024, 4096, kPlain, 0}, {3072, 0, 0, 0}};
  raw.extents = {{4096, 0, INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_RECURSE, 0}};
  const NodePtr storage = fake_node(file);
  const NodePtr node = layer(raw, layer(overlay, storage, layer(base, fake_node(file))));
  const auto runs = status_of(*node, 4096);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].flags, kPlain);
  EXPECT_EQ(runs[0].file, storage.get());
  EXPECT_EQ(runs[0].file_offset, 4096u);
  EXPECT_EQ(runs[1].flags, uint32_t{INSTAR_EXTENT_DATA});
  EXPECT_EQ(runs[1].shown_flags(), 0u);
  EXPECT_EQ(runs[1].depth, 0);
}

TEST(ChainStatus, JoinsNeighbours) {
  FakeState file(65536), image(4096);
  image.extents = {{1024, 8192, kPlain, 0},
                   {1024, 9216, kPlain, 0},
                   {1024, 4096, kPlain, 0},
                   {1024, 0, INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED, 0}};
  const NodePtr node = layer(image, fake_node(file));
  const auto runs = status_of(*node, 4096);
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].length, 2048u);
  EXPECT_EQ(status_of(*node, 4096, {}, 1).size(), 1u);
}

TEST(ChainStatus, TakesDeepChains) {
  std::vector<std::unique_ptr<FakeState>> states;
  FakeState file(4096);
  NodePtr node;
  for (int i = 0; i < 2000; ++i) {
    auto& state = *states.emplace_back(std::make_unique<FakeState>(4096));
    state.extents = {{4096, 0, 0, 0}};
    node = layer(state, fake_node(file), node);
  }
  const auto runs = status_of(*node, 4096);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].depth, 1999);
  while (node != nullptr) {  // from the top down, so that no destructor recurses
    NodePtr below = node->backing() != nullptr ? node->backing()->shared_from_this() : nullptr;
    ASSERT_TRUE(node->close(kCall));
    node = below;
  }
}

TEST(ChainStatus, ReportsWhatGoesWrong) {
  FakeState image(4096);
  image.extents = {{0, 0, 0, 0}};
  FakeState file(4096);
  const NodePtr node = layer(image, fake_node(file));
  const auto runs = chain_status(kCall, *node, 0, 4096, {});
  ASSERT_FALSE(runs);
  EXPECT_EQ(runs.error().message, "Driver 'fake' gave an extent of 0 bytes where 4096 were left");
}

}  // namespace
}  // namespace instar::block
