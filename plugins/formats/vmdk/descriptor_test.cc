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
