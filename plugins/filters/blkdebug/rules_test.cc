// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkdebug/rules.hpp"

#include <gtest/gtest.h>

#include "plugins/filters/blkdebug/config.hpp"

namespace instar::blkdebug {
namespace {

std::string error_of(std::string_view config) {
  Sections sections;
  if (auto parsed = parse_config(config, sections); !parsed) return parsed.error().message;
  Rules rules;
  const auto added = rules.add(sections);
  return added ? "" : added.error().message;
}

void fill(Rules& rules, std::string_view config) {
  Sections sections;
  ASSERT_TRUE(parse_config(config, sections));
  ASSERT_TRUE(rules.add(sections));
}

TEST(Config, SaysWhatIsWrong) {
  EXPECT_EQ(error_of(""), "");
  EXPECT_EQ(error_of("[inject-error]\nevent = \"bogus\"\n"), "invalid parameter value: bogus");
  EXPECT_EQ(error_of("[inject-error]\nevent = read_aio\n"), "invalid parameter value: ");
  EXPECT_EQ(error_of("[inject-erro]\nevent = \"read_aio\"\n"),
            "There is no option group 'inject-erro'");
  EXPECT_EQ(error_of("hello\n"), "no group defined");
  EXPECT_EQ(error_of("[inject-error\n"), "There is no option group 'inject-error\n'");
  EXPECT_EQ(error_of("[inject-error]\nevent = \"bogus\"\nfoo = \"1\"\n"),
            "Invalid parameter 'foo'");
  EXPECT_EQ(error_of("[inject-error]\nevent = \"none\"\nerrno = \"010\"\nsector = \"-1\"\n"), "");
  EXPECT_EQ(error_of("  \n"), "parse error");
  EXPECT_EQ(error_of("[inject-error]\nfoo = \"1\"\n"), "Invalid parameter 'foo'");
  EXPECT_EQ(error_of("[inject-error]\n  event=\"read_aio\"\n"),
            "Invalid parameter 'event=\"read_aio\"'");
  EXPECT_EQ(error_of("[inject-error]\nstate = \"1\"\n"), "Missing event name for rule");
  EXPECT_EQ(error_of("[inject-error]\nevent = \"none\"\nerrno = \"x\"\n"),
            "Parameter 'errno' expects a number");
  EXPECT_EQ(error_of("[inject-error]\nevent = \"none\"\nerrno = \"99999\"\n"),
            "Value '99999' is too large for parameter 'errno'");
  EXPECT_EQ(error_of("[inject-error]\nevent = \"none\"\nonce = \"x\"\n"),
            "Parameter 'once' expects 'on' or 'off'");
  EXPECT_EQ(error_of("[inject-error]\nevent = \"none\"\niotype = \"x\"\n"),
            "invalid parameter value: x");
  EXPECT_EQ(error_of("[set-state]\nevent = \"none\"\nerrno = \"5\"\n"),
            "Invalid parameter 'errno'");
  EXPECT_EQ(error_of("[inject-error \"a\"]\nevent = \"none\"\n[inject-error \"a\"]\n"),
            "Duplicate ID 'a' for inject-error");
  EXPECT_EQ(error_of("[inject-error \"1\"]\nevent = \"none\"\n"),
            "Parameter 'id' expects an identifier");
  EXPECT_EQ(error_of("[inject-error \"a\"]\nevent = \"none\"\n[set-state \"a\"]\n"
                     "event = \"none\" junk\n# comment\n\n"),
            "");
}

TEST(Config, SurvivesAnything) {
  for (const char* odd : {"[", "[]", "[[", "[\"", "[ \"", "=", "\"", "[inject-error]\n\"\n",
                          "[inject-error]\n= = =\n", "[inject-error]\nevent =\n"})
    EXPECT_NE(error_of(odd), "") << odd;
  EXPECT_NE(error_of(std::string(100'000, 'x')), "");
  EXPECT_EQ(error_of(std::string("\0\0\n", 3)), "parse error");
}

TEST(Config, IsReadFromFilesOnly) {
  EXPECT_EQ(read_config("/nowhere/there").error().message,
            "Could not read blkdebug config file: No such file or directory");
  EXPECT_EQ(read_config("/").error().message, "Cannot read config file: Is a directory");
  EXPECT_EQ(read_config("/dev/zero").error().message, "Cannot read config file: File too large");
}

TEST(Rules, ApplyFromTheirEventOn) {
  Rules rules;
  fill(rules, "[inject-error]\nevent = \"l2_load\"\nerrno = \"28\"\n");
  EXPECT_EQ(rules.check(kRead, 0, 512), 0);
  rules.event("read_aio");
  EXPECT_EQ(rules.check(kRead, 0, 512), 0);
  rules.event("l2_load");
  EXPECT_EQ(rules.check(kRead, 0, 512), 28);
  EXPECT_EQ(rules.check(kFlush, 0, 0), 28);
  EXPECT_EQ(rules.check(kBlockStatus, 0, 512), 0);
  rules.event("read_aio");
  EXPECT_EQ(rules.check(kWrite, 0, 512), 28);
}

TEST(Rules, OfAnotherEventTakeOver) {
  Rules rules;
  fill(rules,
       "[inject-error]\nevent = \"l2_load\"\nerrno = \"28\"\n"
       "[inject-error]\nevent = \"read_aio\"\nerrno = \"0\"\n");
  rules.event("l2_load");
  rules.event("read_aio");
  EXPECT_EQ(rules.check(kRead, 0, 512), 0);
}

TEST(Rules, MayHoldForOneRequestSectorOrKind) {
  Rules rules;
  fill(rules,
       "[inject-error]\nevent = \"none\"\nsector = \"2\"\nonce = \"on\"\niotype = \"write\"\n");
  EXPECT_EQ(rules.check(kRead, 0, 4096), 0);
  EXPECT_EQ(rules.check(kWrite, 0, 1024), 0);
  EXPECT_EQ(rules.check(kWrite, 1536, 1024), 0);
  EXPECT_EQ(rules.check(kWrite, 1023, 2), EIO);
  EXPECT_EQ(rules.check(kWrite, 1023, 2), 0);
  rules.event("none");
  EXPECT_EQ(rules.check(kWrite, 1023, 2), 0);
}

TEST(Rules, DependOnTheState) {
  Rules rules;
  fill(rules,
       "[set-state]\nstate = \"1\"\nevent = \"write_aio\"\nnew_state = \"2\"\n"
       "[inject-error]\nstate = \"2\"\nevent = \"read_aio\"\n");
  rules.event("read_aio");
  EXPECT_EQ(rules.check(kRead, 0, 512), 0);
  rules.event("write_aio");
  EXPECT_EQ(rules.check(kWrite, 0, 512), 0);
  rules.event("read_aio");
  EXPECT_EQ(rules.check(kRead, 0, 512), EIO);
}

}  // namespace
}  // namespace instar::blkdebug
