// SPDX-License-Identifier: Apache-2.0
// Expected messages and orders were taken from qemu-img 10.0.2 (info "json:…", info --output=json).
#include "core/options/json_text.hpp"

#include <gtest/gtest.h>

namespace instar::options {
namespace {

using boost::json::object;
using boost::json::value;

std::string message_of(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed ? "" : parsed.error().message;
}

struct BadText {
  const char* text;
  const char* message;
};

class BadJson : public testing::TestWithParam<BadText> {};

TEST_P(BadJson, IsNamedAsQemuDoes) {
  EXPECT_EQ(message_of(GetParam().text), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Lexer, BadJson,
    testing::Values(BadText{R"({"a":-})", "JSON parse error, stray '-}'"},
                    BadText{R"({"a":1.})", "JSON parse error, stray '1.}'"},
                    BadText{R"({"a":.5})", "JSON parse error, stray '.'"},
                    BadText{R"({"a":+5})", "JSON parse error, stray '+'"},
                    BadText{R"({"a":01})", "JSON parse error, stray '01'"},
                    BadText{R"({"a":1e})", "JSON parse error, stray '1e}'"},
                    BadText{R"({"a":1e+})", "JSON parse error, stray '1e+}'"},
                    BadText{R"({"a":"x)", "JSON parse error, stray '\"x'"},
                    BadText{R"({"a":%d})", "JSON parse error, stray '%'"},
                    BadText{R"({"a":#})", "JSON parse error, stray '#'"},
                    BadText{"{\"a\":\"x\ny\"}", "JSON parse error, stray '\"x\n'"},
                    BadText{"{\"a\":\xff}", "JSON parse error, stray '\xff'"},
                    BadText{"{\"a\":\"\xff\"}", "JSON parse error, stray '\"\xff'"}));

INSTANTIATE_TEST_SUITE_P(
    Grammar, BadJson,
    testing::Values(BadText{"{", "JSON parse error, premature EOI"},
                    BadText{R"({"driver":"raw")", "JSON parse error, premature EOI"},
                    BadText{"{bad", "JSON parse error, invalid keyword 'bad'"},
                    BadText{"{a:1}", "JSON parse error, invalid keyword 'a'"},
                    BadText{"abc", "JSON parse error, invalid keyword 'abc'"},
                    BadText{R"({"a":nul})", "JSON parse error, invalid keyword 'nul'"},
                    BadText{R"({"driver":"raw",})", "JSON parse error, expecting value"},
                    BadText{R"({"a":"b",,})", "JSON parse error, expecting value"},
                    BadText{R"({"a":})", "JSON parse error, expecting value"},
                    BadText{R"({"a":[1,]})", "JSON parse error, expecting value"},
                    BadText{"{,}", "JSON parse error, expecting value"},
                    BadText{"]", "JSON parse error, expecting value"},
                    BadText{"}", "JSON parse error, expecting value"},
                    BadText{"{]", "JSON parse error, expecting value"},
                    BadText{"[}", "JSON parse error, expecting value"},
                    BadText{R"({"a" 1})", "JSON parse error, missing : in object pair"},
                    BadText{R"({"a":1,"b"})", "JSON parse error, missing : in object pair"},
                    BadText{"{1:2}", "JSON parse error, key is not a string in object"},
                    BadText{R"({"a":1 "b":2})", "JSON parse error, expected separator in dict"},
                    BadText{R"({"a":true1})", "JSON parse error, expected separator in dict"},
                    BadText{R"({"a":0e5})", "JSON parse error, expected separator in dict"},
                    BadText{R"({"a":[1 2]})", "JSON parse error, expected separator in list"},
                    BadText{R"({"a":[1,2})", "JSON parse error, expected separator in list"},
                    BadText{R"({"a":1,"a":1})", "JSON parse error, duplicate key"},
                    BadText{R"({"a":1}x)", "Expecting at most one JSON value"},
                    BadText{R"({"a":1}{"b":1})", "Expecting at most one JSON value"},
                    BadText{"1 2", "Expecting at most one JSON value"},
                    BadText{"", "Expecting a JSON value"}, BadText{" ", "Expecting a JSON value"}));

INSTANTIATE_TEST_SUITE_P(
    Strings, BadJson,
    testing::Values(
        BadText{R"(["\q"])", "JSON parse error, invalid escape sequence in string"},
        BadText{R"(["a\x"])", "JSON parse error, invalid escape sequence in string"},
        BadText{R"(["\u00e"])", "JSON parse error, \\u00e\" is not a valid Unicode character"},
        BadText{R"(["\ud83d"])", "JSON parse error, \\ud83d is not a valid Unicode character"},
        BadText{R"(["\ude00"])", "JSON parse error, \\ude00 is not a valid Unicode character"},
        BadText{R"(["\ud83dx"])", "JSON parse error, \\ud83d is not a valid Unicode character"},
        BadText{R"(["\ud83d\u0041"])",
                "JSON parse error, \\ud83d is not a valid Unicode character"},
        BadText{R"(["\uFFFE"])", "JSON parse error, \\uFFFE is not a valid Unicode character"},
        BadText{"[\"\xc3\"]", "JSON parse error, invalid UTF-8 sequence in string"}));

TEST(ParseJson, Depth) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(message_of(nested(kMaxJsonDepth)), "");
  EXPECT_EQ(message_of(nested(kMaxJsonDepth + 1)), "JSON nesting depth limit exceeded");
  EXPECT_EQ(message_of(std::string(5'000'000, '[')), "JSON nesting depth limit exceeded");
}

TEST(ParseJson, Values) {
  const auto parsed = parse_json(
      R"( {"i":-5,"u":18446744073709551615,"d":1e5,"big":99999999999999999999,"t":true,"n":null,)"
      R"('s':'b"\'\/c','e':"\ud83d\ude00é\n","z":"\u0000","l":[]} )");
  ASSERT_TRUE(parsed);
  const object& document = parsed->get_object();
  EXPECT_EQ(document.at("i").get_int64(), -5);
  EXPECT_EQ(document.at("u").get_uint64(), UINT64_MAX);
  EXPECT_EQ(document.at("d").get_double(), 1e5);
  EXPECT_EQ(document.at("big").get_double(), 1e20);
  EXPECT_TRUE(document.at("t").get_bool());
  EXPECT_TRUE(document.at("n").is_null());
  EXPECT_EQ(document.at("s").get_string(), "b\"'/c");
  EXPECT_EQ(document.at("e").get_string(), "😀é\n");
  EXPECT_EQ(document.at("z").get_string(), "\xC0\x80");
  EXPECT_TRUE(document.at("l").get_array().empty());
}

std::string keys_of(const object& document) {
  std::string keys;
  for (const auto* entry : in_printed_order(document)) {
    keys += entry->key();
    keys += ' ';
  }
  return keys;
}

object with_keys(std::initializer_list<const char*> keys) {
  object document;
  for (const char* key : keys)
    document[key] = nullptr;
  return document;
}

TEST(KeyOrder, IsTheGenuineOnesForEveryDocument) {
  EXPECT_EQ(
      keys_of(with_keys({"max-discard", "max-hw-iov", "max-write-zeroes", "max-iov",
                         "opt-mem-alignment", "discard-alignment", "max-hw-transfer",
                         "max-transfer", "min-mem-alignment", "opt-transfer", "request-alignment",
                         "write-zeroes-alignment"})),
      "write-zeroes-alignment request-alignment opt-transfer min-mem-alignment max-transfer "
      "max-hw-transfer discard-alignment opt-mem-alignment max-iov max-write-zeroes max-hw-iov "
      "max-discard ");
  EXPECT_EQ(keys_of(with_keys({"filename", "format", "virtual-size", "actual-size", "cluster-size",
                               "encrypted", "dirty-flag", "backing-filename",
                               "full-backing-filename", "backing-filename-format", "snapshots",
                               "format-specific", "children", "limits"})),
            "limits children backing-filename-format snapshots virtual-size filename cluster-size "
            "format actual-size format-specific full-backing-filename encrypted backing-filename "
            "dirty-flag ");
  EXPECT_EQ(keys_of(with_keys({"extended-l2", "corrupt", "data-file-raw", "encrypt", "data-file",
                               "refcount-bits", "bitmaps", "lazy-refcounts", "compression-type",
                               "compat"})),
            "compat compression-type lazy-refcounts bitmaps refcount-bits data-file encrypt "
            "data-file-raw corrupt extended-l2 ");
  EXPECT_EQ(keys_of(with_keys({"master-key-iters", "payload-offset", "slots", "cipher-mode",
                               "format", "ivgen-hash-alg", "uuid", "cipher-alg", "hash-alg",
                               "detached-header", "ivgen-alg"})),
            "ivgen-alg detached-header hash-alg cipher-alg uuid ivgen-hash-alg format cipher-mode "
            "slots payload-offset master-key-iters ");
  EXPECT_EQ(keys_of(with_keys({"vm-state-size", "id", "vm-clock-sec", "date-nsec", "date-sec",
                               "name", "vm-clock-nsec", "icount"})),
            "icount vm-clock-nsec name date-sec date-nsec vm-clock-sec id vm-state-size ");
  EXPECT_EQ(
      keys_of(with_keys({"fragmented-clusters", "format", "filename", "allocated-clusters",
                         "leaks-fixed", "leaks", "check-errors", "corruptions-fixed", "corruptions",
                         "total-clusters", "compressed-clusters", "image-end-offset"})),
      "image-end-offset compressed-clusters total-clusters corruptions corruptions-fixed "
      "check-errors leaks leaks-fixed allocated-clusters filename format "
      "fragmented-clusters ");
  EXPECT_EQ(keys_of(with_keys({"fully-allocated", "required", "bitmaps"})),
            "bitmaps required fully-allocated ");
  EXPECT_EQ(
      keys_of(with_keys({"format", "cluster-size", "filename", "virtual-size", "compressed"})),
      "compressed virtual-size filename cluster-size format ");
}

/** Two short keys of one bucket. */
std::pair<std::string, std::string> find_collision() {
  for (char a = 'a'; a <= 'z'; a++) {
    for (char b = 'a'; b <= 'z'; b++) {
      for (char c = 'a'; c <= 'z'; c++) {
        const std::string key{a, b, c};
        if (key != "abc" && key_bucket(key) == key_bucket("abc")) return {"abc", key};
      }
    }
  }
  return {};
}

TEST(KeyOrder, LastInsertedComesFirstInABucket) {
  const auto [one, other] = find_collision();
  ASSERT_FALSE(other.empty());
  EXPECT_EQ(keys_of(with_keys({one.c_str(), other.c_str()})), other + " " + one + " ");
  EXPECT_EQ(keys_of(with_keys({other.c_str(), one.c_str()})), one + " " + other + " ");
}

TEST(PrintJson, Pretty) {
  const value document = {
      {"format-specific", {{"data", object()}, {"type", "file"}}},
      {"children", boost::json::array()},
      {"virtual-size", 10485760},
      {"dirty-flag", false},
  };
  std::string out;
  append_pretty_json(out, document);
  EXPECT_EQ(out, R"({
    "children": [
    ],
    "virtual-size": 10485760,
    "format-specific": {
        "type": "file",
        "data": {
        }
    },
    "dirty-flag": false
})");
}

TEST(PrintJson, CompactAsInFileNames) {
  const value document = {{"driver", "raw"},
                          {"size", "1M"},
                          {"offset", "512"},
                          {"file", {{"filename", "a.qcow2"}, {"driver", "file"}}}};
  EXPECT_EQ(compact_json(document), R"({"offset": "512", "driver": "raw", "size": "1M", )"
                                    R"("file": {"driver": "file", "filename": "a.qcow2"}})");
  EXPECT_EQ(compact_json(boost::json::array{1, 2.5, nullptr, 1e6, true}),
            "[1, 2.5, null, 1000000, true]");
  EXPECT_EQ(compact_json(0.1), "0.10000000000000001");
  EXPECT_EQ(compact_json(object()), "{}");
}

TEST(PrintJson, EscapesWhatIsNotPrintableAscii) {
  std::string out;
  append_json_string(out, "\"\\\b\f\n\r\t\x01\x7f é 😀 /'");
  EXPECT_EQ(out, R"("\"\\\b\f\n\r\t\u0001\u007F \u00E9 \uD83D\uDE00 /'")");
}

TEST(PrintJson, BytesThatAreNoTextBecomeReplacementCharacters) {
  std::string out;
  append_json_string(out, "v\xf8\x88\x80\x80\x80z\xf4\x90\x80\x80\xe0\x80\x80\xef\xb7\x90\xfe\xc3");
  EXPECT_EQ(out, R"("v\uFFFDz\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD")");
  out.clear();
  append_json_string(out, "\xff\xed\xa0\x80\xef\xbf\xbf\xc0\x80\xe2\x82.\xc0\xaf");
  EXPECT_EQ(out, R"("\uFFFD\uFFFD\uFFFD\u0000\uFFFD.\uFFFD")");
}

TEST(ScalarText, IsWhatOptionsTake) {
  EXPECT_EQ(scalar_text(true), "on");
  EXPECT_EQ(scalar_text(false), "off");
  EXPECT_EQ(scalar_text(-1), "-1");
  EXPECT_EQ(scalar_text(1.5), "1.5");
  EXPECT_EQ(scalar_text("x"), "x");
}

}  // namespace
}  // namespace instar::options
