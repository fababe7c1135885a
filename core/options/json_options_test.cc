// SPDX-License-Identifier: Apache-2.0
// Expected texts were taken from qemu-img 10.0.2 (--image-opts, json:, --object).
#include "core/options/json_options.hpp"

#include <gtest/gtest.h>

#include "core/options/json_text.hpp"

namespace instar::options {
namespace {

using boost::json::object;

object parsed(std::string_view text) {
  return parse_json(text)->get_object();
}

TEST(ImageOptions, AreFlatStrings) {
  const ImageOptions options = read_image_options("driver=raw,size=1M,file.filename=a,,b,size=2M");
  EXPECT_EQ(options.flat, parsed(R"({"driver": "raw", "size": "2M", "file.filename": "a,b"})"));
  EXPECT_TRUE(options.warnings.empty());
}

TEST(ImageOptions, FlagsAreDeprecated) {
  const ImageOptions options = read_image_options("a.qcow2,lazy-refcounts,nofoo");
  EXPECT_EQ(options.flat, parsed(R"({"file": "a.qcow2", "lazy-refcounts": "on", "foo": "off"})"));
  ASSERT_EQ(options.warnings.size(), 2u);
  EXPECT_EQ(options.warnings[0].message, "short-form boolean option 'lazy-refcounts' deprecated");
  EXPECT_EQ(options.warnings[0].hint, "Please use lazy-refcounts=on instead");
  EXPECT_EQ(options.warnings[1].message, "short-form boolean option 'nofoo' deprecated");
  EXPECT_EQ(options.warnings[1].hint, "Please use foo=off instead");
}

TEST(JsonName, NestedAndDottedKeys) {
  EXPECT_EQ(*read_json_name(R"({"driver":"quorum","children":[{"driver":"raw","n":1},"x"],)"
                            R"("file.driver":"file","o":{},"l":[]})"),
            parsed(R"({"driver":"quorum","file.driver":"file","children.0.driver":"raw",)"
                   R"("children.0.n":1,"children.1":"x","o":{},"l":[]})"));
}

TEST(JsonName, NestedKeysWin) {
  for (const char* text : {R"({"file":{"filename":"a"},"file.filename":"b"})",
                           R"({"file.filename":"b","file":{"filename":"a"}})"})
    EXPECT_EQ(read_json_name(text)->at("file.filename").get_string(), "a");
}

TEST(JsonName, Messages) {
  EXPECT_EQ(read_json_name("{bad").error().message,
            "Could not parse the JSON options: JSON parse error, invalid keyword 'bad'");
  EXPECT_EQ(read_json_name("").error().message,
            "Could not parse the JSON options: Expecting a JSON value");
  EXPECT_EQ(read_json_name("[1]").error().message, "Invalid JSON object given");
}

TEST(Nest, ExpandsDotsAndNumbers) {
  const object flat =
      parsed(R"({"driver":"quorum","children.0.driver":"raw","children.1.file.filename":"b",)"
             R"("vote-threshold":"2","children.0.file.filename":"a"})");
  const object nested =
      parsed(R"({"driver":"quorum","children":[{"driver":"raw","file":{"filename":"a"}},)"
             R"({"file":{"filename":"b"}}],"vote-threshold":"2"})");
  EXPECT_EQ(*nest(flat), nested);
  EXPECT_EQ(*nest(flatten(nested)), nested);
}

TEST(Nest, RefusesMixtures) {
  EXPECT_EQ(nest(parsed(R"({"a":1,"a.b":2})")).error().message,
            "Cannot mix scalar and non-scalar keys");
  EXPECT_EQ(nest(parsed(R"({"a.b":2,"a":1})")).error().message,
            "Cannot mix scalar and non-scalar keys");
  EXPECT_EQ(nest(parsed(R"({"a.0":2,"a.b":1})")).error().message,
            "Cannot mix list and non-list keys");
  EXPECT_EQ(nest(parsed(R"({"a.0":2,"a.2":1})")).error().message,
            "Cannot mix list and non-list keys");
  object deep;
  deep[std::string(5'000'000, '.')] = 1;
  EXPECT_EQ(nest(deep).error().message, "Option with more than 1024 levels");
}

TEST(Subtree, IsTakenOut) {
  object flat = parsed(R"({"driver":"raw","file.driver":"file","filename":"x","file.a.b":1})");
  EXPECT_EQ(take_subtree(flat, "file."), parsed(R"({"driver":"file","a.b":1})"));
  EXPECT_EQ(flat, parsed(R"({"driver":"raw","filename":"x"})"));
}

TEST(Absorb, TakesWhatTheTableKnows) {
  const OptionTable table({{"size", OptionType::kSize},
                           {"lazy", OptionType::kBool},
                           {"mode", OptionType::kEnum, {}, {}, {"a"}, ""},
                           {"offset", OptionType::kSize}});
  BoundOptions bound(table);
  object flat = parsed(R"({"size":"1M","lazy":true,"other":1,"offset":null})");
  ASSERT_TRUE(absorb(flat, bound));
  EXPECT_EQ(flat, parsed(R"({"other":1})"));
  EXPECT_EQ(bound.number("size"), 1u << 20);
  EXPECT_EQ(bound.text("lazy"), "on");
  EXPECT_FALSE(bound.has("offset"));

  object wrong = parsed(R"({"size":true})");
  EXPECT_EQ(absorb(wrong, bound).error().message,
            "Parameter 'size' expects a non-negative number below 2^64");
  wrong = parsed(R"({"lazy":1})");
  EXPECT_EQ(absorb(wrong, bound).error().message, "Parameter 'lazy' expects 'on' or 'off'");
  wrong = parsed(R"({"mode":"x"})");
  EXPECT_EQ(absorb(wrong, bound).error().message, "invalid parameter value: x");
}

TEST(Absorb, AWildcardTakesTheRest) {
  BoundOptions bound(OptionTable({{"crypt.key"}, {"crypt.*"}}));
  object flat = parsed(R"({"crypt.key":"s","crypt.a.b":"x","crypted.y":"z","crypt":"v"})");
  ASSERT_TRUE(absorb(flat, bound));
  EXPECT_EQ(flat, parsed(R"({"crypted.y":"z","crypt":"v"})"));
  EXPECT_EQ(bound.text("crypt.key"), "s");
  EXPECT_EQ(bound.text("crypt.*"), "a.b");
}

std::string keyval_message(std::string_view text) {
  const auto result = read_keyval(text, "qom-type");
  return result ? "" : result.error().message;
}

TEST(Keyval, Values) {
  EXPECT_EQ(read_keyval("secret,id=s,data=a,,b,data=c", "qom-type")->nested,
            parsed(R"({"qom-type":"secret","id":"s","data":"c"})"));
  EXPECT_EQ(read_keyval("x,limits.iops-total=10,limits.bps=2,l.0=a,l.1=b,", "t")->nested,
            parsed(R"({"t":"x","limits":{"iops-total":"10","bps":"2"},"l":["a","b"]})"));
  EXPECT_EQ(read_keyval(R"({"qom-type":"secret","id":"s"})", "qom-type")->nested,
            parsed(R"({"qom-type":"secret","id":"s"})"));
  EXPECT_TRUE(read_keyval("", "qom-type")->nested.empty());
}

TEST(Keyval, Help) {
  for (const char* text : {"help", "?", "secret,help", "secret,?,id=x"})
    EXPECT_TRUE(read_keyval(text, "qom-type")->help) << text;
  EXPECT_FALSE(read_keyval("secret,help=x", "qom-type")->help);
}

TEST(Keyval, Messages) {
  EXPECT_EQ(keyval_message("secret,id"), "Expected '=' after parameter 'id'");
  EXPECT_EQ(keyval_message("secret,id=s,nohelp"), "Expected '=' after parameter 'nohelp'");
  EXPECT_EQ(keyval_message(",id=s"), "Invalid parameter ''");
  EXPECT_EQ(keyval_message("secret,,x=1"), "Invalid parameter ''");
  EXPECT_EQ(keyval_message("secret,.x=1"), "Invalid parameter '.x'");
  EXPECT_EQ(keyval_message("secret,d..x=1"), "Invalid parameter 'd..x'");
  EXPECT_EQ(keyval_message("secret,0=a"), "Invalid parameter '0'");
  EXPECT_EQ(keyval_message("t,limits.a=1,limits=y"), "Parameters 'limits.*' used inconsistently");
  EXPECT_EQ(keyval_message("t,limits=y,limits.a=1"), "Parameters 'limits.*' used inconsistently");
  EXPECT_EQ(keyval_message("t,a.0=1,a.2=1"), "Parameter 'a.1' missing");
  EXPECT_EQ(keyval_message(R"({"qom-type":"secret")"), "JSON parse error, premature EOI");
}

}  // namespace
}  // namespace instar::options
