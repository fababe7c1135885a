// SPDX-License-Identifier: Apache-2.0
#include "core/block/reference_gate.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace instar::block {
namespace {

class Gate : public testing::Test {
 protected:
  Gate() {
    std::filesystem::create_directories(root_ + "/sub");
    for (const char* name : {"/a", "/b", "/sub/c"})
      std::ofstream(root_ + name) << "x";
    std::filesystem::create_symlink(root_ + "/sub/c", root_ + "/link");
    mkfifo((root_ + "/fifo").c_str(), 0600);
  }
  ~Gate() override { std::filesystem::remove_all(root_); }

  std::string refused(ReferencePolicy policy, const std::string& reference) const {
    const auto admitted = ReferenceGate(policy).admit(root_ + "/a", reference);
    return admitted ? "" : admitted.error().message;
  }

  const std::string root_ = testing::TempDir() + "gate" + std::to_string(getpid());
};

TEST_F(Gate, AllAdmitsEverything) {
  for (const auto* name : {"/etc/passwd", "json:{}", "nbd://host/x", "../x"})
    EXPECT_EQ(refused(ReferencePolicy::kAll, name), "");
}

TEST_F(Gate, NoneAdmitsNothing) {
  EXPECT_EQ(refused(ReferencePolicy::kNone, root_ + "/b"),
            "'" + root_ + "/a' refers to '" + root_ + "/b', which the policy 'none' does not open");
}

TEST_F(Gate, SameFolderAdmitsNeighboursOnly) {
  const auto same = [&](const std::string& name) {
    return refused(ReferencePolicy::kSameFolder, name);
  };
  EXPECT_EQ(same(root_ + "/b"), "");
  EXPECT_EQ(same(root_ + "/sub/../b"), "");
  EXPECT_EQ(same(root_ + "/missing"), "");  // opening it tells what is wrong
  for (const std::string name :
       {"/sub/c", "/sub/../sub/c", "/../passwd", "/sub", "/..", "/nodir/x"})
    EXPECT_NE(same(root_ + name), "") << name;
  for (const auto* name : {"/etc/passwd", "json:{}", "nbd://host/x", "file:b", ""})
    EXPECT_NE(same(name), "") << name;
  EXPECT_NE(same(root_ + "/link").find("neither a regular file nor a block device"),
            std::string::npos);
  EXPECT_NE(same(root_ + "/fifo").find("neither a regular file nor a block device"),
            std::string::npos);
}

TEST_F(Gate, ChainsFindTheirBeginningAgain) {
  ReferenceChain chain;
  ASSERT_TRUE(chain.enter(root_ + "/a"));
  ASSERT_TRUE(chain.enter(root_ + "/b"));
  const auto again = chain.enter(root_ + "/sub/../a");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message,
            "Backing file '" + root_ + "/sub/../a' creates an infinite loop.");
}

TEST_F(Gate, ChainsEnd) {
  ReferenceChain chain;
  for (int i = 0; i < kMaxChainDepth; ++i)
    ASSERT_TRUE(chain.enter("/missing/" + std::to_string(i)));
  EXPECT_EQ(chain.enter("/missing/last").error().code, ELOOP);
}

}  // namespace
}  // namespace instar::block
