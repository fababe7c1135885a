// SPDX-License-Identifier: Apache-2.0
// Faulty plugins: each ends in one clear line.
#include "core/loader/plugin.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "core/base/file.hpp"
#include "core/loader/elf.hpp"
#include "core/loader/fakes/folder.hpp"
#include "core/loader/trust.hpp"
#include "sdk/abi/format.h"

namespace instar::loader {
namespace {

using testing::Folder;

constexpr instar_host kHost = {
    sizeof(instar_host), INSTAR_ABI_MINOR, nullptr, nullptr, nullptr, nullptr};

std::unique_ptr<Plugin> plugin_of(const Folder& folder, const std::string& name) {
  const auto text = base::read_file(folder.path(name + ".json"), kMaxManifestSize);
  auto manifest = parse_manifest(*text, folder.path(name + ".json"));
  EXPECT_TRUE(manifest) << manifest.error().message;
  return std::make_unique<Plugin>(*std::move(manifest), Tier::kArgument);
}

/** What loading the plugin says, its path written as PATH; "" when it loads. */
std::string load(const Folder& folder, const std::string& name) {
  const Status status = plugin_of(folder, name)->load(&kHost);
  if (status) return "";
  std::string text = status.error().message;
  EXPECT_FALSE(status.error().hint.empty()) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  for (size_t at; (at = text.find(folder.path())) != std::string::npos;)
    text.replace(at, folder.path().size(), "PATH");
  return text;
}

std::string load_fault(const std::string& fault) {
  const Folder folder;
  folder.add("x", fault);
  return load(folder, "x");
}

TEST(Plugin, LoadsWhenUsed) {
  const Folder folder;
  folder.add("x", "good");
  const auto plugin = plugin_of(folder, "x");
  ASSERT_TRUE(plugin->load(&kHost));
  EXPECT_TRUE(plugin->load(&kHost));
  const auto* ops = static_cast<const instar_format_ops*>(plugin->table(0).clamped.get());
  EXPECT_NE(plugin->table(0).own, ops);
  EXPECT_EQ(ops->probe(&kHost, reinterpret_cast<const uint8_t*>("F"), 1, ""), 42);
}

TEST(Plugin, OfANewerMinorLoads) {
  const Folder folder;
  folder.add("x", "newer_minor");
  const auto plugin = plugin_of(folder, "x");
  const Status status = plugin->load(&kHost);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(plugin->abi_minor(), 99u);
  const auto* ops = static_cast<const instar_format_ops*>(plugin->table(0).clamped.get());
  EXPECT_EQ(ops->struct_size, sizeof(instar_format_ops));
}

TEST(Plugin, SlotsBeyondItsTableAreNull) {
  const Folder folder;
  folder.add("x", "short_table");
  const auto plugin = plugin_of(folder, "x");
  ASSERT_TRUE(plugin->load(&kHost));
  const auto* ops = static_cast<const instar_format_ops*>(plugin->table(0).clamped.get());
  EXPECT_NE(ops->open, nullptr);
  EXPECT_EQ(ops->create, nullptr);
  EXPECT_EQ(ops->get_interface, nullptr);
}

TEST(Plugin, FaultsAreToldInOneLine) {
  EXPECT_EQ(load_fault("no_entry"),
            "plugin 'PATH/x.so' is not a plugin: it lacks instar_plugin_entry_v1");
  EXPECT_EQ(load_fault("major_2"),
            "plugin 'PATH/x.so' is made for plugin ABI 2, this instar has 1");
  EXPECT_EQ(load_fault("undefined"),
            "plugin 'PATH/x.so' could not be loaded: undefined symbol: nobody_defines_this");
  EXPECT_EQ(load_fault("throwing_entry"),
            "plugin 'PATH/x.so' threw an exception while it was loaded: no mood");
  EXPECT_EQ(load_fault("throwing_int"),
            "plugin 'PATH/x.so' threw an exception while it was loaded");
  EXPECT_EQ(load_fault("refusing"), "plugin 'PATH/x.so' cannot work here: No such device");
  EXPECT_EQ(load_fault("empty"), "plugin 'PATH/x.so' gave an incomplete description of itself");
  EXPECT_EQ(load_fault("no_open"),
            "plugin 'PATH/x.so' provides the format 'fake' without a function that every format "
            "must have");
}

TEST(Plugin, MustAgreeWithItsManifest) {
  const Folder folder;
  const std::string start = "plugin 'PATH/x.so' and its manifest 'PATH/x.json' disagree: ";
  folder.add("x", "good", "", R"("name": "other", "version": "1",)");
  EXPECT_EQ(load(folder, "x"), start + "the library is 'fake', the manifest 'other'");
  folder.add("x", "good", "", R"("name": "fake", "version": "2",)");
  EXPECT_EQ(load(folder, "x"), start + "the library has version 1, the manifest 2");
  folder.add("x", "good", R"("kind": "format", "name": "more"}, {)");
  EXPECT_EQ(load(folder, "x"), start + "only the manifest has the format 'more'");
  folder.write("x.json", R"({"name": "fake", "version": "1", "provides": []})");
  EXPECT_EQ(load(folder, "x"), start + "only the library has the format 'fake'");
}

TEST(Plugin, WithoutLibrary) {
  const Folder folder;
  folder.add("x", "good");
  std::filesystem::remove(folder.path("x.so"));
  EXPECT_EQ(load(folder, "x"), "plugin 'PATH/x.so' could not be loaded: No such file or directory");
}

TEST(Plugin, TruncatedAnywhere) {
  const Folder folder;
  folder.add("x", "good");
  const auto size = std::filesystem::file_size(folder.path("x.so"));
  for (uintmax_t length = 0; length < size; length += size / 97 + 1) {
    folder.add("x", "good");
    std::filesystem::resize_file(folder.path("x.so"), length);
    const std::string text = load(folder, "x");
    // What stands behind the segments (section headers, debug information) isn't needed to load.
    if (!text.empty()) {
      EXPECT_TRUE(text == "plugin 'PATH/x.so' is truncated" ||
                  text == "plugin 'PATH/x.so' is not a shared library")
          << length << ": " << text;
    } else {
      EXPECT_GT(length, size / 4);
    }
  }
}

TEST(Plugin, OfAnotherMachine) {
  const Folder folder;
  folder.add("x", "good");
  std::fstream file(folder.path("x.so"), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(18);  // e_machine
  file.write("\x16\x00", 2);
  file.close();
  EXPECT_EQ(load(folder, "x"),
            cat("plugin 'PATH/x.so' is built for s390x, this is ", host_architecture()));
}

TEST(Plugin, LoadsOnceForManyThreads) {
  const Folder folder;
  folder.add("x", "good");
  const auto plugin = plugin_of(folder, "x");
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      EXPECT_TRUE(plugin->load(&kHost));
      EXPECT_NE(plugin->table(0).clamped, nullptr);
    });
}

TEST(Trust, FilesThatOthersCanWriteAreRefused) {
  const Folder folder;
  folder.add("x", "good");
  const std::string file = folder.path("x.so");
  EXPECT_TRUE(check_trust_of_root(file)) << check_trust_of_root(file).error().message;

  chmod(file.c_str(), 0777);
  const Status writable = check_trust_of_root(file);
  ASSERT_FALSE(writable);
  EXPECT_EQ(writable.error().message,
            cat("plugin '", file, "' is refused: '", file, "' is writable by other users"));
  chmod(file.c_str(), 0755);

  chmod(folder.path().c_str(), 0777);
  const Status open_folder = check_trust_of_root(file);
  ASSERT_FALSE(open_folder);
  EXPECT_EQ(open_folder.error().message, cat("plugin '", file, "' is refused: '", folder.path(),
                                             "' is writable by other users"));
  chmod(folder.path().c_str(), 01777);
  EXPECT_TRUE(check_trust_of_root(file));
}

TEST(Trust, ALinkIsFollowed) {
  const Folder folder;
  const Folder open;
  open.add("x", "good");
  std::filesystem::create_symlink(open.path("x.so"), folder.path("x.so"));
  EXPECT_TRUE(check_trust_of_root(folder.path("x.so")));
  chmod(open.path().c_str(), 0777);
  EXPECT_FALSE(check_trust_of_root(folder.path("x.so")));
  chmod(open.path().c_str(), 0700);
  chmod(folder.path().c_str(), 0777);
  EXPECT_FALSE(check_trust_of_root(folder.path("x.so")));
}

TEST(Trust, OfRootHoldsForLoading) {
  const Folder folder;
  folder.add("x", "good");
  chmod(folder.path("x.so").c_str(), 0777);
  const std::string text = load(folder, "x");
  if (geteuid() == 0)
    EXPECT_EQ(text, "plugin 'PATH/x.so' is refused: 'PATH/x.so' is writable by other users");
  else
    EXPECT_EQ(text, "");
}

TEST(Elf, TellsExportsAndNeeds) {
  const Folder folder;
  folder.add("x", "leaking");
  const auto info = read_elf(folder.path("x.so"));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->architecture, host_architecture());
  EXPECT_NE(std::find(info->exports.begin(), info->exports.end(), "leaked_symbol"),
            info->exports.end());
  EXPECT_EQ(info->build_id.size(), 40u);
  folder.add("y", "throwing_entry");
  const auto other = read_elf(folder.path("y.so"));
  ASSERT_TRUE(other);
  // Which ones depends on the build: see sdk/build/cxx_runtime.bzl.
  EXPECT_TRUE(std::any_of(other->needed.begin(), other->needed.end(), [](const auto& library) {
    return library == "libc.so.6" || library == "libstdc++.so.6";
  }));
}

TEST(Elf, DamagedFilesDoNoHarm) {
  const Folder folder;
  folder.add("x", "good");
  const auto bytes = *base::read_file(folder.path("x.so"), 1 << 30);
  uint32_t random = 12345;
  for (int round = 0; round < 500; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 8; ++i) {
      random = random * 1664525 + 1013904223;
      // Headers, or the section table at the end.
      const size_t range = std::min<size_t>(4096, damaged.size());
      const size_t at = random / 65536 % range;
      damaged[(round & 1) != 0 ? at : damaged.size() - 1 - at] = static_cast<char>(random >> 8);
    }
    folder.write("y.so", damaged);
    (void)read_elf(folder.path("y.so"));
    (void)check_loadable(folder.path("y.so"));
  }
}

}  // namespace
}  // namespace instar::loader
