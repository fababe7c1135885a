// SPDX-License-Identifier: Apache-2.0
// Which nodes may be gone around.
#include <gtest/gtest.h>

#include "core/engine/fake_nodes.hpp"
#include "core/engine/raw_file.hpp"

namespace instar::engine {
namespace {

using block::Node;
using block::NodePtr;
using sdk::Call;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

/** The child's content; extents point to the child. */
class Above {
 public:
  explicit Above(NodePtr child) : child_(std::move(child)) {}
  uint64_t size() const { return *child_->size(); }
  Status read(const Call& call, uint64_t offset, IoVec to) {
    return child_->read(call, offset, to);
  }
  Result<size_t> extents(const Call& call, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    return child_->extents(call, offset, length, out, max);
  }

 private:
  NodePtr child_;
};

/** Like raw. */
struct Plain : Above {
  using Above::Above;
  static constexpr bool kPlainReads = true;
};

template <class T>
NodePtr above(NodePtr child) {
  return fakes::make_node(block::NodeKind::kFormat, "above", std::make_unique<T>(child),
                          {{"file", INSTAR_CHILD_FILE, child}});
}

const RawFile* plain(RawFiles& files, Node& top) {
  const auto runs = block::chain_status(Call(nullptr), top, 0, 4096, {});
  EXPECT_TRUE(runs);
  EXPECT_NE((*runs)[0].file, nullptr);
  return files.plain((*runs)[0]);
}

TEST(PlainReads, GoAroundThoseThatAllowIt) {
  const auto one = above<Plain>(fakes::file_node(4096));
  const auto two = above<Plain>(one);
  RawFiles files;
  EXPECT_NE(plain(files, *one), nullptr);
  EXPECT_NE(plain(files, *two), nullptr);
}

TEST(PlainReads, StopAtThoseThatDoNot) {
  const auto opaque = above<Above>(fakes::file_node(4096));
  const auto two = above<Plain>(opaque);
  RawFiles files;
  EXPECT_EQ(plain(files, *opaque), nullptr);
  EXPECT_EQ(plain(files, *two), nullptr);
}

}  // namespace
}  // namespace instar::engine
