// SPDX-License-Identifier: Apache-2.0
// Images that are broken on purpose: QEMU's words for known defects, and for random ones an error or
// some content, never a crash, a hang or much memory.
#include <cstddef>
#include <cstdlib>

#include "plugins/formats/qcow2/testing.hpp"

namespace instar::qcow2::testing {
namespace {

constexpr uint64_t kSize = 10u << 20;

std::vector<uint8_t> be32(uint32_t value) {
  std::vector<uint8_t> bytes(4);
  store_be(bytes.data(), value);
  return bytes;
}
std::vector<uint8_t> be64(uint64_t value) {
  std::vector<uint8_t> bytes(8);
  store_be(bytes.data(), value);
  return bytes;
}

struct Patch {
  uint64_t offset;
  std::vector<uint8_t> bytes;
};

std::vector<uint8_t> image(const OptionList& options) {
  Files files;
  EXPECT_EQ(create(files, options), "");
  return files.file.bytes;
}

/** The message that opening a patched image gives, or "". */
std::string verdict(const std::vector<Patch>& patches, uint32_t flags = 0) {
  Files files;
  files.file.bytes = image({{"size", std::to_string(kSize)}});
  for (const auto& patch : patches)
    std::copy(patch.bytes.begin(), patch.bytes.end(),
              files.file.bytes.begin() + static_cast<int64_t>(patch.offset));
  const TestImage opened(files, flags);
  return opened.error();
}

TEST(Header, DefectsAreNamedInQemusWords) {
  EXPECT_EQ(verdict({{0, be32(1)}}), "Image is not in qcow2 format");
  EXPECT_EQ(verdict({{4, be32(99)}}), "Unsupported qcow2 version 99");
  EXPECT_EQ(verdict({{20, be32(8)}}), "Unsupported cluster size: 2^8");
  EXPECT_EQ(verdict({{20, be32(22)}}), "Unsupported cluster size: 2^22");
  EXPECT_EQ(verdict({{100, be32(72)}}), "qcow2 header too short");
  EXPECT_EQ(verdict({{100, be32(70000)}}), "qcow2 header exceeds cluster size");
  EXPECT_EQ(verdict({{104, {1}}}), "qcow2: Compression type incompatible feature bit must be set");
  EXPECT_EQ(verdict({{72, be64(8)}}),
            "qcow2: Compression type incompatible feature bit must not be set");
  EXPECT_EQ(verdict({{72, be64(8)}, {104, {2}}}), "qcow2: unknown compression type: 2");
  EXPECT_EQ(verdict({{96, be32(7)}}),
            "Reference count entry width too large; may not exceed 64 bits");
  EXPECT_EQ(verdict({{32, be32(3)}}), "Unsupported encryption method 3");
  EXPECT_EQ(verdict({{72, be64(1u << 5 | 2)}}),
            "Unsupported qcow2 feature(s): Unknown incompatible feature: 20");
  EXPECT_EQ(verdict({{72, be64(16)}, {20, be32(12)}}), "Unsupported subcluster size: 128");
}

TEST(Header, UnknownFeaturesHaveTheNamesThatTheImageGivesThem) {
  // A table of names, in place of the one that is there, whose last name is cut short.
  const auto table = [](std::string_view bytes) {
    std::vector<uint8_t> extension = be32(0x6803f857);
    for (const uint8_t byte : be32(static_cast<uint32_t>(bytes.size())))
      extension.push_back(byte);
    extension.insert(extension.end(), bytes.begin(), bytes.end());
    extension.resize(sdk::round_up(extension.size(), 8) + 8);  // and the end
    return verdict({{72, be64(uint64_t{3} << 62)}, {112, extension}});
  };
  const std::string_view words = "Unsupported qcow2 feature(s): ";
  EXPECT_EQ(table(std::string("\0\x3eodd", 5)),
            sdk::cat(words, "odd, Unknown incompatible feature: 8000000000000000"));
  std::string two("\0\x3eodd", 5);
  two.resize(48);
  two += std::string("\0\x3f", 2) + "even";
  EXPECT_EQ(table(two), sdk::cat(words, "odd, even"));
  std::string ended(48, '\0');  // no name ends the table
  ended += two;
  EXPECT_EQ(table(ended), sdk::cat(words, "Unknown incompatible feature: c000000000000000"));
}

TEST(Header, TablesAreChecked) {
  EXPECT_EQ(verdict({{36, be32(0)}}), "L1 table is too small");
  EXPECT_EQ(verdict({{36, be32((32u << 20) / 8 + 1)}}), "Active L1 table too large");
  EXPECT_EQ(verdict({{40, be64(0x30200)}}), "Active L1 table offset invalid");
  EXPECT_EQ(verdict({{40, be64(uint64_t{1} << 63)}}), "Active L1 table offset invalid");
  EXPECT_EQ(verdict({{56, be32(0)}}), "Image does not contain a reference count table");
  EXPECT_EQ(verdict({{56, be32(129)}}), "Reference count table too large");
  EXPECT_EQ(verdict({{48, be64(0x10200)}}), "Reference count table offset invalid");
  EXPECT_EQ(verdict({{60, be32(65537)}, {64, be64(0x10000)}}), "Snapshot table too large");
  EXPECT_EQ(verdict({{60, be32(1)}, {64, be64(0x10001)}}), "Snapshot table offset invalid");
  EXPECT_EQ(verdict({{24, be64(INT64_MAX)}}), "Image is too big");
  EXPECT_EQ(verdict({{24, be64(uint64_t{1} << 40)}}), "L1 table is too small");
}

TEST(Header, NamesAndExtensionsAreChecked) {
  EXPECT_EQ(verdict({{8, be64(0x100000)}, {16, be32(10)}}), "Invalid backing file offset");
  EXPECT_EQ(verdict({{8, be64(0x200)}, {16, be32(1024)}}), "Backing file name too long");
  EXPECT_EQ(verdict({{8, be64(0xfff8)}, {16, be32(100)}}), "Backing file name too long");
  EXPECT_EQ(verdict({{112, be32(0x12345678)}, {116, be32(0xfffffff0)}}),
            "Header extension too large");
  EXPECT_EQ(verdict({{112, be32(kExtensionBitmaps)}, {116, be32(20)}}),
            "bitmaps_ext: Invalid extension length");
  EXPECT_EQ(verdict({{112, be32(kExtensionCrypto)}, {116, be32(16)}}),
            "CRYPTO header extension only expected with LUKS encryption method");
}

TEST(Header, StatesThatForbidWriting) {
  EXPECT_EQ(verdict({{72, be64(2)}}), "");
  EXPECT_EQ(verdict({{72, be64(2)}}, INSTAR_OPEN_WRITE),
            "qcow2: Image is corrupt; cannot be opened read/write");
  EXPECT_EQ(verdict({{72, be64(1)}}), "");
  EXPECT_EQ(verdict({{72, be64(1)}}, INSTAR_OPEN_WRITE), "");  // repaired
  EXPECT_EQ(verdict({{32, be32(1)}}), "Parameter 'encrypt.key-secret' is required for cipher");
  EXPECT_EQ(verdict({{32, be32(1)}}, INSTAR_OPEN_NO_IO), "");
  EXPECT_EQ(verdict({{72, be64(4)}}), "'data-file' is required for this image");
  EXPECT_EQ(verdict({{72, be64(4)}}, INSTAR_OPEN_NO_IO), "");
}

TEST(Header, ShortFilesAreNoImages) {
  const auto whole = image({{"size", std::to_string(kSize)}});
  for (const size_t length : {0, 3, 4, 71, 72, 103}) {
    Files files;
    files.file.bytes.assign(whole.begin(), whole.begin() + static_cast<int64_t>(length));
    EXPECT_FALSE(TestImage(files, 0).open()) << length;
  }
}

TEST(Header, UnknownPartsSurviveRewriting) {
  Header header;
  header.size = 1u << 20;
  header.l1_entries = 1;
  header.refcount_table_clusters = 1;
  header.unknown_fields = {1, 2, 3, 4, 5, 6, 7, 8};
  header.unknown_extensions.push_back({0x12345678, {9, 8, 7}});
  header.backing_file = "base";
  const auto bytes = serialize_header(header);
  ASSERT_TRUE(bytes);
  MemoryFile memory(*bytes);
  const auto file = HostFile::open(sdk::NodeRef(memory.node()), true);
  const auto read = read_header(Call(nullptr), *file);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->unknown_fields, header.unknown_fields);
  ASSERT_EQ(read->unknown_extensions.size(), 1u);
  EXPECT_EQ(read->unknown_extensions[0].data, header.unknown_extensions[0].data);
  EXPECT_EQ(read->backing_file, "base");
}

/** An image with a cluster of data whose refcount block counts nothing, not even the header. */
std::vector<uint8_t> uncounted_image(const std::vector<uint8_t>& data) {
  Files files;
  EXPECT_EQ(create(files, {{"size", std::to_string(kSize)}}), "");
  {
    const TestImage opened(files, INSTAR_OPEN_WRITE);
    EXPECT_EQ(opened.write(0, data), 0);
  }
  auto& bytes = files.file.bytes;
  const auto table = load_be<uint64_t>(&bytes[offsetof(HeaderV2, refcount_table_offset)]);
  const auto block = load_be<uint64_t>(&bytes[table]);
  std::fill_n(bytes.begin() + static_cast<int64_t>(block), 65536, uint8_t{0});
  return bytes;
}

TEST(Resize, CountsOfNothingCutNothing) {
  const std::vector<uint8_t> data(65536, 0x41);
  for (const uint64_t size : {kSize, kSize * 2, kSize / 2}) {
    Files files;
    files.file.bytes = uncounted_image(data);
    const size_t length = files.file.bytes.size();
    {
      const TestImage opened(files, INSTAR_OPEN_WRITE);
      const auto resized = opened.node().resize(Call(nullptr), size);
      EXPECT_EQ(static_cast<bool>(resized), size >= kSize);
      if (!resized) {
        EXPECT_EQ(resized.error().code, EIO);
      }
    }
    EXPECT_EQ(files.file.bytes.size(), length) << size;
    const TestImage opened(files, 0);
    ASSERT_TRUE(opened.open()) << opened.error();
    std::vector<uint8_t> read(data.size());
    EXPECT_EQ(opened.read(0, &read), 0);
    EXPECT_EQ(read, data) << size;
  }
}

TEST(Resize, ATableIsNotPlacedOnABlockBeyondTheEnd) {
  Files files;
  files.file.bytes = image({{"size", std::to_string(kSize)}});
  auto& bytes = files.file.bytes;
  const auto table = load_be<uint64_t>(&bytes[offsetof(HeaderV2, refcount_table_offset)]);
  bytes.resize(load_be<uint64_t>(&bytes[table]));
  const auto header = std::vector<uint8_t>(bytes.begin(), bytes.begin() + 72);
  {
    const TestImage opened(files, INSTAR_OPEN_WRITE);
    const auto resized = opened.node().resize(Call(nullptr), uint64_t{1} << 30);
    ASSERT_FALSE(resized);
    EXPECT_EQ(resized.error().message, "Failed to grow the L1 table: Input/output error");
  }
  EXPECT_EQ(header, std::vector<uint8_t>(bytes.begin(), bytes.begin() + 72));
}

/** Uses an image in every way; results do not matter. */
void exercise(Files& files, std::mt19937_64& random) {
  const uint32_t flags = random() % 2 == 0 ? uint32_t{INSTAR_OPEN_WRITE} : 0u;
  const TestImage opened(files, flags);
  if (!opened.open()) return;
  const auto size = opened.node().size();
  (void)opened.info();
  std::vector<instar_extent> extents(64);
  (void)opened.node().extents(Call(nullptr), 0, *size, extents.data(), extents.size());
  std::vector<uint8_t> buffer(std::min<uint64_t>(*size, 300000));
  if (buffer.empty()) return;
  for (int i = 0; i < 6; ++i) {
    const uint64_t at = random() % (*size - buffer.size() + 1);
    (void)opened.read(at, &buffer);
    if (flags == 0) continue;
    if (i % 3 == 0) (void)opened.write(at, buffer);
    if (i % 3 == 1) (void)opened.write_zeroes(at, buffer.size(), INSTAR_WRITE_MAY_UNMAP);
    if (i % 3 == 2) (void)opened.discard(at, buffer.size());
  }
}

/** An image with some of everything in it. */
std::vector<uint8_t> rich_image(const OptionList& options) {
  Files files;
  EXPECT_EQ(create(files, options), "");
  const TestImage opened(files, INSTAR_OPEN_WRITE);
  std::vector<uint8_t> bytes(200000, 0x55);
  EXPECT_EQ(opened.write(70000, bytes), 0);
  EXPECT_EQ(
      opened.write_packed(1u << 20, std::vector<uint8_t>(opened.node().limits()->cluster_size)), 0);
  EXPECT_EQ(opened.write_zeroes(2u << 20, 1u << 20, 0), 0);
  EXPECT_EQ(opened.flush(), 0);
  return files.file.bytes;
}

TEST(Fuzz, RandomDamageIsHarmless) {
  const std::vector<std::vector<uint8_t>> seeds = {
      rich_image({{"size", "4194304"}, {"cluster_size", "4096"}}),
      rich_image({{"size", "4194304"}, {"compat", "0.10"}, {"cluster_size", "512"}}),
      rich_image({{"size", "4194304"}, {"extended_l2", "on"}, {"cluster_size", "16384"}}),
      rich_image({{"size", "4194304"}, {"refcount_bits", "1"}, {"cluster_size", "65536"}})};
  const char* longer = std::getenv("INSTAR_FUZZ_ROUNDS");
  const int rounds = longer != nullptr ? std::atoi(longer) : 3000;
  std::mt19937_64 random(1);
  for (int round = 0; round < rounds; ++round) {
    Files files;
    files.file.bytes = seeds[round % seeds.size()];
    auto& bytes = files.file.bytes;
    if (random() % 8 == 0) bytes.resize(random() % bytes.size());
    for (uint64_t n = 1 + random() % 8; n > 0 && bytes.size() > 8; --n) {
      // Mostly headers and tables, which fill the first clusters and begin clusters.
      const uint64_t where = random() % 3;
      const uint64_t at =
          (where == 0   ? random() % 120
           : where == 1 ? random() % bytes.size()
                        : random() % (bytes.size() / 512 + 1) * 512 + random() % 32) %
          (bytes.size() - 7);
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<uint8_t>(random());
          break;
        case 1:
          store_be(&bytes[at / 8 * 8], random());
          break;
        case 2:
          store_be(&bytes[at / 8 * 8], random() % (bytes.size() + 65536) | (random() % 4) << 62);
          break;
        default:
          store_be(&bytes[at / 4 * 4], static_cast<uint32_t>(random() % 300));
      }
    }
    exercise(files, random);
  }
}

}  // namespace
}  // namespace instar::qcow2::testing
