// SPDX-License-Identifier: Apache-2.0
// Expected texts were taken from qemu-img 10.0.2 (create -f qcow2 -o …).
#include "core/options/option_table.hpp"

#include <gtest/gtest.h>

#include "core/options/option_text.hpp"

namespace instar::options {
namespace {

constexpr const char* kManifest = R"([
    {"name": "encryption", "type": "bool", "help": "Encrypt"},
    {"name": "cluster_size", "type": "size", "default": "65536", "help": "qcow2 cluster size"},
    {"name": "extended_l2", "type": "bool", "default": "off"},
    {"name": "preallocation", "type": "enum", "values": ["off", "metadata", "falloc", "full"]},
    {"name": "compression_type", "type": "enum", "default": "zlib", "values": ["zlib", "zstd"],
     "checked_as": "compression-type"},
    {"name": "size", "type": "size", "help": "Virtual disk size"},
    {"name": "data_file"},
    {"name": "lazy_refcounts", "type": "bool", "default": "off", "help": "Postpone refcount updates"},
    {"name": "refcount_bits", "type": "number", "default": "16", "help": "Width"},
    {"name": "subformat", "type": "enum", "values": ["a"], "checked_as": ""}
])";

BoundOptions fresh() {
  auto table = OptionTable::load(kManifest, "test.json");
  EXPECT_TRUE(table) << table.error().message;
  return BoundOptions(*table);
}

std::string message_of(std::string_view options) {
  BoundOptions bound = fresh();
  const Status status = bound.set_all(options);
  return status ? "" : status.error().message;
}

TEST(Split, FlagsEscapesAndRepeats) {
  EXPECT_EQ(split_options("a=1,b,noc,d=x,,y,a=2"),
            (std::vector<OptionText>{
                {"a", "1"}, {"b", "on", true}, {"c", "off", true}, {"d", "x,y"}, {"a", "2"}}));
  EXPECT_EQ(split_options("=x"), (std::vector<OptionText>{{"", "x"}}));
  EXPECT_EQ(split_options("a=1,"), (std::vector<OptionText>{{"a", "1"}}));
  EXPECT_EQ(split_options(",a=b=c"), (std::vector<OptionText>{{"", "on", true}, {"a", "b=c"}}));
  EXPECT_EQ(split_options("id=x,a=1"), (std::vector<OptionText>{{"a", "1"}}));
  EXPECT_TRUE(split_options("").empty());
}

TEST(Bind, Messages) {
  EXPECT_EQ(message_of("nosuch=1"), "Invalid parameter 'nosuch'");
  EXPECT_EQ(message_of("nosuch"), "Invalid parameter 'such'");
  EXPECT_EQ(message_of("=x"), "Invalid parameter ''");
  EXPECT_EQ(message_of("lazy_refcounts=x"), "Parameter 'lazy_refcounts' expects 'on' or 'off'");
  EXPECT_EQ(message_of("lazy_refcounts=ON"), "Parameter 'lazy_refcounts' expects 'on' or 'off'");
  EXPECT_EQ(message_of("lazy_refcounts="), "Parameter 'lazy_refcounts' expects 'on' or 'off'");
  EXPECT_EQ(message_of("refcount_bits=x"), "Parameter 'refcount_bits' expects a number");
  EXPECT_EQ(message_of("refcount_bits"), "Parameter 'refcount_bits' expects a number");
  EXPECT_EQ(message_of("refcount_bits=18446744073709551616"),
            "Value '18446744073709551616' is too large for parameter 'refcount_bits'");
  EXPECT_EQ(message_of("cluster_size=-1"),
            "Value '-1' is out of range for parameter 'cluster_size'");
  EXPECT_EQ(message_of("cluster_size=16E"),
            "Value '16E' is out of range for parameter 'cluster_size'");
  for (const char* fine : {"lazy_refcounts=yes,lazy_refcounts=n", "cluster_size=0x10000",
                           "refcount_bits=-1", "preallocation=bogus", "data_file"})
    EXPECT_EQ(message_of(fine), "") << fine;
}

TEST(Bind, SizesCarryTheHint) {
  BoundOptions bound = fresh();
  const Status status = bound.set("size", "foo");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "Parameter 'size' expects a non-negative number below 2^64");
  EXPECT_EQ(status.error().hint,
            "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
            "and exabytes, respectively.");
}

TEST(Bind, EnumValuesAreCheckedLate) {
  BoundOptions bound = fresh();
  ASSERT_TRUE(bound.set_all("preallocation=bogus"));
  EXPECT_EQ(bound.check_values().error().message,
            "Parameter 'preallocation' does not accept value 'bogus'");
  ASSERT_TRUE(bound.set_all("preallocation=full,compression_type=lz4"));
  EXPECT_EQ(bound.check_values().error().message,
            "Parameter 'compression-type' does not accept value 'lz4'");
  ASSERT_TRUE(bound.set_all("compression_type=zstd,subformat=x"));
  EXPECT_EQ(bound.check_values().error().message, "invalid parameter value: x");
  ASSERT_TRUE(bound.set_all("subformat=a"));
  EXPECT_TRUE(bound.check_values());
}

TEST(Bind, SummaryIsTheFormattingLine) {
  BoundOptions bound = fresh();
  ASSERT_TRUE(bound.set_all("size=1M"));
  EXPECT_EQ(bound.summary(),
            " cluster_size=65536 extended_l2=off compression_type=zlib size=1048576 "
            "lazy_refcounts=off refcount_bits=16");
  ASSERT_TRUE(bound.set_all(
      "nolazy_refcounts,lazy_refcounts=true,data_file=a,,b,cluster_size=4k,refcount_bits=-1"));
  EXPECT_EQ(bound.summary(),
            " cluster_size=4096 extended_l2=off compression_type=zlib size=1048576 "
            "data_file=a,,b lazy_refcounts=true refcount_bits=-1");
  bound.remove("data_file");
  EXPECT_EQ(bound.summary().find("data_file"), std::string::npos);
}

TEST(Bind, ValuesAndDefaults) {
  BoundOptions bound = fresh();
  ASSERT_TRUE(bound.set_all("lazy_refcounts"));
  EXPECT_TRUE(bound.has("lazy_refcounts"));
  EXPECT_FALSE(bound.has("cluster_size"));
  EXPECT_EQ(bound.number("cluster_size"), 65536u);
  EXPECT_EQ(bound.number("lazy_refcounts"), 1u);
  EXPECT_EQ(bound.text("compression_type"), "zlib");
  EXPECT_EQ(bound.number("size"), 0u);
  const std::vector<instar_option> abi = bound.to_abi();
  ASSERT_EQ(abi.size(), 5u);
  EXPECT_STREQ(abi[0].name, "cluster_size");
  EXPECT_STREQ(abi[0].text, "65536");
  EXPECT_EQ(abi[0].number, 65536u);
  EXPECT_EQ(abi[0].type, uint32_t{INSTAR_OPTION_SIZE});
  EXPECT_EQ(abi[2].type, uint32_t{INSTAR_OPTION_STRING});
}

TEST(Bind, CopiesAreIndependent) {
  BoundOptions bound = fresh();
  BoundOptions copy = bound;
  ASSERT_TRUE(copy.set("size", "1k"));
  EXPECT_FALSE(bound.has("size"));
  EXPECT_EQ(copy.number("size"), 1024u);
}

TEST(Table, HelpText) {
  OptionTable table = *OptionTable::load(kManifest, "test.json");
  const OptionTable protocol({{"size", OptionType::kSize, {}, "Another size"},
                              {"nocow", OptionType::kBool, {}, "Turn off copy-on-write"}});
  table.append(protocol);
  EXPECT_EQ(OptionTable({{"a"}, {.name = "b", .extension = true}}).help_text("T", true),
            "T:\n  a=<str>               \n");
  OptionTable both({{.name = "a", .extension = true}, {.name = "b", .extension = true}});
  both.append(OptionTable({{"a"}}));  // QEMU's, if one of them is
  EXPECT_EQ(both.help_text("T", true), "T:\n  a=<str>               \n");
  EXPECT_EQ(table.help_text("Supported options"),
            "Supported options:\n"
            "  cluster_size=<size>    - qcow2 cluster size\n"
            "  compression_type=<str>\n"
            "  data_file=<str>       \n"
            "  encryption=<bool (on/off)> - Encrypt\n"
            "  extended_l2=<bool (on/off)>\n"
            "  lazy_refcounts=<bool (on/off)> - Postpone refcount updates\n"
            "  nocow=<bool (on/off)>  - Turn off copy-on-write\n"
            "  preallocation=<str>   \n"
            "  refcount_bits=<num>    - Width\n"
            "  size=<size>            - Virtual disk size\n"
            "  subformat=<str>       \n");
}

TEST(Table, BadManifestsAreNamed) {
  const auto message = [](const char* json) {
    const auto table = OptionTable::load(json, "x.json");
    return table ? std::string() : table.error().message;
  };
  EXPECT_EQ(message("{}"), "x.json: options: not an array");
  EXPECT_EQ(message("[1]"), "x.json: options: an option is not an object");
  EXPECT_EQ(message("[{}]"), "x.json: options: an option lacks \"name\"");
  EXPECT_EQ(message(R"([{"name": "a", "type": "float"}])"),
            "x.json: options: unknown option type 'float'");
  EXPECT_EQ(message(R"([{"name": "a"}, {"name": "a"}])"),
            "x.json: options: 'a' stands there twice");
  EXPECT_EQ(message(R"([{"name": "a", "type": "size", "default": "big"}])"),
            "x.json: options: Parameter 'a' expects a non-negative number below 2^64");
  EXPECT_EQ(message(R"([{"name": "a", "values": ["b", 1]}])"),
            "x.json: options: \"values\" holds something but strings");
  EXPECT_EQ(message("[{]"), "x.json: options: JSON parse error, expecting value");
  EXPECT_EQ(message(R"([{"name": "a", "type": "bool", "default": true}])"), "");
}

}  // namespace
}  // namespace instar::options
