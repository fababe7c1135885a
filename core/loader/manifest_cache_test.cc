// SPDX-License-Identifier: Apache-2.0
#include "core/loader/manifest_cache.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "core/loader/fakes/folder.hpp"
#include "core/loader/search.hpp"

namespace instar::loader {
namespace {

using testing::Folder;

constexpr const char* kAll = R"({
  "manifest": 1, "name": "acme", "version": "2.1", "vendor": "Acme", "license": "MIT",
  "package": "acme-instar", "min_host_abi": "1.0", "library": "libacme.so",
  "build_id": "ab12", "architecture": "x86_64",
  "provides": [{
    "kind": "format", "name": "acme", "aliases": ["ac"], "summary": "Acme images",
    "probe": [{"score": 90, "only": "instar",
               "match": [{"offset": 4, "bytes": "41634d65", "mask": "ffffff00"},
                         {"offset": -8, "be32_min": 2}, {"name_ends": ".ac"}]},
              {"code": true}],
    "extensions": ["acme"], "schemes": ["ac"], "filename": "ac:{x}", "interfaces": ["instar.map/1"],
    "threads": "parallel", "rank": -3, "replaces": true, "flags": ["backing"],
    "options": {"open": [{"name": "depth", "type": "number", "default": 7, "identity": true}],
                "create": [{"name": "size", "type": "size", "help": "Bytes", "checked_as": "s"},
                           {"name": "mode", "type": "enum", "values": ["a", "b"], "default": "a"}],
                "amend": [{"name": "fast", "type": "bool", "extension": true}]}}]})";

std::string kept(const Folder& folder) {
  std::ifstream file(folder.path(kManifestCacheName), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::optional<Manifest> cached(const Folder& folder, const std::string& name) {
  return ManifestCache(folder.path()).find(name);
}

void set_time(const std::string& path, time_t seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

void expect_same(const OptionSpec& a, const OptionSpec& b) {
  EXPECT_EQ(std::tie(a.name, a.type, a.values, a.default_value, a.help, a.extension, a.identity,
                     a.checked_as),
            std::tie(b.name, b.type, b.values, b.default_value, b.help, b.extension, b.identity,
                     b.checked_as));
}

void expect_same(const std::vector<OptionSpec>& a, const std::vector<OptionSpec>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    expect_same(a[i], b[i]);
}

void expect_same(const ProbeRule& a, const ProbeRule& b) {
  EXPECT_EQ(std::tie(a.score, a.by_code, a.only), std::tie(b.score, b.by_code, b.only));
  ASSERT_EQ(a.matches.size(), b.matches.size());
  for (size_t i = 0; i < a.matches.size(); ++i) {
    const auto &x = a.matches[i], &y = b.matches[i];
    EXPECT_EQ(std::tie(x.offset, x.bytes, x.mask, x.be32_min, x.name_ends),
              std::tie(y.offset, y.bytes, y.mask, y.be32_min, y.name_ends));
  }
}

TEST(ManifestCache, GivesBackEveryMember) {
  const Folder folder;
  folder.write("acme.json", kAll);
  ASSERT_EQ(*write_manifest_cache(folder.path()), 1u);
  const auto a = parse_manifest(kAll, folder.path("acme.json"));
  const auto b = cached(folder, "acme.json");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(std::tie(a->path, a->library, a->name, a->version, a->vendor, a->license, a->package,
                     a->architecture, a->build_id, a->min_abi_major, a->min_abi_minor),
            std::tie(b->path, b->library, b->name, b->version, b->vendor, b->license, b->package,
                     b->architecture, b->build_id, b->min_abi_major, b->min_abi_minor));
  ASSERT_EQ(b->provides.size(), 1u);
  const auto &x = a->provides[0], &y = b->provides[0];
  EXPECT_EQ(std::tie(x.kind, x.name, x.aliases, x.summary, x.probe_by_code, x.extensions, x.schemes,
                     x.filename, x.interfaces, x.threads, x.rank, x.replaces, x.flags),
            std::tie(y.kind, y.name, y.aliases, y.summary, y.probe_by_code, y.extensions, y.schemes,
                     y.filename, y.interfaces, y.threads, y.rank, y.replaces, y.flags));
  ASSERT_EQ(y.probe.size(), 2u);
  expect_same(x.probe[0], y.probe[0]);
  expect_same(x.probe[1], y.probe[1]);
  expect_same(x.open_options, y.open_options);
  expect_same(x.create_options, y.create_options);
  expect_same(x.amend_options, y.amend_options);
}

TEST(ManifestCache, KnowsAFileOnlyAsItWas) {
  const Folder folder;
  folder.write("a.json", kAll);
  ASSERT_TRUE(write_manifest_cache(folder.path()));
  EXPECT_FALSE(cached(folder, "b.json"));
  set_time(folder.path("a.json"), 1);
  EXPECT_FALSE(cached(folder, "a.json"));
  ASSERT_TRUE(write_manifest_cache(folder.path()));
  EXPECT_TRUE(cached(folder, "a.json"));
  folder.write("a.json", std::string(kAll) + " ");
  set_time(folder.path("a.json"), 1);
  EXPECT_FALSE(cached(folder, "a.json"));
}

TEST(ManifestCache, WhatChangedIsReadFromItsFile) {
  const Folder folder;
  folder.write("a.json", R"({"name": "a", "version": "1", "provides": []})");
  folder.write("gone.json", R"({"name": "gone", "version": "1", "provides": []})");
  ASSERT_EQ(*write_manifest_cache(folder.path()), 2u);
  folder.write("a.json", R"({"name": "other", "version": "1", "provides": []})");
  folder.write("new.json", R"({"name": "new", "version": "1", "provides": []})");
  std::filesystem::remove(folder.path("gone.json"));
  const auto found = find_manifests({folder.path(), "", {}, {}, ""});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].manifest->name, "other");
  EXPECT_EQ(found[1].manifest->name, "new");
}

TEST(ManifestCache, LeavesOutWhatCannotBeUsed) {
  const Folder folder;
  folder.write("bad.json", "{");
  folder.write("good.json", kAll);
  std::filesystem::create_symlink("good.json", folder.path("link.json"));
  EXPECT_EQ(*write_manifest_cache(folder.path()), 1u);
  EXPECT_FALSE(cached(folder, "bad.json"));
  EXPECT_FALSE(cached(folder, "link.json"));
  const auto found = find_manifests({folder.path(), "", {}, {}, ""});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_FALSE(found[0].manifest);
  EXPECT_TRUE(found[2].manifest);
}

TEST(ManifestCache, ADamagedOneIsNone) {
  const Folder folder;
  folder.write("a.json", kAll);
  ASSERT_TRUE(write_manifest_cache(folder.path()));
  const std::string whole = kept(folder);
  for (size_t length = 0; length < whole.size(); ++length) {
    folder.write(kManifestCacheName, whole.substr(0, length));
    EXPECT_FALSE(cached(folder, "a.json")) << length;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(~damaged[at]);
    folder.write(kManifestCacheName, damaged);
    (void)cached(folder, "a.json");  // no crash, no endless memory
  }
  folder.write(kManifestCacheName, "instarMC");
  EXPECT_FALSE(cached(folder, "a.json"));
}

TEST(ManifestCache, RootPassesOverOneThatOthersCanWrite) {
  const Folder folder;
  folder.write("a.json", kAll);
  ASSERT_TRUE(write_manifest_cache(folder.path()));
  EXPECT_TRUE(cached(folder, "a.json"));
  std::filesystem::permissions(folder.path(kManifestCacheName), std::filesystem::perms(0666));
  EXPECT_EQ(cached(folder, "a.json").has_value(), geteuid() != 0);
}

TEST(ManifestCache, ErrorsNameTheFile) {
  const auto written = write_manifest_cache("/nonexistent/folder");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("/nonexistent/folder/manifests.cache"), std::string::npos)
      << written.error().message;
}

}  // namespace
}  // namespace instar::loader
