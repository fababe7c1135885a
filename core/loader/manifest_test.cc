// SPDX-License-Identifier: Apache-2.0
#include "core/loader/manifest.hpp"

#include <gtest/gtest.h>

namespace instar::loader {
namespace {

constexpr const char* kFull = R"({
  "manifest": 1, "name": "acme", "version": "2.1", "vendor": "Acme", "license": "MIT",
  "package": "acme-instar", "min_host_abi": "1.0", "library": "libacme.so",
  "build_id": "ab12", "unknown": {"later": [1, 2]},
  "provides": [{
    "kind": "format", "name": "acme", "aliases": ["ac"], "summary": "Acme images",
    "probe": [{"score": 90, "match": [{"offset": 4, "bytes": "41634d65", "mask": "ffffff00"},
                                      {"offset": 8, "be32_min": 2}]},
              {"code": true}],
    "extensions": ["acme"], "interfaces": ["instar.map/1"], "threads": "parallel",
    "rank": -3, "replaces": true, "flags": ["backing"],
    "options": {"open": [{"name": "depth", "type": "number", "default": 7}],
                "create": [{"name": "size", "type": "size", "help": "Bytes"},
                           {"name": "mode", "type": "enum", "values": ["a", "b"], "default": "a"},
                           {"name": "fast", "type": "bool", "default": false}]}}]})";

std::string problem(const std::string& text) {
  const auto manifest = parse_manifest(text, "/p/x.json");
  return manifest ? "" : manifest.error().message;
}

std::string provide_problem(const std::string& members) {
  return problem(R"({"name": "x", "version": "1", "provides": [{"kind": "format", "name": "f", )" +
                 members + "}]}");
}

TEST(Manifest, HoldsWhatTheTextSays) {
  const auto parsed = parse_manifest(kFull, "/p/acme.json");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->library, "/p/libacme.so");
  EXPECT_EQ(parsed->name, "acme");
  EXPECT_EQ(parsed->version, "2.1");
  EXPECT_EQ(parsed->package, "acme-instar");
  EXPECT_EQ(parsed->build_id, "ab12");
  ASSERT_EQ(parsed->provides.size(), 1u);
  const Provide& format = parsed->provides[0];
  EXPECT_EQ(format.kind, INSTAR_KIND_FORMAT);
  EXPECT_EQ(format.aliases, std::vector<std::string>{"ac"});
  EXPECT_TRUE(format.probe_by_code);
  ASSERT_EQ(format.probe.size(), 2u);
  EXPECT_TRUE(format.probe[1].by_code);
  EXPECT_EQ(format.probe[0].score, 90);
  EXPECT_EQ(format.probe[0].matches[0].bytes, "AcMe");
  EXPECT_EQ(format.probe[0].matches[0].mask.size(), 4u);
  EXPECT_EQ(format.probe[0].matches[1].be32_min, 2u);
  EXPECT_EQ(format.threads, INSTAR_THREADS_PARALLEL);
  EXPECT_EQ(format.rank, -3);
  EXPECT_TRUE(format.replaces);
  EXPECT_TRUE(format.has_flag("backing"));
  EXPECT_FALSE(format.has_flag("read-only"));
  EXPECT_EQ(format.open_options[0].default_value, "7");
  ASSERT_EQ(format.create_options.size(), 3u);
  EXPECT_EQ(format.create_options[0].type, INSTAR_OPTION_SIZE);
  EXPECT_FALSE(format.create_options[0].default_value);
  EXPECT_EQ(format.create_options[1].values.size(), 2u);
  EXPECT_EQ(format.create_options[2].default_value, "off");
}

TEST(Manifest, LibraryStandsBesideIt) {
  const auto parsed =
      parse_manifest(R"({"name": "x", "version": "1", "provides": []})", "/p/y.json");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->library, "/p/y.so");
  EXPECT_EQ(problem(R"({"name": "x", "version": "1", "library": "../z.so", "provides": []})"),
            "manifest '/p/x.json': the manifest names a \"library\" in another folder");
}

TEST(Manifest, ErrorsNameTheFileAndThePlace) {
  EXPECT_EQ(problem("{\n\"name\": \n}").substr(0, 31), "manifest '/p/x.json': line 3: s");
  EXPECT_EQ(problem("[]"), "manifest '/p/x.json': is not a JSON object");
  EXPECT_EQ(problem(""), "manifest '/p/x.json': line 1: incomplete JSON");
  EXPECT_EQ(problem("{}"), "manifest '/p/x.json': the manifest lacks \"name\"");
  EXPECT_EQ(problem(R"({"name": 3})"),
            "manifest '/p/x.json': the manifest has a \"name\" that is not a text");
  EXPECT_EQ(problem(R"({"name": "x", "version": "1"})"),
            "manifest '/p/x.json': the manifest lacks \"provides\"");
  EXPECT_EQ(problem(R"({"manifest": 2})"),
            "manifest '/p/x.json': \"manifest\" is not 1: it is made for a newer host");
  EXPECT_EQ(
      problem(R"({"name": "x", "version": "1", "provides": [{"kind": "frmat", "name": "f"}]})"),
      "manifest '/p/x.json': the manifest has the unknown kind \"frmat\"");
  EXPECT_EQ(problem(R"({"name": "x", "version": "1", "min_host_abi": "one", "provides": []})"),
            "manifest '/p/x.json': the manifest has a \"min_host_abi\" that is not a version such "
            "as \"1.0\"");
}

TEST(Manifest, WrongMembersAreRefused) {
  const std::string start = "manifest '/p/x.json': format 'f' has ";
  EXPECT_EQ(provide_problem(R"("rank": "high")"), start + "a \"rank\" that is not a number");
  EXPECT_EQ(provide_problem(R"("replaces": 1)"),
            start + "a \"replaces\" that is not true or false");
  EXPECT_EQ(provide_problem(R"("threads": "many")"),
            start + "a \"threads\" that is not parallel, per-node or global");
  EXPECT_EQ(provide_problem(R"("probe": [{"score": 101}])"),
            start + "a \"score\" that is not between 0 and 100");
  EXPECT_EQ(
      provide_problem(R"("probe": [{"score": 1, "match": [{"offset": 0}]}])"),
      start + "a probe match without exactly one of \"bytes\", \"be32_min\" and \"name_ends\"");
  EXPECT_EQ(provide_problem(R"("probe": [{"score": 1, "only": "vmware"}])"),
            start + "a \"only\" that is not qemu-img or instar");
  EXPECT_EQ(provide_problem(R"("probe": [{"score": 1, "match": [{"bytes": "4g"}]}])"),
            start + "a \"bytes\" that is not pairs of hexadecimal digits");
  EXPECT_EQ(provide_problem(R"("probe": [{"match": [{"bytes": "44", "mask": "ffff"}]}])"),
            start + "a probe \"mask\" that is not as long as its \"bytes\"");
  EXPECT_EQ(provide_problem(R"("options": {"open": [{"name": "o", "type": "enum"}]})"),
            start + "the option 'o', which needs \"values\" exactly if it is an enum");
  EXPECT_EQ(provide_problem(R"("options": {"open": [{"name": "o", "type": "float"}]})"),
            start + "the option 'o' of the unknown type \"float\"");
}

TEST(Manifest, DeepNestingIsRefused) {
  EXPECT_NE(problem(std::string(100000, '[')), "");
}

TEST(CheckHost, AsksForNoMoreThanThereIs) {
  Manifest manifest;
  manifest.library = "/p/x.so";
  EXPECT_TRUE(check_host(manifest));
  manifest.min_abi_minor = INSTAR_ABI_MINOR + 1;
  const Status newer = check_host(manifest);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().message, cat("plugin '/p/x.so' needs plugin ABI 1.", INSTAR_ABI_MINOR + 1,
                                       ", this instar has 1.", INSTAR_ABI_MINOR));
  EXPECT_EQ(newer.error().hint, "Update instar.");
  manifest.min_abi_minor = 0;
  manifest.min_abi_major = 2;
  EXPECT_FALSE(check_host(manifest));
  manifest.min_abi_major = 1;
  manifest.architecture = "pdp11";
  const Status foreign = check_host(manifest);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().message,
            cat("plugin '/p/x.so' is built for pdp11, this is ", host_architecture()));
  manifest.architecture = host_architecture();
  EXPECT_TRUE(check_host(manifest));
}

}  // namespace
}  // namespace instar::loader
