// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/tar/tar_node.hpp"

#include <gtest/gtest.h>

#include <cstdio>

#include "plugins/filters/tar/ovf.hpp"
#include "sdk/cpp/testing_damage.hpp"

namespace instar::tar {
namespace {

using namespace sdk::testing;

using Content = std::vector<uint8_t>;

/** Writes an archive. */
class Writer {
 public:
  Writer& add(const std::string& name, const std::string& content, char type = '0') {
    header(name, content.size(), type);
    bytes.insert(bytes.end(), content.begin(), content.end());
    bytes.resize(sdk::round_up(bytes.size(), kBlock));
    return *this;
  }
  /** A header alone. */
  Writer& header(const std::string& name, uint64_t size, char type) {
    Header header{};
    name.copy(header.name, sizeof header.name);
    if (size >> 33 == 0) {
      std::snprintf(header.size, sizeof header.size, "%011llo", (unsigned long long)size);
    } else {
      header.size[0] = static_cast<char>(0x80);
      sdk::store_be(reinterpret_cast<uint8_t*>(header.size + 4), size);
    }
    header.type = type;
    std::memcpy(header.magic, "ustar", 6);
    if (type == 'S') reinterpret_cast<char*>(&header)[482] = 1;
    return block(header);
  }
  Writer& block(Header header) {
    std::memset(header.checksum, ' ', sizeof header.checksum);
    unsigned sum = 0;
    const auto* raw = reinterpret_cast<const uint8_t*>(&header);
    for (size_t i = 0; i < sizeof header; ++i)
      sum += raw[i];
    std::snprintf(header.checksum, sizeof header.checksum, "%06o", sum);
    bytes.insert(bytes.end(), raw, raw + sizeof header);
    return *this;
  }
  Content end() {
    Content all = bytes;
    all.resize(all.size() + 2 * kBlock);
    return all;
  }
  Content bytes;
};

struct Disk {
  explicit Disk(Content bytes) {
    memory->bytes = std::move(bytes);
    host.children["file"] = file.abi();
  }
  sdk::Result<OwnedNode> open(const std::string& member = "", uint32_t flags = 0) {
    OptionList options;
    if (!member.empty()) options.text("member", member);
    return host.open(sdk::FilterTable<TarNode>::ops(), "a,b.tar", flags, options);
  }
  std::string error(const std::string& member = "") {
    const auto node = open(member);
    return node ? "" : node.error().message;
  }
  std::string content(const std::string& member = "") {
    const auto node = open(member);
    if (!node) return node.error().message;
    std::string text(*node->ref().size(), '\0');
    EXPECT_TRUE(node->ref().read(quiet_call(), 0, text.data(), text.size()));
    return text;
  }
  std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
  OwnedNode file = memory_node(memory);
  FakeHost host;
};

constexpr const char* kOvf = R"(<?xml version="1.0"?>
<!-- <File ovf:id="a" ovf:href="no"/> <Disk ovf:fileRef="a"/> -->
<Envelope xmlns:ovf="x"><References>
 <ovf:File ovf:href="cd.iso" ovf:id="cd"/>
 <File ovf:id = 'a' ovf:size="1>2" ovf:href="the &amp; disk.vmdk"/>
</References><DiskSection><Info>two</Info><Disk ovf:diskId="d" ovf:fileRef="a"/></DiskSection>
</Envelope>)";

TEST(Tar, TheOnlyFileIsTheMember) {
  EXPECT_EQ(Disk(Writer().add("folder/", "", '5').add("./disk", "content").end()).content(),
            "content");
  EXPECT_EQ(Disk(Writer().add("link", "", '2').end()).error(), "the archive holds no files");
  EXPECT_EQ(Disk(Writer().add("a", "x").end()).open("", INSTAR_OPEN_WRITE).error().message,
            "Image is read-only");
}

TEST(Tar, OfSeveralOneIsChosen) {
  const Content archive = Writer().add("a", "1").add("b,c", "22").add("a", "333").end();
  const auto several = Disk(archive).open();
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().message, "the archive holds several: 'a', 'b,c', 'a'");
  EXPECT_EQ(
      several.error().hint,
      "One is chosen by --image-opts file.driver=tar,file.member=a,file.file.filename=a,,b.tar");
  EXPECT_EQ(Disk(archive).content("b,c"), "22");
  EXPECT_EQ(Disk(archive).content("a"), "333") << "as unpacking leaves it";
  EXPECT_EQ(Disk(archive).error("d"), "the archive has no member 'd', but 'a', 'b,c', 'a'");
}

TEST(Tar, TheDescriptorTellsOfTheDisk) {
  Writer ova;
  ova.add("x.ovf", kOvf).add("the & disk.vmdk", "disk").add("cd.iso", "cd");
  EXPECT_EQ(Disk(ova.end()).content(), "disk");
  EXPECT_EQ(Disk(ova.end()).content("cd.iso"), "cd");
  std::string two = kOvf;
  two.insert(two.find("</DiskSection>"), "<Disk fileRef='cd'/>");
  EXPECT_EQ(Disk(Writer().add("x.ovf", two).end()).error(),
            "the archive holds several: 'the & disk.vmdk', 'cd.iso'");
  EXPECT_EQ(Disk(Writer().add("x.ovf", kOvf).end()).error(),
            "the archive has no member 'the & disk.vmdk', but 'x.ovf'");
  EXPECT_EQ(Disk(Writer().add("x.ovf", "<File").end()).error(),
            "the descriptor 'x.ovf' tells of no disk");
  std::string chunks = kOvf;
  chunks.insert(chunks.find("ovf:size"), "ovf:chunkSize=\"7\" ");
  EXPECT_EQ(Disk(Writer().add("x.ovf", chunks).end()).error(),
            "the disk 'the & disk.vmdk' is cut into several files");
}

TEST(Tar, LongNames) {
  const std::string name(300, 'n');
  EXPECT_EQ(
      Disk(Writer().add("././@LongLink", name + '\0', 'L').add("cut", "x").end()).content(name),
      "x");
  const std::string line = "309 path=" + name + "\n";
  ASSERT_EQ(line.size(), 310u);
  const std::string pax = "310" + line.substr(3) + "10 size=3\n";
  EXPECT_EQ(Disk(Writer().add("PaxHeader", pax, 'x').add("cut", "abc").end()).content(name), "abc");
  Header header{};
  std::memcpy(header.name, "file", 4);
  std::memcpy(header.prefix, "folder", 6);
  std::memcpy(header.magic, "ustar", 6);
  EXPECT_EQ(Disk(Writer().block(header).end()).content("folder/file"), "");
}

TEST(Tar, SparseFilesAreRefused) {
  Content more(kBlock);
  Writer gnu;
  gnu.header("sparse", 0, 'S');
  gnu.bytes.insert(gnu.bytes.end(), more.begin(), more.end());
  gnu.add("other", "x");
  EXPECT_EQ(Disk(gnu.end()).error("sparse"),
            "the member 'sparse' is stored as a sparse file or in parts, which can't be read here");
  EXPECT_EQ(Disk(gnu.end()).content("other"), "x");
  const std::string pax = "22 GNU.sparse.major=1\n24 GNU.sparse.name=name\n";
  EXPECT_NE(Disk(Writer().add("p", pax, 'x').add("q", "abc").end()).error("name").find("sparse"),
            std::string::npos);
}

TEST(Tar, DefectsAreNamed) {
  EXPECT_EQ(Disk(Content(1024, 'x')).error(), "not a tar archive");
  EXPECT_EQ(Disk(Writer().add("a", "x").bytes).error(),
            "the tar archive is cut off: it has no end");
  EXPECT_EQ(Disk(Writer().header("a", 5000, '0').end()).error(),
            "the tar archive is damaged at byte 512: a member of 5000 bytes is cut off");
  EXPECT_EQ(
      Disk(Writer().header("a", uint64_t{1} << 62, '0').end()).error(),
      "the tar archive is damaged at byte 512: a member of 4611686018427387904 bytes is cut off");
  EXPECT_EQ(Disk(Writer().add("a", "5 x=\n", 'x').add("b", "").end()).error(), "");
  for (const char* wrong : {"9 a=b\n", "x", "0 a=b\n", "5 abc", "12 size=4x\n"})
    EXPECT_NE(Disk(Writer().add("p", wrong, 'x').add("a", "1").end()).error(), "") << wrong;
  Content second = Writer().add("a", "x").add("b", "y").end();
  second[2 * kBlock] ^= 1;
  EXPECT_EQ(Disk(second).error("a"), "the tar archive is damaged at byte 1024: no header");
}

TEST(Tar, ExtentsLieInTheFile) {
  std::string content(8192, 'x');
  content.replace(1024, 2048, 2048, '\0');
  Disk disk(Writer().add("first", "x").add("disk", content).end());
  const auto node = disk.open("disk");
  ASSERT_TRUE(node);
  instar_extent extents[4];
  ASSERT_EQ(*node->ref().extents(quiet_call(), 512, 7680, extents, 4), 3u);
  EXPECT_EQ(extents[0].length, 512u);
  EXPECT_EQ(extents[0].child_offset, 3 * kBlock + 512);
  EXPECT_EQ(extents[1].length, 2048u);
  EXPECT_NE(extents[1].flags & INSTAR_EXTENT_ZERO, 0u);
  EXPECT_EQ(extents[2].child_offset, 3 * kBlock + 3072);
}

/** Where it is cut, it is found; what was changed does no harm. */
TEST(Fuzz, DamageIsHarmless) {
  const std::string pax = "13 path=name\n";
  const Content sound = Writer()
                            .add("x.ovf", kOvf)
                            .add("long", "the & disk.vmdk", 'L')
                            .add("x", std::string(3000, 'd'))
                            .add("p", pax, 'x')
                            .add("y", "z")
                            .end();
  ASSERT_EQ(Disk(sound).content(), std::string(3000, 'd'));
  for (size_t length = 0; length + 2 * kBlock < sound.size(); length += 64)
    EXPECT_FALSE(
        Disk(Content(sound.begin(), sound.begin() + static_cast<ptrdiff_t>(length))).open());
  std::mt19937_64 random(1);
  for (int round = damage_rounds(3000); round > 0; --round) {
    Content bytes = sound;
    damage(bytes, random, {0, 512, 1536, 2560});
    // A right checksum, so that what stands behind it is looked at.
    if (random() % 2 == 0 && bytes.size() == sound.size()) {
      Header header;
      std::memcpy(&header, &bytes[0], sizeof header);
      const Content first = Writer().block(header).bytes;
      std::copy(first.begin(), first.end(), bytes.begin());
    }
    Disk disk(bytes);
    const auto node = disk.open();
    if (node) exercise(node->ref(), false, random);
  }
}

}  // namespace
}  // namespace instar::tar
