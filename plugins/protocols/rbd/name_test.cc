// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/rbd/name.hpp"

#include <gtest/gtest.h>

namespace instar::rbd {
namespace {

std::string json_of(std::string_view filename) {
  const auto name = parse_name(filename);
  return name ? options_of(*name) : name.error().message;
}

TEST(RbdName, PoolAndImage) {
  EXPECT_EQ(json_of("rbd:p/i"), R"({"pool":"p","namespace":"","image":"i"})");
  EXPECT_EQ(json_of("rbd:p/n/i"), R"({"pool":"p","namespace":"n","image":"i"})");
  EXPECT_EQ(json_of("rbd:p/"), R"({"pool":"p","namespace":"","image":""})");
}

TEST(RbdName, Snapshot) {
  EXPECT_EQ(json_of("rbd:p/i@s"), R"({"pool":"p","namespace":"","image":"i","snapshot":"s"})");
  EXPECT_EQ(json_of("rbd:p/i@"), R"({"pool":"p","namespace":"","image":"i","snapshot":""})");
  EXPECT_EQ(json_of("rbd:p/i@a@b"), R"({"pool":"p","namespace":"","image":"i","snapshot":"a@b"})");
}

TEST(RbdName, Options) {
  EXPECT_EQ(json_of("rbd:p/i:id=u:conf=/a@b"),
            R"({"pool":"p","namespace":"","image":"i","conf":"/a@b","user":"u"})");
  const auto name = parse_name(R"(rbd:p/i@s:mon_host=h\:1\;h\:2:a b=c=d)");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->config, (ConfigValues{{"mon_host", "h:1;h:2"}, {"a b", "c=d"}}));
}

TEST(RbdName, Backslashes) {
  EXPECT_EQ(json_of(R"(rbd:p\/q/a\/b\@c\:d)"),
            R"({"pool":"p/q","namespace":"","image":"a/b@c:d"})");
  EXPECT_EQ(json_of(R"(rbd:p/i\\)"), R"({"pool":"p","namespace":"","image":"i\\"})");
  EXPECT_EQ(json_of(R"(rbd:p/i\)"), R"({"pool":"p","namespace":"","image":"i\\"})");
}

TEST(RbdName, Refused) {
  EXPECT_EQ(json_of("rbd:"), "Pool name is required");
  EXPECT_EQ(json_of("rbd:p"), "Pool name is required");
  EXPECT_EQ(json_of("rbd:p/i:conf"), "conf option conf has no value");
  EXPECT_EQ(json_of("rbd:p/i:"), "conf option  has no value");
  EXPECT_EQ(json_of("x"), "File name must start with 'rbd:'");
}

TEST(RbdName, ConfigurationThereAndBack) {
  const auto config = read_config(R"(["a","b\"c","d",""])");
  ASSERT_TRUE(config);
  EXPECT_EQ(*config, (ConfigValues{{"a", "b\"c"}, {"d", ""}}));
  for (const char* bad : {"", "[]", "x", R"(["a"])", "{}", "[1"})
    EXPECT_FALSE(read_config(bad)) << bad;
}

}  // namespace
}  // namespace instar::rbd
