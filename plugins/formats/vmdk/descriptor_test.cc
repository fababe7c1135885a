// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vmdk/descriptor.hpp"

#include <gtest/gtest.h>

#include "plugins/formats/vmdk/image.hpp"

namespace instar::vmdk {
namespace {

int probe(std::string_view text) {
  return Image::probe(sdk::ConstBytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()),
                      "");
}

TEST(Descriptor, ExtentsAreRead) {
  const auto extents = parse_extents(
      "# RW 1 FLAT \"no.vmdk\" 0\nRW 100 FLAT \"a b.vmdk\" 7\nRDONLY 5 SPARSE \"no.vmdk\"\n"
      "RW 200 SPARSE \"c.vmdk\"\nRW 0 SPARSE \"no.vmdk\"\nRW 9 ZERO \"no.vmdk\"");
  ASSERT_TRUE(extents);
  ASSERT_EQ(extents->size(), 2u);
  EXPECT_EQ((*extents)[0].file, "a b.vmdk");
  EXPECT_EQ((*extents)[0].flat_offset, 7);
  EXPECT_EQ((*extents)[1].sectors, 200);
  EXPECT_EQ((*extents)[1].type, "SPARSE");
}

TEST(Descriptor, WrongExtentsAreRefused) {
  for (const char* line : {"RW 100 FLAT \"a.vmdk\"", "RW 100 FLAT \"a.vmdk\" -1",
                           "RW 100 SPARSE \"a.vmdk\" 5", "RW 100 VMFS \"a.vmdk\" 5"}) {
    const auto extents = parse_extents(sdk::cat("version=1\n", line, "\nRW 1 SPARSE \"b\"\n"));
    ASSERT_FALSE(extents) << line;
    EXPECT_EQ(extents.error().message, sdk::cat("Invalid extent line: ", line));
  }
}

TEST(Descriptor, TheCidIsReplaced) {
  const std::string text = "version=1\nCID=fffffffe\nparentCID=12\ncreateType=\"x\"\n";
  EXPECT_EQ(find_cid(text, "CID"), 0xfffffffe);
  EXPECT_EQ(find_cid(text, "parentCID"), 0x12u);
  EXPECT_EQ(replace_cid(text, 0xab), "version=1\nCID=000000ab\nparentCID=12\ncreateType=\"x\"\n");
  EXPECT_EQ(replace_cid("CID=123\r\nparentCID=1\n", 0x89abcdef), "CID=def\r\nparentCID=1\n");
  EXPECT_EQ(replace_cid("CID=0x12\nparentCID=1\n", 0xab), "CID=000000ab\nparentCID=1\n");
  EXPECT_FALSE(find_cid("CID=zz", "CID"));
  EXPECT_FALSE(find_cid("CID", "CID"));
}

TEST(Descriptor, TheParentIsReplaced) {
  const std::string text =
      "CID=1\nparentCID=12\ncreateType=\"x\"\nparentFileNameHint=\"a b.vmdk\"\nRW 1 ZERO\n";
  EXPECT_EQ(replace_parent(text, "/c", 0xab),
            "CID=1\nparentCID=ab\ncreateType=\"x\"\nparentFileNameHint=\"/c\"\nRW 1 ZERO\n");
  EXPECT_EQ(replace_parent(text, "", UINT32_MAX),
            "CID=1\nparentCID=ffffffff\ncreateType=\"x\"\n\nRW 1 ZERO\n");
  EXPECT_EQ(replace_parent("CID=1\n", "a", 2), "CID=1\n");
  EXPECT_EQ(replace_parent("parentFileNameHint=\"a", "b", 2), "parentFileNameHint=\"b");
}

constexpr const char* kSplit =
    "# Disk DescriptorFile\n# Extent description\nRW 4 SPARSE \"a-s001\"\n  RW \t4 SPARSE "
    "\"a-s002\"\r\n"
    "RW 4 SPARSE \"a-s003\"\n\nddb.geometry.cylinders = \"12\"\nddb.geometry.heads = \"2\"\n"
    "ddb.geometry.sectors = \"3\"\n";

std::string changed(std::string_view text, const ExtentChange& change) {
  const auto result = replace_extents(text, change);
  return result ? *result : result.error().message;
}

TEST(Descriptor, ExtentsAreAdded) {
  EXPECT_EQ(
      changed(kSplit, {3, 9, "RW 5 SPARSE \"a-s004\"\nRW 6 SPARSE \"a-s005\"\n", 60}),
      "# Disk DescriptorFile\n# Extent description\nRW 4 SPARSE \"a-s001\"\n"
      "  RW \t4 SPARSE \"a-s002\"\r\nRW 9 SPARSE \"a-s003\"\nRW 5 SPARSE \"a-s004\"\n"
      "RW 6 SPARSE \"a-s005\"\n\nddb.geometry.cylinders = \"10\"\nddb.geometry.heads = \"2\"\n"
      "ddb.geometry.sectors = \"3\"\n");
  const std::string line = "RW 5 SPARSE \"a\"\n";
  EXPECT_EQ(changed("# Extent description\n\nddb\n", {0, 0, line, 5}),
            "# Extent description\nRW 5 SPARSE \"a\"\n\nddb\n");
  EXPECT_EQ(changed("version=1", {0, 0, line, 5}), "version=1\nRW 5 SPARSE \"a\"");
}

TEST(Descriptor, ExtentsAreDropped) {
  EXPECT_EQ(changed(kSplit, {2, 77, "", 81}),
            "# Disk DescriptorFile\n# Extent description\nRW 4 SPARSE \"a-s001\"\n"
            "  RW \t77 SPARSE \"a-s002\"\r\n\nddb.geometry.cylinders = \"13\"\n"
            "ddb.geometry.heads = \"2\"\nddb.geometry.sectors = \"3\"\n");
  EXPECT_EQ(changed("RW 4 SPARSE \"a\"\nRW 4 SPARSE \"b\"", {1, 3, "", 3}), "RW 3 SPARSE \"a\"\n");
}

TEST(Descriptor, LinesThatWouldBeReadAsOthersAreNotChanged) {
  const std::string refused = "The image's descriptor is not one that can be changed";
  EXPECT_EQ(changed(kSplit, {3, 4, "RW 5 SPARSE \"a\nb\"\n", 17}), refused);
  EXPECT_EQ(changed("RW\n100 SPARSE \"a\"\n", {1, 50, "", 50}), refused);
}

TEST(Descriptor, ItIsRecognised) {
  EXPECT_EQ(probe("# Disk DescriptorFile\nversion=1\n"), 100);
  EXPECT_EQ(probe("  \r\n#x\r\nversion=3\r\n"), 100);
  EXPECT_EQ(probe("\nversion=1\n"), 0);
  EXPECT_EQ(probe("version=4\n"), 0);
  EXPECT_EQ(probe("# version=1\n"), 0);
  EXPECT_EQ(probe("version=1"), 0);
  EXPECT_EQ(probe("   "), 0);
}

}  // namespace
}  // namespace instar::vmdk
