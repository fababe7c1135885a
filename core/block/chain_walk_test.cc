// SPDX-License-Identifier: Apache-2.0
// Walking down backing chains that are whole and that are not, over the plugins qcow2, raw and file.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/block/graph.hpp"

namespace instar::block {
namespace {

class ChainWalk : public testing::Test {
 protected:
  ChainWalk() : registry_(settings()), graph_(registry_, ReferencePolicy::kAll, {}) {
    std::filesystem::create_directories(root_);
    std::filesystem::current_path(root_);
  }
  ~ChainWalk() override { std::filesystem::remove_all(root_); }

  static registry::Settings settings() {
    static const auto plugins = std::filesystem::current_path() / "plugins";
    registry::Settings settings;
    settings.search.system_folder = "/nonexistent";
    for (const auto* folder : {"formats/qcow2", "formats/raw", "protocols/file"})
      for (const auto& file : std::filesystem::directory_iterator(plugins / folder))
        if (file.path().extension() == ".so")
          settings.search.plugin_files.push_back(std::filesystem::canonical(file.path()));
    return settings;
  }
  void create(const std::string& name, const std::string& backing = {},
              const std::string& format = "qcow2", const std::string& options = {}) {
    CreateSpec spec;
    spec.filename = name;
    spec.format = name.ends_with(".raw") ? "raw" : "qcow2";
    spec.size = 1 << 20;
    spec.quiet = true;
    spec.backing_unsafe = true;
    spec.options = options;
    if (!backing.empty()) spec.backing = backing;
    if (!backing.empty() && !format.empty()) spec.backing_format = format;
    const auto created = graph_.create(spec);
    ASSERT_TRUE(created) << created.error().message;
  }
  /** Other bytes in a file, of the same length. */
  static void replace(const std::string& name, const std::string& old, const std::string& bytes) {
    std::ifstream in(name, std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), {});
    ASSERT_NE(all.find(old), std::string::npos);
    std::fstream(name, std::ios::binary | std::ios::in | std::ios::out)
        .seekp(static_cast<std::streamoff>(all.find(old)))
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  /** "NAME FORMAT<PROBED" of each image, or "NAME: ERROR", or both. */
  static std::vector<std::string> walk(Graph& graph, const std::string& top) {
    std::vector<std::string> found;
    OpenSpec spec;
    spec.filename = top;
    const auto walked = graph.walk_chain(spec, [&](const ChainLink& link) -> Status {
      std::string line = link.filename;
      if (link.image != nullptr) line += cat(" ", link.image->driver(), "<", link.probed);
      if (!link.error.empty()) line += ": " + link.error;
      found.push_back(line);
      return {};
    });
    EXPECT_TRUE(walked);
    return found;
  }
  std::vector<std::string> walk(const std::string& top) { return walk(graph_, top); }

  using Lines = std::vector<std::string>;
  const std::string root_ = testing::TempDir() + "chain_walk" + std::to_string(getpid());
  registry::Registry registry_;
  Graph graph_;
};

TEST_F(ChainWalk, EveryImageOnce) {
  create("base.raw");
  create("mid", "base.raw", "raw");
  create("top", "mid");
  EXPECT_EQ(walk("top"), (Lines{"top qcow2<qcow2", "mid qcow2<qcow2", "base.raw raw<raw"}));
}

TEST_F(ChainWalk, EndsWhereAFileIsMissing) {
  create("mid", "gone");
  create("top", "mid");
  EXPECT_EQ(walk("top"), (Lines{"top qcow2<qcow2", "mid qcow2<qcow2",
                                "gone: Could not open 'gone': No such file or directory"}));
}

TEST_F(ChainWalk, EndsAtACycle) {
  create("a", "b");
  create("b", "./a");
  EXPECT_EQ(walk("a"), (Lines{"a qcow2<qcow2", "b qcow2<qcow2",
                              "./a: Backing file './a' creates an infinite loop."}));
}

TEST_F(ChainWalk, GoesOnBelowAWrongFormat) {
  create("base");
  create("mid", "base");
  create("top", "mid", "raw");
  // As raw it has no backing file, whatever it looks like.
  EXPECT_EQ(walk("top"), (Lines{"top qcow2<qcow2", "mid raw<qcow2"}));
  create("top", "mid");
  replace("top", "qcow2", "other");
  EXPECT_EQ(walk("top"), (Lines{"top qcow2<qcow2", "mid qcow2<qcow2: Unknown driver 'other'",
                                "base qcow2<qcow2"}));
  create("base.raw");
  create("other", "base.raw", "qcow2");
  EXPECT_EQ(walk("other"), (Lines{"other qcow2<qcow2", "base.raw: Image is not in qcow2 format"}));
}

TEST_F(ChainWalk, GoesOnBelowAMissingDataFile) {
  create("base");
  create("mid", "base", "qcow2", "data_file=mid.data");
  create("top", "mid");
  std::filesystem::remove("mid.data");
  EXPECT_EQ(walk("top"),
            (Lines{"top qcow2<qcow2",
                   "mid qcow2<qcow2: Could not open 'mid.data': No such file or directory",
                   "base qcow2<qcow2"}));
}

TEST_F(ChainWalk, HeedsTheReferenceGate) {
  create("base");
  create("top", root_ + "/base");
  Graph closed(registry_, ReferencePolicy::kNone, {});
  const auto found = walk(closed, "top");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_NE(found[1].find("which the policy 'none' does not open"), std::string::npos) << found[1];
}

TEST_F(ChainWalk, AnErrorOfTheCallerEndsIt) {
  create("base");
  create("top", "base");
  OpenSpec spec;
  spec.filename = "top";
  int seen = 0;
  const auto walked = graph_.walk_chain(spec, [&](const ChainLink&) -> Status {
    ++seen;
    return fail(EIO, "enough");
  });
  ASSERT_FALSE(walked);
  EXPECT_EQ(walked.error().message, "enough");
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace instar::block
