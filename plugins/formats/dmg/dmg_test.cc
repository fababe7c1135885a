// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "plugins/formats/dmg/adc.hpp"
#include "plugins/formats/dmg/image.hpp"
#include "sdk/cpp/base64.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::dmg {
namespace {

using sdk::FormatTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::memory_node;
using sdk::testing::MemoryDisk;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

std::string text_of(const auto& structure) {
  return {reinterpret_cast<const char*>(&structure), sizeof structure};
}

ChunkEntry entry(uint32_t type, uint64_t sector, uint64_t sectors, uint64_t offset,
                 uint64_t length) {
  return {type, 0, sector, sectors, offset, length};
}

std::string table_of(const std::vector<ChunkEntry>& entries, uint64_t first = 0) {
  TableHeader header{};
  std::copy_n("mish", 4, header.magic);
  header.first_sector = first;
  std::string out = text_of(header);
  for (const auto& chunk : entries)
    out += text_of(chunk);
  return out;
}

/** The file of an image: data, tables (in XML, or in a resource fork), trailer. */
class Builder {
 public:
  std::string data = std::string(512, 'r');
  std::vector<std::string> tables;
  bool fork = false;
  uint64_t sectors = 8;
  std::string behind;
  std::function<void(Trailer&)> change = [](Trailer&) {};

  std::string file() const {
    std::string where;
    if (fork) {
      std::string resources;
      for (const auto& table : tables)
        resources += text_of(sdk::Be<uint32_t>(static_cast<uint32_t>(table.size()))) + table;
      const auto length = static_cast<uint32_t>(resources.size());
      for (const uint32_t number : {16u, 16 + length, length, 0u})
        where += text_of(sdk::Be<uint32_t>(number));
      where += resources;
    } else {
      where = "<plist>";
      for (const auto& table : tables)
        where += "<data>\n" + sdk::encode_base64(table) + "\n</data>";
    }
    Trailer trailer{};
    std::copy_n("koly", 4, trailer.magic);
    trailer.size = 512;
    trailer.sector_count = sectors;
    (fork ? trailer.resource_fork_offset : trailer.xml_offset) = data.size();
    (fork ? trailer.resource_fork_length : trailer.xml_length) = where.size();
    change(trailer);
    return data + where + text_of(trailer) + behind;
  }
};

class DmgTest : public testing::Test {
 protected:
  DmgTest() {
    host_.children["file"] = file_.abi();
    // Sectors: 0 zeroes, 1 raw, 2 to 3 ADC ("ab", and copies of it), 4 missing, 5 to 7 unused.
    std::string packed =
        "\x81"
        "ab";
    size_t length = 2;
    while (length < 1024) {
      const size_t n = std::min<size_t>(67, 1024 - length);
      packed += std::string{static_cast<char>(0x40 | (n - 4)), 0, 1};
      length += n;
    }
    builder_.data += packed;
    builder_.tables = {
        table_of({entry(0, 0, 1, 0, 0), entry(0x7ffffffe, 0, 0, 0, 0), entry(1, 1, 1, 0, 512)}),
        table_of({entry(0x80000004, 0, 2, 512, packed.size()), entry(2, 3, 3, 0, 0),
                  entry(0xffffffff, 6, 0, 0, 0)},
                 2)};
  }
  Result<OwnedNode> open(uint32_t flags = 0) {
    const std::string bytes = builder_.file();
    disk_->bytes.assign(bytes.begin(), bytes.end());
    return host_.open(FormatTable<Image>::ops(), "disk.dmg", flags);
  }
  std::string error() {
    const auto node = open();
    return node ? "" : node.error().message;
  }
  static std::string read(const OwnedNode& node, uint64_t offset, size_t length) {
    std::string out(length, '?');
    const auto status = node.ref().read(quiet_call(), offset, out.data(), length);
    return status ? out : status.error().message;
  }

  Builder builder_;
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  OwnedNode file_ = memory_node(disk_);
  FakeHost host_;
};

TEST_F(DmgTest, IsRead) {
  for (const bool fork : {false, true}) {
    builder_.fork = fork;
    const auto node = open();
    ASSERT_TRUE(node) << node.error().message;
    EXPECT_EQ(*node->ref().size(), 4096u);
    EXPECT_EQ(read(*node, 0, 512), std::string(512, '\0'));
    EXPECT_EQ(read(*node, 512, 512), std::string(512, 'r'));
    std::string pairs;
    for (int i = 0; i < 512; ++i)
      pairs += "ab";
    EXPECT_EQ(read(*node, 1024, 1024), pairs);
    EXPECT_EQ(read(*node, 1536, 512), pairs.substr(512));
    EXPECT_EQ(read(*node, 512, 1024), std::string(512, 'r') + pairs.substr(512));
    EXPECT_EQ(read(*node, 2560, 1536), std::string(1536, '\0'));
    EXPECT_EQ(read(*node, 2048, 512), "The image does not have sector 4");
  }
}

TEST_F(DmgTest, TellsWhatLiesWhere) {
  const auto node = open();
  instar_extent extents[8];
  const auto count = node->ref().extents(quiet_call(), 0, 4096, extents, 8);
  ASSERT_EQ(*count, 5u);
  const uint32_t data = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
  const uint32_t zero = INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
  const std::pair<uint64_t, uint32_t> expected[] = {{512, zero},
                                                    {512, data | INSTAR_EXTENT_OFFSET},
                                                    {1024, data | INSTAR_EXTENT_COMPRESSED},
                                                    {512, data},
                                                    {1536, zero}};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(extents[i].length, expected[i].first) << i;
    EXPECT_EQ(extents[i].flags, expected[i].second) << i;
  }
  EXPECT_EQ(extents[1].child_offset, 0u);
}

TEST_F(DmgTest, TheTrailerIsInTheLast1023Bytes) {
  for (const size_t length : {0, 1, 100, 511}) {
    builder_.behind = std::string(length, 'x');
    builder_.data.resize(builder_.data.size() + 511 - (builder_.file().size() + 511) % 512);
    EXPECT_EQ(error(), "") << length;
  }
  builder_.behind = std::string(1024, 'x');
  EXPECT_EQ(error(), "Could not locate UDIF trailer in dmg file");
  disk_->bytes.clear();
  EXPECT_EQ(host_.open(FormatTable<Image>::ops(), "empty", 0).error().message,
            "dmg file must be at least 512 bytes long");
}

TEST_F(DmgTest, IsReadOnly) {
  EXPECT_EQ(open(INSTAR_OPEN_WRITE).error().message, "Image is read-only");
  EXPECT_NE(open()->ref().limits()->flags & INSTAR_NODE_READ_ONLY, 0u);
}

TEST_F(DmgTest, WithoutChunksNothingCanBeRead) {
  builder_.tables = {table_of({})};
  const auto node = open();
  ASSERT_TRUE(node);
  EXPECT_EQ(read(*node, 0, 512), "The image does not have sector 0");
}

TEST_F(DmgTest, UnknownChunksAreWarnedOf) {
  builder_.tables = {table_of(
      {entry(0x80000007, 0, 1, 0, 1), entry(0x1234567, 1, 1, 0, 1), entry(0x1234567, 2, 1, 0, 1)})};
  const auto node = open();
  EXPECT_EQ(
      host_.warnings,
      (std::vector<std::string>{
          "LZFSE is not supported, accessing lzfse compressed blocks will result in I/O errors",
          "Image contains chunks of unknown type 1234567, accessing them will result in I/O "
          "errors"}));
  EXPECT_EQ(read(*node, 0, 512), "The image does not have sector 0");
}

TEST_F(DmgTest, HostileTables) {
  const auto with = [&](const ChunkEntry& chunk, uint64_t first = 0) {
    builder_.tables = {table_of({chunk}, first)};
    return error();
  };
  constexpr uint64_t kHuge = uint64_t{1} << 63;
  EXPECT_EQ(with(entry(1, 0, 131073, 0, 1)),
            "sector count 131073 for chunk 0 is larger than max (131072)");
  EXPECT_EQ(with(entry(1, 0, 1, 0, (64 << 20) + 1)),
            "length 67108865 for chunk 0 is larger than max (67108864)");
  EXPECT_EQ(with(entry(0, 0, uint64_t{1} << 40, 0, 0)), "");
  EXPECT_EQ(with(entry(0, 0, kHuge, 0, 0)), "Invalid argument");
  EXPECT_EQ(with(entry(0, kHuge, 1, 0, 0), kHuge), "Invalid argument");
  EXPECT_EQ(with(entry(0, 1, UINT64_MAX, 0, 0)), "Invalid argument");
  EXPECT_EQ(with(entry(1, 0, 1, kHuge, 1)), "Invalid argument");
  EXPECT_EQ(with(entry(1, 0, 1, UINT64_MAX, 1), 5), "Invalid argument");
  builder_.tables = {table_of({entry(0, 0, 4, 0, 0), entry(0, 3, 1, 0, 0)})};
  EXPECT_EQ(error(), "Chunks of the image overlap at sector 3");
  builder_.tables = {"mish", "mosh" + std::string(300, 'x'), std::string()};
  EXPECT_EQ(error(), "");
  builder_.fork = true;
  EXPECT_EQ(error(), "Invalid argument");  // a resource of no length
}

TEST_F(DmgTest, HostileTrailers) {
  const auto with = [&](std::function<void(Trailer&)> change) {
    builder_.change = std::move(change);
    return error();
  };
  EXPECT_EQ(with([](Trailer& t) { t.xml_length = 0; }), "Invalid argument");
  EXPECT_EQ(with([](Trailer& t) { t.xml_length = UINT64_MAX; }), "Invalid argument");
  EXPECT_EQ(with([](Trailer& t) { t.xml_offset = UINT64_MAX; }), "Invalid argument");
  EXPECT_EQ(with([](Trailer& t) { t.data_fork_offset = 1 << 20; }), "Invalid argument");
  EXPECT_EQ(with([](Trailer& t) { t.sector_count = UINT64_MAX; }), "Invalid argument");
  EXPECT_EQ(with([](Trailer& t) { t.resource_fork_length = 5; }), "Invalid argument");
  EXPECT_EQ(with([](Trailer& t) { t.xml_length = t.xml_length - 3; }), "Invalid argument");
  EXPECT_EQ(with([](Trailer& t) { t.sector_count = 0; }), "");
}

TEST_F(DmgTest, RandomDamageNeverHurts) {
  std::mt19937 random(1);
  size_t opened = 0;
  constexpr size_t kRounds = 3000;
  for (size_t round = 0; round < kRounds; ++round) {
    builder_.fork = round % 2 == 0;
    const auto tables = builder_.tables;
    for (uint32_t n = 1 + random() % 3; n > 0; --n) {
      auto& table = builder_.tables[random() % 2];
      table[random() % table.size()] = static_cast<char>(random() % 3 * random());
    }
    builder_.change = [&](Trailer& trailer) {
      auto* bytes = reinterpret_cast<uint8_t*>(&trailer);
      if (round % 3 == 0) bytes[4 + random() % 508] = static_cast<uint8_t>(random());
    };
    const auto node = open();
    builder_.tables = tables;
    if (node) {
      ++opened;
      const uint64_t size = std::min<uint64_t>(*node->ref().size(), 1 << 20);
      for (uint64_t at = 0; at < size; at += 512)
        read(*node, at, 512);
      instar_extent extents[4];
      if (size == 0) continue;
      EXPECT_TRUE(node->ref().extents(quiet_call(), 0, size, extents, 4));
    }
  }
  EXPECT_GT(opened, kRounds / 20);
  EXPECT_LT(opened, kRounds * 19 / 20);
}

TEST_F(DmgTest, TruncatedChunksAreErrors) {
  builder_.tables = {
      table_of({entry(1, 0, 2, 0, 512), entry(1, 2, 1, 1 << 20, 512),
                entry(0x80000004, 3, 1, 1 << 20, 512), entry(0x80000004, 4, 4, 512, 10)})};
  const auto node = open();
  EXPECT_EQ(read(*node, 0, 512), std::string(512, 'r'));
  EXPECT_EQ(read(*node, 0, 1024), "The chunk of sector 0 is truncated");
  EXPECT_EQ(read(*node, 1024, 512), "The chunk of sector 2 is truncated");
  EXPECT_EQ(read(*node, 1536, 512), "The chunk of sector 3 is truncated");
  EXPECT_EQ(read(*node, 2048, 512), "truncated ADC data");
}

TEST(Adc, Unpacks) {
  const auto unpack = [](std::string_view in, size_t room) {
    std::string out(room, '.');
    const auto n = unpack_adc({reinterpret_cast<const uint8_t*>(in.data()), in.size()},
                              {reinterpret_cast<uint8_t*>(out.data()), out.size()});
    return n ? out.substr(0, static_cast<size_t>(*n)) : n.error().message;
  };
  using std::string_view;
  EXPECT_EQ(unpack("\x82xyz", 10), "xyz");
  EXPECT_EQ(unpack(string_view("\x80x\0\0", 4), 10), "xxxx");
  EXPECT_EQ(unpack(string_view("\x81xy\x44\0\1", 6), 20), "xyxyxyxyxy");
  EXPECT_EQ(unpack(string_view("\x81xy\x44\0\1", 6), 5), "xyxyx");
  EXPECT_EQ(unpack("\x82xy", 10), "truncated ADC data");
  EXPECT_EQ(unpack(string_view("\x80x\x40\0", 4), 10), "truncated ADC data");
  EXPECT_EQ(unpack(string_view("\x80x\0\1", 4), 10), "bad ADC data");
  EXPECT_EQ(unpack(string_view("\0\0", 2), 10), "bad ADC data");
}

TEST(UnpackedChunks, EachIsUnpackedOnceAndLittleIsKept) {
  UnpackedChunks chunks(4 * 1000);
  std::atomic<int> unpacked{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (size_t index = 0; index < 4; ++index) {
        const auto content = chunks.get(index, 1000, [&](sdk::Bytes out) -> sdk::Status {
          ++unpacked;
          std::fill(out.begin(), out.end(), static_cast<uint8_t>(index));
          return {};
        });
        EXPECT_EQ((**content)[999], index);
      }
    });
  threads.clear();
  EXPECT_EQ(unpacked, 4);
  const auto again = [&](size_t index, int error) {
    return chunks.get(index, 1000, [&](sdk::Bytes) -> sdk::Status {
      ++unpacked;
      if (error != 0) return sdk::fail(error, "no");
      return {};
    });
  };
  EXPECT_FALSE(again(9, EIO));
  EXPECT_TRUE(again(9, 0));
  EXPECT_EQ(unpacked, 6);
  EXPECT_TRUE(again(3, 0));  // used last, still there
  EXPECT_EQ(unpacked, 6);
}

}  // namespace
}  // namespace instar::dmg
