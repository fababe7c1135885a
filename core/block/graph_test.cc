// SPDX-License-Identifier: Apache-2.0
// The graph over the plugins raw, file, null-co, blkdebug and quorum, which stand beside the test.
#include "core/block/graph.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "core/block/status.hpp"

namespace instar::block {
namespace {

const Call kCall(nullptr);

class GraphTest : public testing::Test {
 protected:
  GraphTest() : registry_(settings()), graph_(registry_, ReferencePolicy::kAll, messages()) {
    std::filesystem::create_directories(root_);
    std::filesystem::current_path(root_);
  }
  ~GraphTest() override { std::filesystem::remove_all(root_); }

  static registry::Settings settings() {
    registry::Settings settings;
    settings.search.system_folder = "/nonexistent";
    const auto here = std::filesystem::path(start()) / "plugins";
    for (const auto* folder :
         {"formats/raw", "protocols/file", "protocols/null", "filters/blkdebug", "filters/quorum"})
      for (const auto& file : std::filesystem::directory_iterator(here / folder))
        if (file.path().extension() == ".so")
          settings.search.plugin_files.push_back(std::filesystem::canonical(file.path()));
    return settings;
  }
  static const std::string& start() {
    static const std::string folder = std::filesystem::current_path();
    return folder;
  }
  Graph::Messages messages() {
    Graph::Messages messages;
    messages.opaque = this;
    messages.print = [](void* self, std::string_view text) {
      static_cast<GraphTest*>(self)->printed_ += text;
    };
    messages.caution = [](void* opaque, std::string_view text, std::string_view more) {
      auto& printed = static_cast<GraphTest*>(opaque)->printed_;
      printed += cat(text, "\n", more);
    };
    return messages;
  }
  Result<NodePtr> open(const std::string& filename, uint32_t flags = 0,
                       std::optional<std::string> format = std::nullopt, bool image_opts = false) {
    OpenSpec spec;
    spec.filename = filename;
    spec.flags = flags;
    spec.format = std::move(format);
    spec.image_opts = image_opts;
    return graph_.open(spec);
  }
  std::string error(const std::string& filename, bool image_opts = false) {
    const auto node = open(filename, 0, {}, image_opts);
    return node ? "opened" : node.error().message;
  }
  Status create(const std::string& filename, const std::string& format, uint64_t size,
                const std::string& options = {}) {
    CreateSpec spec;
    spec.filename = filename;
    spec.format = format;
    spec.size = size;
    spec.options = options;
    return graph_.create(spec);
  }

  const std::string root_ = testing::TempDir() + "graph" + std::to_string(getpid());
  std::string printed_;
  registry::Registry registry_;
  Graph graph_;
};

/** Sanitizers make frames several times as large. */
void with_large_stack(const std::function<void()>& work) {
  constexpr size_t kStack = 256 << 20;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  const auto run = [](void* opaque) -> void* {
    (*static_cast<const std::function<void()>*>(opaque))();
    return nullptr;
  };
  pthread_t thread{};
  ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work)),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST_F(GraphTest, CreatesOpensWritesAndReadsBack) {
  ASSERT_TRUE(create("a.raw", "raw", 4096, "nocow=off"));
  EXPECT_EQ(printed_, "Formatting 'a.raw', fmt=raw size=4096 nocow=off\n");
  auto node = open("a.raw", INSTAR_OPEN_WRITE, "raw");
  ASSERT_TRUE(node) << node.error().message;
  ASSERT_TRUE((*node)->write(kCall, 100, "hello", 5));
  ASSERT_TRUE((*node)->close(kCall));
  node = open("a.raw");
  ASSERT_TRUE(node);
  EXPECT_EQ((*node)->driver(), "raw");
  EXPECT_EQ((*node)->filename(), "a.raw");
  char text[6] = {};
  ASSERT_TRUE((*node)->read(kCall, 100, text, 5));
  EXPECT_STREQ(text, "hello");
}

TEST_F(GraphTest, TakesTheSizeThatWins) {
  CreateSpec spec;
  spec.filename = "a.raw";
  spec.format = "raw";
  spec.options = "size=2M";
  spec.size = 4096;
  spec.size_wins = true;
  ASSERT_TRUE(graph_.create(spec));
  EXPECT_EQ(printed_, "Formatting 'a.raw', fmt=raw size=4096\n");
  EXPECT_EQ(std::filesystem::file_size("a.raw"), 4096u);
}

TEST_F(GraphTest, KeepsGuessedRawImagesRaw) {
  ASSERT_TRUE(create("a.raw", "raw", 4096));
  printed_.clear();
  const auto node = open("a.raw", INSTAR_OPEN_WRITE);
  ASSERT_TRUE(node);
  EXPECT_TRUE(printed_.starts_with(
      "Image format was not specified for 'a.raw' and probing guessed raw.\nAuto"));
  EXPECT_TRUE((*node)->write(kCall, 0, "plain", 5));
}

TEST_F(GraphTest, SaysWhatIsWrongInTheWordsOfTheOriginal) {
  std::ofstream("a.raw") << std::string(512, 'x');
  const std::vector<std::pair<std::string, std::string>> names = {
      {"none", "Could not open 'none': Could not open 'none': No such file or directory"},
      {"", "Could not open '': The 'file' block driver requires a file name"},
      {"foo:bar", "Could not open 'foo:bar': Unknown protocol 'foo'"},
      {"json:{}", "Could not open 'json:{}': Must specify either driver or file"},
      {"json:[]", "Could not open 'json:[]': Invalid JSON object given"},
      {R"(json:{"driver":5})",
       R"(Could not open 'json:{"driver":5}': Must specify either driver or file)"},
  };
  for (const auto& [name, expected] : names)
    EXPECT_EQ(error(name), expected);
  const std::vector<std::pair<std::string, std::string>> options = {
      {"driver=nosuch,file.filename=a.raw", "Unknown driver 'nosuch'"},
      {"driver=raw,zzz=2,file.filename=a.raw",
       "Block format 'raw' does not support the option 'zzz'"},
      {"driver=file,filename=a.raw,foo=1",
       "Block protocol 'file' doesn't support the option 'foo'"},
      {"driver=raw", "A block device must be specified for \"file\""},
      {"driver=raw,file=a.raw", "Cannot find device='a.raw' nor node-name='a.raw'"},
      {"driver=raw,read-only=maybe,file.filename=a.raw",
       "Parameter 'read-only' expects 'on' or 'off'"},
      {"driver=raw,discard=maybe,file.filename=a.raw", "Invalid discard option"},
      {"driver=raw,node-name=a/b,file.filename=a.raw", "Invalid node-name: 'a/b'"},
      {"driver=raw,backing.driver=raw,file.filename=a.raw", "Driver doesn't support backing files"},
      {"filename=a.raw", "Must specify either driver or file"},
  };
  for (const auto& [text, expected] : options)
    EXPECT_EQ(error(text, true), "Could not open '" + text + "': " + expected);
}

TEST_F(GraphTest, RefusesToShareWhatItWrites) {
  ASSERT_TRUE(create("a.raw", "raw", 4096));
  const auto node = open("a.raw", INSTAR_OPEN_WRITE | INSTAR_OPEN_FORCE_SHARE, "raw");
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().message,
            "Could not open 'a.raw': force-share=on can only be used with read-only images");
}

TEST_F(GraphTest, PrintsNamesThatOpenTheSame) {
  std::ofstream("a.raw") << std::string(2048, 'x');
  const auto name = [&](const std::string& from) {
    const auto node = open(from);
    return node ? (*node)->filename() : node.error().message;
  };
  EXPECT_EQ(name("file:a.raw"), "a.raw");
  std::ofstream("co:lon.raw") << std::string(512, 'x');
  EXPECT_EQ(name("file:co:lon.raw"), "./co:lon.raw");
  EXPECT_EQ(name("file:./co:lon.raw"), "./co:lon.raw");
  EXPECT_EQ(error("file:no:ne"),
            "Could not open 'file:no:ne': Could not open './no:ne': No such file or directory");
  EXPECT_EQ(name(R"(json:{"driver":"raw","file":{"driver":"file","filename":"a.raw"}})"), "a.raw");
  EXPECT_EQ(
      name(R"(json:{"driver":"raw","offset":512,"file":{"driver":"file","filename":"a.raw"}})"),
      R"(json:{"offset": 512, "driver": "raw", "file": {"driver": "file", "filename": "a.raw"}})");
  EXPECT_EQ(name(R"(json:{"driver":"raw","file":{"driver":"null-co","size":1024}})"),
            R"(json:{"driver": "raw", "file": {"driver": "null-co", "size": 1024}})");
  const auto node = open(name(
      R"(json:{"driver":"raw","offset":512,"size":512,"file":{"driver":"file","filename":"a.raw"}})"));
  ASSERT_TRUE(node);
  EXPECT_EQ(*(*node)->size(), 512u);
}

TEST_F(GraphTest, ShowsHolesOfFiles) {
  ASSERT_TRUE(create("a.raw", "raw", 1 << 20));
  auto node = open("a.raw", INSTAR_OPEN_WRITE, "raw");
  ASSERT_TRUE(node);
  const std::vector<char> data(65536, 'x');
  ASSERT_TRUE((*node)->write(kCall, 131072, data.data(), data.size()));
  const auto runs = chain_status(kCall, **node, 65536, (1 << 20) - 65536, {});
  ASSERT_TRUE(runs);
  ASSERT_EQ(runs->size(), 3u);
  EXPECT_EQ((*runs)[1].offset, 131072u);
  EXPECT_EQ((*runs)[1].file_offset, 131072u);
  EXPECT_NE((*runs)[1].flags & INSTAR_EXTENT_DATA, 0u);
  EXPECT_NE((*runs)[2].flags & INSTAR_EXTENT_ZERO, 0u);
}

TEST_F(GraphTest, CreatesOnlyWhatItCan) {
  const auto message = [&](const std::string& filename, const std::string& format,
                           const std::string& options = {}) {
    const auto created = create(filename, format, 512, options);
    return created ? "created" : created.error().message;
  };
  EXPECT_EQ(message("a", "nosuch"), "Unknown file format 'nosuch'");
  EXPECT_EQ(message("foo:bar", "raw"), "Unknown protocol 'foo'");
  EXPECT_EQ(message("null-co://", "raw"),
            "Protocol driver 'null-co' does not support image creation");
  EXPECT_EQ(message("a", "raw", "nosuch=1"), "Invalid parameter 'nosuch'");
  EXPECT_EQ(message("a", "raw", "size=1M"), "The image size must be specified only once");
  CreateSpec with_format;
  with_format.filename = "a";
  with_format.format = "raw";
  with_format.backing_format = "raw";
  with_format.size = 512;
  const auto refused = graph_.create(with_format);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "Backing file format not supported for file format 'raw'");
  EXPECT_EQ(message("/nonexistent/a", "raw"),
            "Could not create '/nonexistent/a': No such file or directory");
  EXPECT_EQ(printed_, "Formatting '/nonexistent/a', fmt=raw size=512\n");
}

/** Names of all shapes end in an error or an image, never in anything worse. */
TEST_F(GraphTest, SurvivesAnyName) {
  std::mt19937 random(3);
  const std::string_view pieces[] = {
      "json:", "{", "}",        "\"",   "driver",  ":",     "raw",     "file",  ".",
      ",",     "[", "]",        "null", "backing", "\n",    "\xff",    "\x1b[", "../",
      "//",    "=", "filename", "on",   " ",       "file.", "null-co", "size",  "1"};
  for (int i = 0; i < 5000; ++i) {
    std::string name;
    for (auto n = random() % 12; n > 0; --n)
      name += pieces[random() % std::size(pieces)];
    const bool image_opts = random() % 2 == 0;
    const auto node = open(name, 0, std::nullopt, image_opts);
    if (node) continue;
    EXPECT_TRUE(node.error().message.starts_with("Could not open '")) << name;
  }
  std::string deep = "json:";
  for (int i = 0; i < 3000; ++i)
    deep += R"({"file":)";
  EXPECT_NE(error(deep), "opened");
}

TEST_F(GraphTest, FiltersHaveNamesOfTheirOwn) {
  ASSERT_TRUE(create("a.raw", "raw", 4096));
  std::ofstream("rules") << "[inject-error]\nevent = \"read_aio\"\n";
  const auto named = open("blkdebug:rules:a.raw");
  ASSERT_TRUE(named);
  EXPECT_EQ((*named)->driver(), "raw");
  EXPECT_EQ((*named)->filename(), "blkdebug:rules:a.raw");
  EXPECT_EQ((*named)->file()->kind(), NodeKind::kFilter);
  EXPECT_EQ((*named)->file()->file()->filename(), "a.raw");
  EXPECT_EQ((*open("a.raw", 0, "blkdebug"))->filename(), "blkdebug::a.raw");
  EXPECT_EQ((*open("driver=blkdebug,image.filename=a.raw,inject-error.0.event=none", 0, {}, true))
                ->filename(),
            R"(json:{"image": {"driver": "file", "filename": "a.raw"}, "driver": "blkdebug", )"
            R"("inject-error.0.event": "none"})");
  EXPECT_EQ(error("driver=blkdebug,image.filename=a.raw,foo.bar=1", true),
            "Could not open 'driver=blkdebug,image.filename=a.raw,foo.bar=1': Block protocol "
            "'blkdebug' doesn't support the option 'foo.bar'");
  EXPECT_FALSE(create("blkdebug::b.raw", "raw", 4096));
  std::string deep = "a.raw";
  for (int i = 0; i < 10000; ++i)
    deep.insert(0, "blkdebug::");
  std::string refused;
  with_large_stack([&] { refused = error(deep); });
  EXPECT_TRUE(refused.ends_with("More than 400 nodes stand one above the other")) << refused;
  EXPECT_TRUE(open("a.raw"));
}

TEST_F(GraphTest, FiltersAreToldOfEvents) {
  ASSERT_TRUE(create("a.raw", "raw", 4096));
  const auto open_with = [&](const std::string& rule) {
    return *open(
        "file.driver=blkdebug,driver=raw,file.image.filename=a.raw,file.inject-error." + rule,
        INSTAR_OPEN_WRITE, {}, true);
  };
  char byte = 0;
  EXPECT_FALSE(open_with("event=read_aio")->read(kCall, 0, &byte, 1));
  EXPECT_TRUE(open_with("event=read_aio")->write(kCall, 0, &byte, 1));
  EXPECT_FALSE(open_with("event=pwritev")->write(kCall, 0, &byte, 1));
  EXPECT_FALSE(open_with("event=flush_to_disk")->flush(kCall));
  EXPECT_FALSE(open_with("event=pwritev_rmw.head,file.align=512")->write(kCall, 5, &byte, 1));
  EXPECT_TRUE(open_with("event=pwritev_rmw.head,file.align=512")->write(kCall, 512, &byte, 1));
  EXPECT_FALSE(open_with("event=pwritev_rmw.tail,file.align=512")->write(kCall, 512, &byte, 1));
}

TEST_F(GraphTest, CopiesOfAQuorumAreAskedWithAllThatIsBelowThem) {
  ASSERT_TRUE(create("a.raw", "raw", 1 << 20));
  const std::string copy = "children.0.driver=raw,children.0.file.driver=blkdebug,";
  const auto node =
      open("driver=quorum,vote-threshold=1," + copy + "children.0.file.image.filename=a.raw", 0, {},
           true);
  ASSERT_TRUE(node) << node.error().message;
  const auto runs = chain_status(kCall, **node, 0, 1 << 20, {});
  ASSERT_TRUE(runs) << runs.error().message;
  // The file's first block may be allocated.
  EXPECT_NE(runs->back().flags & INSTAR_EXTENT_ZERO, 0u);
}

TEST_F(GraphTest, MembersOfAFilterAreAListAndProbed) {
  ASSERT_TRUE(create("a.raw", "raw", 4096));
  const auto node = open(
      "driver=quorum,vote-threshold=1,children.0.file.filename=a.raw,children.1.driver=null-co,"
      "children.1.size=4096",
      0, {}, true);
  ASSERT_TRUE(node);
  EXPECT_EQ((*node)->filename(),
            R"(json:{"children": [{"driver": "raw", "file": {"driver": "file", "filename": )"
            R"("a.raw"}}, {"driver": "null-co", "size": "4096"}], "driver": "quorum", )"
            R"("vote-threshold": "1"})");
}

}  // namespace
}  // namespace instar::block
