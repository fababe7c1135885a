// SPDX-License-Identifier: Apache-2.0
// Uploads over the plugins raw, vdi (which has no streams), file, and shelf of testdata, a protocol
// that stores its files whole.
#include "core/block/upload.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/block/graph.hpp"
#include "sdk/abi/graph.h"

namespace instar::block {
namespace {

namespace fs = std::filesystem;

const Call kCall(nullptr);

class UploadTest : public testing::Test {
 protected:
  UploadTest() : registry_(settings()), graph_(registry_, ReferencePolicy::kAll, {}) {
    fs::create_directories(temporary_);
    fs::current_path(root_);
    ::setenv("TMPDIR", temporary_.c_str(), 1);
  }
  ~UploadTest() override {
    ::unsetenv("TMPDIR");
    fs::remove_all(root_);
  }

  static registry::Settings settings() {
    static const fs::path start = fs::current_path();
    registry::Settings settings;
    settings.search.system_folder = "/nonexistent";
    for (const char* folder : {"plugins/formats/raw", "plugins/formats/vdi",
                               "plugins/protocols/file", "core/block/testdata"})
      for (const auto& file : fs::directory_iterator(start / folder))
        if (file.path().extension() == ".so")
          settings.search.plugin_files.push_back(fs::canonical(file.path()));
    return settings;
  }

  /** A new raw image of 1 KiB, as it is made before it is stored. Its name. */
  Result<std::string> make(const std::string& filename, const std::string& options = {}) {
    INSTAR_TRY(std::string staged, graph_.stage(filename, 0));
    CreateSpec spec;
    spec.filename = filename;
    spec.staged = staged;
    spec.format = "raw";
    spec.size = 1024;
    spec.options = options;
    spec.quiet = true;
    INSTAR_CHECK(graph_.create(spec));
    return staged;
  }
  static std::string content_of(const std::string& name) {
    std::ifstream file(name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool nothing_is_left() const { return fs::is_empty(temporary_); }

  const fs::path root_ = fs::path(testing::TempDir()) / ("upload" + std::to_string(getpid()));
  const fs::path temporary_ = root_ / "tmp";
  registry::Registry registry_;
  Graph graph_;
};

TEST_F(UploadTest, AnImageIsMadeInAFolderOfItsOwnAndStoredWhole) {
  const auto staged = make("shelf:a");
  ASSERT_TRUE(staged) << staged.error().message;
  EXPECT_TRUE(staged->starts_with(temporary_.string())) << *staged;
  std::fstream(*staged, std::ios::in | std::ios::out) << "hello";
  EXPECT_FALSE(fs::exists("a"));
  const auto settled = graph_.settle(*staged, "shelf:a", 0);
  ASSERT_TRUE(settled) << settled.error().message;
  EXPECT_EQ(content_of("a"), "hello" + std::string(1019, '\0'));
  EXPECT_TRUE(nothing_is_left());
}

TEST_F(UploadTest, LongerThanOnePiece) {
  const auto staged = make("shelf:a");
  ASSERT_TRUE(staged);
  std::string wanted;
  while (wanted.size() < (5u << 20) + 77)
    wanted += std::to_string(wanted.size());
  std::ofstream(*staged, std::ios::binary) << wanted;
  ASSERT_TRUE(graph_.settle(*staged, "shelf:a", 0));
  EXPECT_EQ(content_of("a"), wanted);
}

TEST_F(UploadTest, TheProtocolGetsItsOptions) {
  const auto staged = make("shelf:a", "note=bye");
  ASSERT_TRUE(staged) << staged.error().message;
  ASSERT_TRUE(graph_.settle(*staged, "shelf:a", 0));
  EXPECT_EQ(content_of("a"), std::string(1024, '\0') + "bye");
}

TEST_F(UploadTest, WhatIsNotStoredGoes) {
  const auto removed = make("shelf:a");
  ASSERT_TRUE(removed);
  ASSERT_TRUE(graph_.remove(kCall, *removed));
  EXPECT_TRUE(nothing_is_left());

  std::ofstream("taken") << "mine";
  const auto refused = make("shelf:taken");
  ASSERT_TRUE(refused);
  const auto settled = graph_.settle(*refused, "shelf:taken", 0);
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().message, "Could not store 'taken'");
  ASSERT_TRUE(graph_.remove(kCall, *refused));
  EXPECT_TRUE(nothing_is_left());
  EXPECT_EQ(content_of("taken"), "mine");
}

TEST_F(UploadTest, NothingIsWrittenInItsPlace) {
  CreateSpec spec;
  spec.filename = "shelf:a";
  spec.format = "raw";
  spec.size = 1024;
  spec.quiet = true;
  const auto created = graph_.create(spec);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().message, "Protocol driver 'shelf' only stores images that are whole");
  // Somebody else may store it between the look and the storing.
  EXPECT_FALSE(graph_.stage("shelf:a", INSTAR_SETTLE_NO_REPLACE));
}

/** Content "data", zeroes up to 1 KiB. */
int give(void*, instar_call*, const instar_content* each) {
  const int result = each->data(each->opaque, "data", 4);
  return result < 0 ? result : each->zeroes(each->opaque, 1020);
}

TEST_F(UploadTest, AStreamNeedsNoFile) {
  const instar_stream_source source{sizeof source, 0, nullptr, 1024, &give, &give};
  StreamSpec spec;
  spec.format = "raw";
  spec.options = "note=end";
  spec.filename = "shelf:a";
  fs::remove(temporary_);  // nobody could make a file there
  const auto streamed = graph_.stream(kCall, spec, source);
  ASSERT_TRUE(streamed) << streamed.error().message;
  EXPECT_EQ(content_of("a"), "data" + std::string(1020, '\0') + "end");

  spec.format = "vdi";
  spec.filename = "shelf:b";
  const auto refused = graph_.stream(kCall, spec, source);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOTSUP);
  EXPECT_FALSE(fs::exists("b"));
}

}  // namespace
}  // namespace instar::block
