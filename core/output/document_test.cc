// SPDX-License-Identifier: Apache-2.0
#include "core/output/document.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "core/base/file.hpp"

namespace instar::output {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

/** What the genuine tool prints for one image. */
struct Golden {
  std::string name;
  std::string human;
  std::string json;
};

/** "=== NAME", human text, "--- json", JSON; again and again. */
std::vector<Golden> load_goldens() {
  const auto content = base::read_file("core/output/testdata/info.txt", 1 << 20);
  EXPECT_TRUE(content);
  std::vector<Golden> goldens;
  std::string_view rest = *content;
  for (size_t at = rest.find("=== "); at != std::string_view::npos;) {
    rest.remove_prefix(at + 4);
    const size_t next = rest.find("\n=== ");
    const std::string_view block = rest.substr(0, next == rest.npos ? rest.npos : next + 1);
    const size_t name_end = block.find('\n') + 1;
    const size_t json = block.find("--- json\n");
    goldens.push_back({std::string(block.substr(0, name_end - 1)),
                       std::string(block.substr(name_end, json - name_end)),
                       std::string(block.substr(json + 9))});
    at = next == rest.npos ? rest.npos : next + 1;
  }
  return goldens;
}

/** The same document with its keys inserted the other way round. */
value reversed(const value& document) {
  if (const array* items = document.if_array()) {
    array out;
    for (const value& item : *items)
      out.push_back(reversed(item));
    return out;
  }
  const object* members = document.if_object();
  if (members == nullptr) return document;
  std::vector<const boost::json::key_value_pair*> entries;
  for (const auto& entry : *members)
    entries.push_back(&entry);
  std::reverse(entries.begin(), entries.end());
  object out;
  for (const auto* entry : entries)
    out.emplace(entry->key(), reversed(entry->value()));
  return out;
}

value parsed(std::string_view json) {
  auto document = read_document(json);
  EXPECT_TRUE(document);
  return *document;
}

class Document : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(Document, ImageInfoIsTheGenuineOnesInBothStyles) {
  const std::vector<Golden> goldens = load_goldens();
  EXPECT_EQ(goldens.size(), 36u);
  for (const Golden& golden : goldens) {
    const value document = parsed(golden.json);
    EXPECT_EQ(document_text("image-info", document, Style::kJson), golden.json) << golden.name;
    EXPECT_EQ(document_text("image-info", document, Style::kHuman), golden.human) << golden.name;
    const value other_order = reversed(document);
    EXPECT_EQ(document_text("image-info", other_order, Style::kJson), golden.json) << golden.name;
    EXPECT_EQ(document_text("image-info", other_order, Style::kHuman), golden.human) << golden.name;
  }
}

TEST_F(Document, InfoOfWhatIsRarelySeen) {
  std::string out;
  append_image_info(out, parsed(R"({"filename": "a", "format": "qcow2", "virtual-size": 512,
      "actual-size": 0, "dirty-flag": true, "encrypted": false, "backing-filename": "b"})")
                             .get_object());
  EXPECT_EQ(out,
            "image: a\nfile format: qcow2\nvirtual size: 512 B (512 bytes)\ndisk size: 0 B\n"
            "cleanly shut down: no\nbacking file: b (cannot determine actual path)\n");
}

TEST_F(Document, WrongTypesCountAsAbsent) {
  std::string out;
  append_image_info(out, parsed(R"({"filename": 5, "format": [], "virtual-size": "x",
      "children": [1, {"name": "file"}, {"info": []}], "snapshots": [7], "format-specific": 1,
      "backing-filename": null})")
                             .get_object());
  EXPECT_EQ(out.substr(0, 66),
            "image: \nfile format: \nvirtual size: 0 B (0 bytes)\ndisk size: unava");
  EXPECT_EQ(check_text(parsed(R"({"leaks": "x"})").get_object()),
            "No errors were found on the image.\n");
}

TEST_F(Document, SnapshotTable) {
  const value snapshots = parsed(R"([
      {"icount": 0, "vm-clock-nsec": 0, "name": "one", "date-sec": 1795310283,
       "date-nsec": 455297000, "vm-clock-sec": 0, "id": "2", "vm-state-size": 0},
      {"vm-clock-nsec": 999999999, "name": "", "date-sec": 0, "date-nsec": 0,
       "vm-clock-sec": 36000061, "id": "12345678", "vm-state-size": 197120},
      {"icount": 7, "name": "é, longer than its column", "id": "3"}])");
  EXPECT_EQ(document_text("snapshots", snapshots, Style::kHuman),
            "Snapshot list:\n"
            "ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT\n"
            "2       one                   0 B 2026-11-22 01:18:03  0000:00:00.000          0\n"
            "12345678                   192 KiB 1970-01-01 00:00:00 10000:01:01.999         --\n"
            "3       é, longer than its column      0 B 1970-01-01 00:00:00  0000:00:00.000        "
            "  7\n");
  EXPECT_EQ(document_text("snapshots", array(), Style::kHuman), "");
}

TEST_F(Document, DatesAreLocal) {
  setenv("TZ", "Europe/Berlin", 1);
  setenv("TZ", "XXX-2", 1);  // needs no time zone files
  tzset();
  const value snapshots = parsed(R"([{"date-sec": 1795310283}])");
  EXPECT_NE(document_text("snapshots", snapshots, Style::kHuman).find("2026-11-22 03:18:03"),
            std::string::npos);
}

std::string check(const char* json) {
  return document_text("check", parsed(json), Style::kHuman);
}

TEST_F(Document, CheckClean) {
  EXPECT_EQ(check(R"({"image-end-offset": 262144, "total-clusters": 160, "check-errors": 0})"),
            "No errors were found on the image.\nImage end offset: 262144\n");
  EXPECT_EQ(check(R"({"image-end-offset": 393216, "compressed-clusters": 17,
                      "total-clusters": 160, "check-errors": 0, "allocated-clusters": 17,
                      "fragmented-clusters": 17})"),
            "No errors were found on the image.\n"
            "17/160 = 10.62% allocated, 100.00% fragmented, 100.00% compressed clusters\n"
            "Image end offset: 393216\n");
  EXPECT_EQ(check(R"({"check-errors": 0})"), "No errors were found on the image.\n");
}

TEST_F(Document, CheckFindings) {
  EXPECT_EQ(check(R"({"image-end-offset": 1572864, "total-clusters": 160, "leaks": 1,
                      "allocated-clusters": 17})"),
            "\n1 leaked clusters were found on the image.\n"
            "This means waste of disk space, but no harm to data.\n"
            "17/160 = 10.62% allocated, 0.00% fragmented, 0.00% compressed clusters\n"
            "Image end offset: 1572864\n");
  EXPECT_EQ(check(R"({"corruptions": 2, "check-errors": 3})"),
            "\n2 errors were found on the image.\n"
            "Data may be corrupted, or further writes to the image may corrupt it.\n"
            "\n3 internal errors have occurred during the check.\n");
}

TEST_F(Document, CheckOfAChain) {
  const value chain = parsed(R"({"images": [
      {"filename": "top", "format": "qcow2", "virtual-size": 1024, "check-errors": 0, "leaks": 1},
      {"filename": "base", "format": "raw", "virtual-size": 512, "notes": ["small", 7]},
      "not an image"], "chain-errors": [{}, {}]})");
  EXPECT_EQ(document_text("check-chain", chain, Style::kHuman),
            "image: top\nfile format: qcow2\nvirtual size: 1 KiB (1024 bytes)\n"
            "\n1 leaked clusters were found on the image.\n"
            "This means waste of disk space, but no harm to data.\n\n"
            "image: base\nfile format: raw\nvirtual size: 512 B (512 bytes)\nnote: small\n"
            "This image format does not support checks.\n\n"
            "2 errors were found in the chain itself.\n");
  EXPECT_EQ(document_text("check-chain", parsed(R"({"images": 1})"), Style::kHuman),
            "No errors were found in the chain itself.\n");
}

TEST_F(Document, Measure) {
  const value with = parsed(R"({"required": 1441792, "fully-allocated": 10813440, "bitmaps": 0})");
  EXPECT_EQ(document_text("measure", with, Style::kHuman),
            "required size: 1441792\nfully allocated size: 10813440\nbitmaps size: 0\n");
  EXPECT_EQ(document_text("measure", with, Style::kJson),
            "{\n    \"bitmaps\": 0,\n    \"required\": 1441792,\n"
            "    \"fully-allocated\": 10813440\n}\n");
  EXPECT_EQ(
      document_text("measure", parsed(R"({"required": 1, "fully-allocated": 2})"), Style::kHuman),
      "required size: 1\nfully allocated size: 2\n");
}

TEST_F(Document, UnknownKindsAreJson) {
  EXPECT_EQ(document_text("weather", parsed(R"({"sun": true})"), Style::kHuman),
            "{\n    \"sun\": true\n}\n");
}

TEST_F(Document, NamesMayBeNoUtf8) {
  EXPECT_EQ(json_text(parsed("[\"a\xff\"]")), "[\n    \"a\\uFFFD\"\n]\n");
  std::string out;
  append_image_info(out, parsed("{\"filename\": \"a\xff\"}").get_object());
  EXPECT_EQ(out.substr(0, 10), "image: a\xff\n");
  EXPECT_FALSE(read_document("{"));
}

TEST_F(Document, DryRun) {
  const auto document = read_document(
      R"({"command":"resize","dry-run":true,"filename":"a","virtual-size":512,"list":["x"]})");
  ASSERT_TRUE(document);
  EXPECT_EQ(document_text("dry-run", *document, Style::kHuman),
            "Nothing was changed. resize would do this:\n"
            "    list:\n"
            "        [0]: x\n"
            "    virtual size: 512\n"
            "    filename: a\n");
}

}  // namespace
}  // namespace instar::output
