// SPDX-License-Identifier: Apache-2.0
#include "core/registry/registry.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <thread>

#include "core/loader/fakes/folder.hpp"
#include "core/loader/guard.hpp"
#include "sdk/abi/registry.h"
#include "sdk/cpp/host.hpp"

namespace instar::registry {
namespace {

using loader::testing::Folder;

/** A registry over folders of the test. */
class RegistryTest : public ::testing::Test {
 protected:
  Registry& registry() {
    if (registry_ == nullptr) {
      Settings settings;
      settings.search = {lib_.path("plugins"), local_.path(), {}, files_, overlays_.path()};
      settings.strict = strict_;
      settings.warn = [this](std::string_view text) { warnings_.emplace_back(text); };
      registry_ = std::make_unique<Registry>(std::move(settings));
    }
    return *registry_;
  }
  /** A format without a library. */
  static void add_manifest(const Folder& folder, const std::string& name,
                           const std::string& members = "", const std::string& kind = "format") {
    folder.write(name + ".json", R"({"name": ")" + name + R"(", "version": "1", "provides": [{)" +
                                     members + R"("kind": ")" + kind + R"(", "name": ")" + name +
                                     "\"}]}");
  }
  boost::json::value list() { return boost::json::parse(registry().list_json()); }
  boost::json::object show(const std::string& name) {
    const auto text = registry().show_json(name);
    EXPECT_TRUE(text) << text.error().message;
    return boost::json::parse(*text).as_object();
  }
  /** "rule: message" of what is broken. */
  std::vector<std::string> broken(const std::string& file = "") {
    std::vector<std::string> out;
    const auto rules = boost::json::parse(*registry().verify_json(file));
    EXPECT_FALSE(rules.as_array().empty());
    for (const auto& rule : rules.as_array())
      if (!rule.at("ok").as_bool())
        out.push_back(
            cat(rule.at("rule").as_string().c_str(), ": ", rule.at("message").as_string().c_str()));
    return out;
  }
  bool strict_ = false;
  std::unique_ptr<Registry> registry_;

  int fake_probe(const Provider& provider) {
    const auto loaded = provider.load<instar_format_ops>();
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded->ops->probe(loaded->host, reinterpret_cast<const uint8_t*>("F"), 1, "");
  }

  Folder lib_, local_, overlays_;
  struct Plugins {
    explicit Plugins(const Folder& lib) { std::filesystem::create_directory(lib.path("plugins")); }
  } plugins_{lib_};
  std::vector<std::string> files_;
  std::vector<std::string> warnings_;
};

TEST_F(RegistryTest, FindsByNameAndAlias) {
  local_.add("x", "good", R"("aliases": ["fk"],)");
  const auto* provider = registry().find_format("fake");
  ASSERT_NE(provider, nullptr);
  EXPECT_EQ(registry().find_format("fk"), provider);
  EXPECT_EQ(registry().find_driver("fake"), provider);
  EXPECT_EQ(registry().find_format("fak"), nullptr);
  EXPECT_EQ(registry().find_protocol("fake"), nullptr);
  EXPECT_EQ(fake_probe(*provider), 42);
  EXPECT_FALSE(provider->load<instar_codec_ops>());
  EXPECT_EQ(registry().driver_names(), std::vector<std::string>{"fake"});
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(RegistryTest, OfTwoTheFirstStays) {
  local_.add("x", "good");
  const Folder other;
  other.add("y", "newer_minor");
  files_ = {other.path("y.so")};
  const auto* provider = registry().find_format("fake");
  ASSERT_NE(provider, nullptr);
  EXPECT_EQ(provider->manifest().library, local_.path("x.so"));
  EXPECT_EQ(provider->next(), nullptr);
  (void)registry().find_format("fake");
  EXPECT_EQ(warnings_,
            std::vector<std::string>{cat("two plugins provide the format 'fake': '",
                                         local_.path("x.so"), "' is used, '", other.path("y.so"),
                                         "' is not (it does not declare \"replaces\")")});
  EXPECT_EQ(show(other.path("y.so")).at("provides").at(0).at("shadowed-by"),
            local_.path("x.so").c_str());
  EXPECT_EQ(show(local_.path("x.so")).at("provides").at(0).at("shadows").at(0),
            other.path("y.so").c_str());
}

TEST_F(RegistryTest, TheSameFileTwiceIsNoConflict) {
  local_.add("x", "good");
  files_ = {local_.path("x.so")};
  EXPECT_NE(registry().find_format("fake"), nullptr);
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(list().as_array().size(), 1u);
}

TEST_F(RegistryTest, ReplacesAndCallsTheNextOne) {
  local_.add("x", "good");
  local_.add("r", "replacing", R"("replaces": true,)");
  const auto* provider = registry().find_format("fake");
  ASSERT_NE(provider, nullptr);
  EXPECT_EQ(provider->manifest().library, local_.path("r.so"));
  ASSERT_NE(provider->next(), nullptr);
  EXPECT_EQ(provider->next()->manifest().library, local_.path("x.so"));
  EXPECT_EQ(fake_probe(*provider), 43);
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(show(local_.path("x.so")).at("provides").at(0).at("replaced-by"),
            local_.path("r.so").c_str());
}

TEST_F(RegistryTest, ReplacersStandOneBehindAnother) {
  local_.add("a", "replacing", R"("replaces": true, "rank": 1,)");
  local_.add("b", "replacing", R"("replaces": true,)");
  const Folder other;
  other.add("c", "replacing", R"("replaces": true,)");
  other.add("x", "good");
  files_ = {other.path("c.so"), other.path("x.so")};
  std::vector<std::string> chain;
  for (const auto* p = registry().find_format("fake"); p != nullptr; p = p->next())
    chain.push_back(p->manifest().library);
  EXPECT_EQ(chain, (std::vector<std::string>{local_.path("a.so"), other.path("c.so"),
                                             local_.path("b.so"), other.path("x.so")}));
  EXPECT_EQ(fake_probe(*registry().find_format("fake")), 45);
}

TEST_F(RegistryTest, ReplacingNothing) {
  local_.add("r", "replacing", R"("replaces": true,)");
  EXPECT_EQ(fake_probe(*registry().find_format("fake")), -ENOENT);
}

TEST_F(RegistryTest, OverlaysDisableAndRank) {
  local_.add("a", "replacing", R"("replaces": true, "rank": 1,)",
             R"("name": "a", "version": "1",)");
  local_.add("b", "replacing", R"("replaces": true,)", R"("name": "b", "version": "1",)");
  local_.add("x", "good");
  add_manifest(local_, "off");
  overlays_.write("1.json", R"({"plugin": "b", "rank": 7})");
  overlays_.write("2.json", R"({"plugin": "off", "disabled": true})");
  EXPECT_EQ(registry().find_format("fake")->manifest().name, "b");
  EXPECT_EQ(registry().find_format("off"), nullptr);
  EXPECT_EQ(registry().package_hint(INSTAR_KIND_FORMAT, "off"),
            cat("The plugin '", local_.path("off.so"), "' is disabled by '",
                overlays_.path("2.json"), "'."));
  EXPECT_EQ(show("off").at("status"), "disabled");
}

TEST_F(RegistryTest, ProbesByMagicMaskAndNumber) {
  add_manifest(local_, "raw", R"("probe": [{"score": 1, "match": []}],)");
  add_manifest(local_, "magic",
               R"("probe": [{"score": 100, "match": [{"offset": 2, "bytes": "4d41"},
                                                     {"offset": 4, "be32_min": 3}]}],)");
  add_manifest(
      local_, "masked",
      R"("probe": [{"score": 60, "match": [{"offset": 0, "bytes": "f000", "mask": "f000"}]}],)");
  const auto probe = [&](std::string_view head) {
    const auto found =
        registry().probe({reinterpret_cast<const uint8_t*>(head.data()), head.size()}, "file");
    return found.provider != nullptr ? cat(found.provider->name(), " ", found.score) : "";
  };
  using std::string_view;
  EXPECT_EQ(probe(string_view("..MA\0\0\0\3", 8)), "magic 100");
  EXPECT_EQ(probe(string_view("..MA\0\0\0\2", 8)), "raw 1");
  EXPECT_EQ(probe(string_view("..MA\0\0\0", 7)), "raw 1");
  EXPECT_EQ(probe(""), "raw 1");
  EXPECT_EQ(probe("\xfa!"), "masked 60");
  EXPECT_EQ(probe("\xea!"), "raw 1");
}

TEST_F(RegistryTest, FiltersThatUnpackAreProbed) {
  add_manifest(local_, "raw", R"("probe": [{"score": 1}],)");
  add_manifest(local_, "unpack", R"("probe": [{"score": 50, "only": "instar",
                                                "match": [{"offset": 0, "bytes": "1f"}]}],)",
               "filter");
  add_manifest(local_, "throttle", "", "filter");
  add_manifest(local_, "end", R"("extensions": ["vhd"],
                                  "probe": [{"score": 90, "match": [{"offset": -4, "bytes": "6b6f"}]}],)");
  const auto probe = [&] {
    const uint8_t head = 0x1f;
    return registry().probe({&head, 1}, "file").provider->name();
  };
  EXPECT_EQ(probe(), "unpack");
  EXPECT_TRUE(registry().wants_tail());
  EXPECT_TRUE(registry().wants_tail("disk.vhd.gz"));
  EXPECT_FALSE(registry().wants_tail("disk.raw.gz"));
  registry_.reset();
  strict_ = true;
  EXPECT_EQ(probe(), "raw");
}

TEST_F(RegistryTest, ProbesByTheEndAndByTheName) {
  add_manifest(local_, "raw", R"("probe": [{"score": 1}],)");
  add_manifest(local_, "end", R"("probe": [{"score": 90, "only": "instar",
                                             "match": [{"offset": -4, "bytes": "6b6f"}]}],)");
  add_manifest(local_, "name", R"("probe": [{"score": 2, "only": "qemu-img",
                                              "match": [{"name_ends": ".dmg"}]}],)");
  const auto probe = [&](std::string_view tail, const std::string& name) {
    const std::span bytes(reinterpret_cast<const uint8_t*>(tail.data()), tail.size());
    return registry().probe(bytes.first(1), name, bytes).provider->name();
  };
  EXPECT_TRUE(registry().wants_tail());
  EXPECT_EQ(probe("..ko..", "x"), "end");
  EXPECT_EQ(probe("...ko.", "x.dmg"), "raw");
  EXPECT_EQ(probe("..ko.." + std::string(511, '\0'), "x"), "end");
  EXPECT_EQ(probe("..ko.." + std::string(512, '\0'), "x"), "raw");
  EXPECT_EQ(probe("ko.", "x"), "raw");
  registry_.reset();
  strict_ = true;
  EXPECT_FALSE(registry().wants_tail());
  EXPECT_EQ(probe("..ko..", "x"), "raw");
  EXPECT_EQ(probe("..ko..", "x.dmg"), "name");
  EXPECT_EQ(probe("..ko..", ".dmg"), "raw");
}

TEST_F(RegistryTest, ProbesByAskingTheCode) {
  add_manifest(local_, "raw", R"("probe": [{"score": 1}],)");
  add_manifest(local_, "broken", R"("probe": [{"code": true}],)");
  local_.add("x", "good", R"("probe": [{"code": true}],)");
  const auto found = registry().probe({reinterpret_cast<const uint8_t*>("F"), 1}, "file");
  ASSERT_NE(found.provider, nullptr);
  EXPECT_EQ(found.provider->name(), "fake");
  EXPECT_EQ(found.score, 42);
}

TEST_F(RegistryTest, AThrowingPluginIsPassedOver) {
  add_manifest(local_, "raw", R"("probe": [{"score": 1}],)");
  local_.add("x", "throwing_ops", R"("probe": [{"code": true}],)");
  const auto found = registry().probe({reinterpret_cast<const uint8_t*>("F"), 1}, "file");
  ASSERT_NE(found.provider, nullptr);
  EXPECT_EQ(found.provider->name(), "raw");

  const auto loaded = registry().find_format("fake")->load<instar_format_ops>();
  ASSERT_TRUE(loaded);
  sdk::OutgoingCall call;
  const int result = loader::call_plugin(sdk::Call(call.abi()), "fake", [&] {
    return loaded->ops->probe(loaded->host, nullptr, 0, "");
  });
  EXPECT_EQ(result, -EIO);
  EXPECT_EQ(call.error(result).message, "plugin 'fake' threw an exception: probing is hard");
}

TEST_F(RegistryTest, BadPluginsDoNotStandInTheWay) {
  local_.write("bad.json", "{");
  add_manifest(local_, "new", R"("x": 0}], "min_host_abi": "1.99", "provides": [{)");
  local_.add("x", "good", "", R"("name": "fake", "version": "1", "architecture": "pdp11",)");
  const Folder other;
  other.add("x", "good");
  files_ = {other.path("x.so"), "/nonexistent.so"};
  EXPECT_EQ(registry().find_format("fake")->manifest().library, other.path("x.so"));
  EXPECT_TRUE(warnings_.empty());
  const auto all = list();
  ASSERT_EQ(all.as_array().size(), 5u);
  EXPECT_EQ(all.at(0).at("status"), "refused");
  EXPECT_EQ(registry().package_hint(INSTAR_KIND_FORMAT, "bad"),
            cat("It is installed, but the manifest '", local_.path("bad.json"),
                "': line 1: incomplete JSON."));
  EXPECT_EQ(broken().size(), 4u);
}

TEST_F(RegistryTest, TellsThePackageOfWhatIsNotInstalled) {
  lib_.write(
      "catalogue.json",
      R"([{"kind": "format", "name": "vmdk", "aliases": ["vm"], "package": "instar-format-vmdk"},
                 {"kind": "codec", "name": "zstd", "package": "instar-codec-zstd"},
                 {"kind": "protocol", "name": "nbd", "schemes": ["nbds"], "package": "instar-nbd"}, 3])");
  EXPECT_EQ(registry().package_hint(INSTAR_KIND_FORMAT, "vmdk"),
            "The format 'vmdk' is in the package instar-format-vmdk.");
  EXPECT_EQ(registry().driver_hint("vm"), "The format 'vm' is in the package instar-format-vmdk.");
  EXPECT_EQ(registry().package_hint(INSTAR_KIND_FORMAT, "zstd"), "");
  EXPECT_EQ(registry().scheme_hint("nbds"), "The protocol 'nbds' is in the package instar-nbd.");
  EXPECT_EQ(registry().driver_hint("unheard-of"), "");
}

TEST_F(RegistryTest, APluginFindsOthersThroughTheService) {
  lib_.write("catalogue.json",
             R"([{"kind": "codec", "name": "zstd", "package": "instar-codec-zstd"}])");
  local_.add("x", "good");
  const sdk::Host host(registry().find_format("fake")->host());
  const auto found = host.find<instar_format_ops>(INSTAR_KIND_FORMAT, "fake");
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, registry().find_format("fake")->load<instar_format_ops>()->ops);
  const auto missing = host.find<instar_codec_ops>(INSTAR_KIND_CODEC, "zstd");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "Unknown codec 'zstd'");
  EXPECT_EQ(missing.error().hint, "The codec 'zstd' is in the package instar-codec-zstd.");
}

TEST_F(RegistryTest, ServicesAreFoundByTheirId) {
  const int table = 0;
  registry().register_service("instar.x/1", &table);
  registry().register_service("instar.draft.y/1", &table);
  const auto* host = registry().core_host();
  EXPECT_EQ(host->get_interface(host, "instar.x/1"), &table);
  EXPECT_EQ(host->get_interface(host, "instar.x/2"), nullptr);
  EXPECT_EQ(host->get_interface(host, "instar.draft.y/1"), nullptr);
}

TEST_F(RegistryTest, VerifyTellsEveryFaultAndSurvivesIt) {
  for (const auto* fault :
       {"good", "leaking", "crashing", "undefined", "no_entry", "throwing_int"}) {
    const Folder folder;
    folder.add("x", fault);
    const auto file = folder.path("x.so");
    std::vector<std::string> expected;
    const std::string name = cat("plugin '", file, "' ");
    if (fault == std::string("leaking"))
      expected = {cat("exports: ", name,
                      "exports leaked_symbol; only instar_plugin_entry_v1 may be visible")};
    if (fault == std::string("crashing"))
      expected = {cat("load: ", name, "crashes while it is loaded: Aborted")};
    if (fault == std::string("undefined"))
      expected = {
          cat("load: ", name, "could not be loaded: undefined symbol: nobody_defines_this")};
    if (fault == std::string("no_entry"))
      expected = {cat("exports: ", name,
                      "exports some_other_library; only instar_plugin_entry_v1 may be visible"),
                  cat("load: ", name, "is not a plugin: it lacks instar_plugin_entry_v1")};
    if (fault == std::string("throwing_int"))
      expected = {cat("load: ", name, "threw an exception while it was loaded")};
    EXPECT_EQ(broken(file), expected) << fault;
  }
}

TEST_F(RegistryTest, VerifyComparesBuildIdsAndNames) {
  local_.add("x", "good", "", R"("name": "fake", "version": "1", "build_id": "00",)");
  const Folder other;
  other.add("y", "good");
  const auto faults = broken();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].find(cat("build-id: plugin '", local_.path("x.so"), "' has the build id ")),
            0u);
  EXPECT_EQ(broken(other.path("y.so")),
            std::vector<std::string>{cat("names: the format 'fake' of plugin '", other.path("y.so"),
                                         "' is not used: '", local_.path("x.so"),
                                         "' provides it too, and \"replaces\" is not declared")});
}

TEST_F(RegistryTest, ShowTellsAll) {
  local_.add("x", "good",
             R"("options": {"create": [{"name": "m", "type": "enum", "values": ["a"]}]},)");
  const auto plugin = show("fake");
  EXPECT_EQ(plugin.at("path"), local_.path("x.so").c_str());
  EXPECT_EQ(plugin.at("tier"), "local");
  EXPECT_EQ(plugin.at("loads"), true);
  EXPECT_EQ(plugin.at("library").at("exports").at(0), "instar_plugin_entry_v1");
  EXPECT_EQ(plugin.at("library").at("permissions").at("mode"), "0755");
  EXPECT_EQ(plugin.at("provides").at(0).at("options").at("create").at(0).at("type"), "enum");
  const auto missing = registry().show_json("nothing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "There is no plugin 'nothing'");
}

TEST_F(RegistryTest, ManyThreadsAskAtOnce) {
  local_.add("x", "good");
  add_manifest(local_, "raw", R"("probe": [{"score": 1}],)");
  auto& shared = registry();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto* provider = shared.find_format("fake");
      ASSERT_NE(provider, nullptr);
      EXPECT_TRUE(provider->load<instar_format_ops>());
      EXPECT_EQ(shared.driver_names().size(), 2u);
      EXPECT_EQ(shared.driver_hint("x"), "");
    });
}

}  // namespace
}  // namespace instar::registry
