// SPDX-License-Identifier: Apache-2.0
// Expected messages were taken from qemu-img 10.0.2.
#include "core/options/arguments.hpp"

#include <gtest/gtest.h>

#include "core/options/filename.hpp"

namespace instar::options {
namespace {

constexpr ArgumentSpec kInfo[] = {
    {'h', 'h', false, "help"},        {'f', 'f', true, "format"},
    {1, 0, true, "output"},           {2, 0, false, "backing-chain"},
    {3, 0, true, "object"},           {4, 0, false, "image-opts"},
    {'U', 'U', false, "force-share"}, {5, 0, false, "limits", true},
    {6, 'b', false, "bitmaps", true},
};

ParsedArguments parse(std::vector<std::string_view> arguments, bool stop = false) {
  return parse_arguments(arguments, kInfo, {"/bin/qemu-img info", stop});
}

std::string error_of(std::vector<std::string_view> arguments) {
  const ParsedArguments parsed = parse(std::move(arguments));
  return parsed.error ? parsed.error->message : "";
}

using Events = std::vector<ArgumentEvent>;

TEST(Arguments, EverySpelling) {
  const Events expected = {{'U', {}}, {'f', "raw"}, {0, "a"}};
  EXPECT_EQ(parse({"-Ufraw", "a"}).events, expected);
  EXPECT_EQ(parse({"-U", "-f", "raw", "a"}).events, expected);
  EXPECT_EQ(parse({"a", "-U", "--format=raw"}).events, expected);
  EXPECT_EQ(parse({"--force-share", "--form", "raw", "--", "a"}).events, expected);
}

TEST(Arguments, OperandsFollowTheOptions) {
  EXPECT_EQ(parse({"a", "-U", "-", "b", "--", "-h", "--"}).events,
            (Events{{'U', {}}, {0, "a"}, {0, "-"}, {0, "b"}, {0, "-h"}, {0, "--"}}));
  EXPECT_EQ(parse({"-f", "-U"}).events, (Events{{'f', "-U"}}));
  EXPECT_EQ(parse({"--format="}).events, (Events{{'f', ""}}));
}

TEST(Arguments, StopAtTheFirstOperand) {
  const ParsedArguments parsed = parse({"-U", "convert", "-Z"}, true);
  EXPECT_EQ(parsed.events, (Events{{'U', {}}, {0, "convert"}, {0, "-Z"}}));
  EXPECT_EQ(parsed.first_operand, 1u);
  EXPECT_FALSE(parsed.error);
}

TEST(Arguments, Messages) {
  EXPECT_EQ(error_of({"-Z", "a"}), "/bin/qemu-img info: invalid option -- 'Z'");
  EXPECT_EQ(error_of({"-UZ"}), "/bin/qemu-img info: invalid option -- 'Z'");
  EXPECT_EQ(error_of({"-1"}), "/bin/qemu-img info: invalid option -- '1'");
  EXPECT_EQ(error_of({"-#"}), "/bin/qemu-img info: invalid option -- '#'");
  EXPECT_EQ(error_of({"--nosuch=3"}), "/bin/qemu-img info: unrecognized option '--nosuch=3'");
  EXPECT_EQ(error_of({"a", "-f"}), "/bin/qemu-img info: option requires an argument -- 'f'");
  EXPECT_EQ(error_of({"--out"}), "/bin/qemu-img info: option '--output' requires an argument");
  EXPECT_EQ(error_of({"--backing-chain=x"}),
            "/bin/qemu-img info: option '--backing-chain' doesn't allow an argument");
  EXPECT_EQ(error_of({"--o=json"}),
            "/bin/qemu-img info: option '--o=json' is ambiguous; possibilities: '--output' "
            "'--object'");
  EXPECT_EQ(error_of({"--="}),
            "/bin/qemu-img info: option '--=' is ambiguous; possibilities: '--help' '--format' "
            "'--output' '--backing-chain' '--object' '--image-opts' '--force-share'");
  EXPECT_EQ(parse({"-Z"}).error->hint, "Try '/bin/qemu-img info --help' for more info");
}

TEST(Arguments, WhatStandsBeforeAnErrorIsDelivered) {
  const ParsedArguments parsed = parse({"operand", "--help", "-Z", "-U"});
  EXPECT_EQ(parsed.events, (Events{{'h', {}}}));
  EXPECT_TRUE(parsed.error);
}

TEST(Arguments, SecondarySpellingsGiveWay) {
  EXPECT_EQ(parse({"--b"}).events, (Events{{2, {}}}));
  EXPECT_EQ(parse({"--bi"}).events, (Events{{6, {}}}));
  EXPECT_EQ(parse({"--limits"}).events, (Events{{5, {}}}));
  EXPECT_EQ(parse({"--l"}).events, (Events{{5, {}}}));
}

TEST(Arguments, TwoSpellingsOfOneOptionAreNoChoice) {
  constexpr ArgumentSpec kSpecs[] = {{1, 0, true, "rate"}, {1, 'r', true, "rate-limit"}};
  const std::vector<std::string_view> arguments = {"--ra", "1", "--rate", "2", "-r3"};
  EXPECT_EQ(parse_arguments(arguments, kSpecs, {"x"}).events,
            (Events{{1, "1"}, {1, "2"}, {1, "3"}}));
}

TEST(Arguments, NegativeNumbersAsOperands) {
  constexpr ArgumentSpec kSpecs[] = {{1, 'q'}, {2, kNegativeNumbersAreOperands}};
  const std::vector<std::string_view> arguments = {"a", "-5G", "-q"};
  EXPECT_EQ(parse_arguments(arguments, kSpecs, {"x"}).events,
            (Events{{1, {}}, {0, "a"}, {0, "-5G"}}));
}

TEST(Arguments, ValuesThatMayBeLeftOut) {
  const std::vector<ArgumentSpec> specs{{1, 'p', false, "progress", true, true},
                                        {2, 'q', false, "q"}};
  const std::vector<std::string_view> arguments{"--progress=json", "--prog", "-pq", "json"};
  EXPECT_EQ(parse_arguments(arguments, specs, {"x"}).events,
            (Events{{1, "json"}, {1, {}}, {1, {}}, {2, {}}, {0, "json"}}));
}

TEST(Filename, Protocols) {
  EXPECT_EQ(protocol_prefix("foo:bar"), "foo");
  EXPECT_EQ(protocol_prefix(":x"), "");
  EXPECT_EQ(protocol_prefix("a b:c"), "a b");
  EXPECT_EQ(protocol_prefix("nbd+unix:///x"), "nbd+unix");
  for (const char* path : {"./foo:bar", "a/b:c", "/x:y", "plain", ""})
    EXPECT_FALSE(protocol_prefix(path)) << path;
  EXPECT_EQ(json_name_text("json:{}"), "{}");
  EXPECT_FALSE(json_name_text("json"));
}

TEST(Filename, Combine) {
  EXPECT_EQ(combine_paths("d/o.qcow2", "../a.raw"), "d/../a.raw");
  EXPECT_EQ(combine_paths("o.qcow2", "a.raw"), "a.raw");
  EXPECT_EQ(combine_paths("/x/o.qcow2", "/y/a"), "/y/a");
  EXPECT_EQ(combine_paths("file:o.qcow2", "a.raw"), "file:a.raw");
  EXPECT_EQ(combine_paths("nbd://host/dir/o", "a"), "nbd://host/dir/a");
}

}  // namespace
}  // namespace instar::options
