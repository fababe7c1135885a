// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/plugin/text.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace instar::plugin {
namespace {

TEST(ListText, IsSortedAndEndsWithWhatIsNotUsed) {
  const auto plugins = boost::json::parse(R"([
    {"name": "b", "version": "2", "package": "p", "status": "usable",
     "provides": [{"kind": "format", "name": "raw", "status": "active", "summary": "plain"}]},
    {"name": "a", "version": "1.0", "package": "", "status": "usable",
     "provides": [{"kind": "codec", "name": "zstd", "status": "shadowed", "summary": ""}]},
    {"manifest": "/x/bad.json", "status": "refused", "problem": "manifest '/x/bad.json': broken"}])");
  EXPECT_EQ(list_text(plugins.as_array()),
            "KIND    NAME  STATUS    VERSION  PACKAGE  SUMMARY\n"
            "codec   zstd  shadowed  1.0\n"
            "format  raw   active    2        p        plain\n"
            "\n"
            "/x/bad.json: refused: manifest '/x/bad.json': broken\n");
}

TEST(ShowText, SaysWhatIsKnownAndLeavesOutTheRest) {
  const auto plugin = boost::json::parse(R"({
    "name": "acme", "version": "1", "path": "/p/acme.so", "manifest": "/p/acme.json",
    "tier": "local", "status": "usable", "min-host-abi": "1.0", "built-for-abi": "1.2",
    "library": {"architecture": "x86_64", "build-id": "aa", "build-id-in-manifest": "bb",
                "exports": ["instar_plugin_entry_v1"], "needed": [],
                "permissions": {"mode": "0644", "user": 0, "group": 7, "trusted-by-root": true}},
    "provides": [{"kind": "format", "name": "acme", "summary": "Acme", "status": "active",
                  "replaces": "/q/acme.so", "rank": 3, "aliases": ["ac", "me"], "threads": "global",
                  "options": {"create": [{"name": "mode", "type": "enum", "values": ["x", "y"],
                                          "default": "x", "help": "How"}]}}]})");
  EXPECT_EQ(show_text(plugin.as_object()),
            "Plugin:       acme\n"
            "Version:      1\n"
            "Library:      /p/acme.so\n"
            "Manifest:     /p/acme.json\n"
            "Found by:     local\n"
            "Status:       usable\n"
            "Plugin ABI:   needs 1.0, built for 1.2\n"
            "Architecture: x86_64\n"
            "Build id:     aa (the manifest says bb)\n"
            "Permissions:  0644, user 0, group 7\n"
            "Exports:      instar_plugin_entry_v1\n"
            "\n"
            "format acme: Acme\n"
            "  Status:       active, replaces /q/acme.so\n"
            "  Rank:         3\n"
            "  Aliases:      ac, me\n"
            "  Threads:      global\n"
            "  Options of create:\n"
            "    mode=<x, y>                         How (default: x)\n");
}

TEST(VerifyText, CountsAndTellsBrokenRules) {
  const auto rules = boost::json::parse(R"([
    {"plugin": "a", "path": "/p/a.so", "rule": "manifest", "ok": true, "message": ""},
    {"plugin": "a", "path": "/p/a.so", "rule": "permissions", "ok": true, "message": "for root: no"},
    {"plugin": "b", "path": "/p/b.so", "rule": "exports", "ok": false, "message": "exports foo"}])");
  EXPECT_EQ(verify_text(rules.as_array()),
            "ok      /p/a.so\n"
            "        note    permissions: for root: no\n"
            "FAILED  /p/b.so\n"
            "        broken  exports: exports foo\n"
            "2 plugins, 2 rules held, 1 broken\n");
  EXPECT_FALSE(all_hold(rules.as_array()));
  EXPECT_TRUE(all_hold({}));
}

}  // namespace
}  // namespace instar::plugin
