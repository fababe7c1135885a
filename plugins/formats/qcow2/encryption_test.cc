// SPDX-License-Identifier: Apache-2.0
// Encrypted images, with schemes that are no ciphers (testing_cipher.hpp): which options and headers
// are accepted, where the scheme's header lies, and by which numbers sectors are encrypted.
#include <algorithm>

#include "plugins/formats/qcow2/testing.hpp"

namespace instar::qcow2::testing {
namespace {

constexpr uint64_t kSize = 4u << 20;
constexpr uint64_t kCluster = 65536;

Header header_of(Files& files) {
  const auto file = HostFile::open(sdk::NodeRef(files.file.node()), true);
  auto header = read_header(Call(nullptr), *file);
  EXPECT_TRUE(header) << header.error().message;
  return *std::move(header);
}

struct Encrypted : Files {
  explicit Encrypted(const char* format,
                     std::vector<std::pair<const char*, std::string>> more = {}) {
    OptionList options{
        {"size", std::to_string(kSize)}, {"encrypt.format", format}, {"encrypt.key-secret", "k"}};
    for (const auto& [name, text] : more)
      options.add(name, text);
    EXPECT_EQ(create(*this, options), "");
  }
};

std::string open_error(Files& files, const OptionList& options, uint32_t flags = 0) {
  return TestImage(files, flags, options).error();
}

std::string create_error(const OptionList& options) {
  Files files;
  return create(files, options);
}

TEST(Encryption, CreationOptionsInQemusWords) {
  EXPECT_EQ(create_error({{"encrypt.key-secret", "k"}}), "Parameter 'encrypt.format' is missing");
  EXPECT_EQ(create_error({{"encryption", "off"}, {"encrypt.cipher-alg", "aes-128"}}),
            "Parameter 'encrypt.format' is missing");
  EXPECT_EQ(create_error({{"encryption", "on"}, {"encrypt.format", "aes"}}),
            "'encrypt.format' and its alias 'encryption' can't be used at the same time");
  EXPECT_EQ(create_error({{"encrypt.format", "rot13"}}),
            "Parameter 'format' does not accept value 'rot13'");
  EXPECT_EQ(create_error({{"encrypt.format", "aes"}, {"encrypt.cipher-alg", "aes-128"}}),
            "Parameter 'encrypt.cipher-alg' is unexpected");
  for (const char* format : {"aes", "qcow", "luks"})
    EXPECT_EQ(create_error({{"encrypt.format", format}}),
              "Parameter 'encrypt.key-secret' is required for cipher");
  EXPECT_EQ(create_error({{"encryption", "on"}}),
            "Parameter 'encrypt.key-secret' is required for cipher");
  EXPECT_EQ(create_error({{"encryption", "off"}}), "");
}

TEST(Encryption, OpenOptionsInQemusWords) {
  Files plain;
  ASSERT_EQ(create(plain, {{"size", std::to_string(kSize)}}), "");
  Encrypted aes("aes");
  Encrypted luks("luks");
  EXPECT_EQ(open_error(plain, {{"encrypt.format", "luks"}}),
            "No encryption in image header, but options specified format 'luks'");
  EXPECT_EQ(open_error(plain, {{"encrypt.key-secret", "k"}}), "");
  EXPECT_EQ(open_error(aes, {{"encrypt.format", "luks"}, {"encrypt.key-secret", "k"}}),
            "Header reported 'aes' encryption format but options specify 'luks'");
  EXPECT_EQ(open_error(luks, {{"encrypt.format", "aes"}, {"encrypt.key-secret", "k"}}),
            "Header reported 'luks' encryption format but options specify 'aes'");
  for (Encrypted* files : {&aes, &luks}) {
    EXPECT_EQ(open_error(*files, {}), "Parameter 'encrypt.key-secret' is required for cipher");
    EXPECT_EQ(open_error(*files, {}, INSTAR_OPEN_NO_IO), "");
    EXPECT_EQ(open_error(*files, {{"encrypt.key-secret", "k"}}), "");
  }
  EXPECT_EQ(open_error(luks, {{"encrypt.key-secret", "z"}}), "wrong key");
}

TEST(Encryption, HeaderHasItsOwnClusters) {
  for (const uint32_t cluster : {512u, 65536u}) {
    Encrypted files("luks", {{"cluster_size", std::to_string(cluster)}});
    const Header header = header_of(files);
    ASSERT_TRUE(header.crypto);
    EXPECT_EQ(header.crypto->offset % cluster, 0u);
    EXPECT_EQ(header.crypto->length, 5000u);
    EXPECT_EQ(files.file.bytes[header.crypto->offset], 'k');
    // Nothing that is written later lies in them.
    const std::vector<uint8_t> before(files.file.bytes.begin() + header.crypto->offset,
                                      files.file.bytes.begin() + header.crypto->offset + 5000);
    {
      const TestImage image(files, INSTAR_OPEN_WRITE, {{"encrypt.key-secret", "k"}});
      ASSERT_TRUE(image.open()) << image.error();
      ASSERT_EQ(image.write(0, std::vector<uint8_t>(kSize, 0x77)), 0);
    }
    EXPECT_TRUE(
        std::equal(before.begin(), before.end(), files.file.bytes.begin() + header.crypto->offset));
  }
  Encrypted aes("aes");
  EXPECT_FALSE(header_of(aes).crypto);
}

TEST(Encryption, BrokenHeaderPointers) {
  const auto verdict = [](uint64_t offset, uint64_t length) {
    Encrypted files("luks");
    Header header = header_of(files);
    header.crypto = CryptoExtension{offset, length};
    const auto bytes = serialize_header(header);
    EXPECT_TRUE(bytes);
    std::copy(bytes->begin(), bytes->end(), files.file.bytes.begin());
    return open_error(files, {}, INSTAR_OPEN_NO_IO);
  };
  const uint64_t far = (uint64_t{1} << 63) - kCluster;
  EXPECT_EQ(verdict(512, 5000),
            "Encryption header offset '512' is not a multiple of cluster size '65536'");
  EXPECT_EQ(verdict(3 * kCluster, 511), "Request for data outside of extension header");
  EXPECT_EQ(verdict(3 * kCluster, 0), "Request for data outside of extension header");
  EXPECT_EQ(verdict(3 * kCluster, UINT64_MAX), "");
  EXPECT_EQ(verdict(uint64_t{1} << 40, 5000), "");  // zeroes, to this scheme as good as any
  EXPECT_EQ(verdict(far + kCluster, 5000), "Could not read encryption header: Input/output error");

  Encrypted files("luks");
  Header header = header_of(files);
  header.crypto.reset();
  const auto bytes = serialize_header(header);
  std::copy(bytes->begin(), bytes->end(), files.file.bytes.begin());
  EXPECT_EQ(open_error(files, {}), "Missing CRYPTO header for crypt method 2");
}

/** How guest cluster 1 is stored, as the file's last cluster. */
std::vector<uint8_t> stored(const char* format, bool behind_cluster_0) {
  Encrypted files(format);
  const TestImage image(files, INSTAR_OPEN_WRITE, {{"encrypt.key-secret", "k"}});
  const std::vector<uint8_t> content(kCluster, 0x77);
  if (behind_cluster_0) {
    EXPECT_EQ(image.write(0, content), 0);
  }
  EXPECT_EQ(image.write(kCluster, content), 0);
  EXPECT_EQ(image.flush(), 0);
  const auto& bytes = files.file.bytes;
  EXPECT_NE(bytes.back(), 0x77);
  return {bytes.end() - kCluster, bytes.end()};
}

TEST(Encryption, SectorsAreNumberedByTheGuestOrByTheFile) {
  EXPECT_TRUE(stored("aes", false) == stored("aes", true));
  EXPECT_FALSE(stored("luks", false) == stored("luks", true));
}

TEST(Encryption, ScatteredReads) {
  Encrypted files("luks");
  const TestImage image(files, INSTAR_OPEN_WRITE, {{"encrypt.key-secret", "k"}});
  std::vector<uint8_t> bytes(700000 / 512 * 512);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(i * 7 / 5);
  ASSERT_EQ(image.write(512, bytes), 0);
  std::vector<uint8_t> read(bytes.size());
  const size_t cuts[] = {0, 1, 511, 512, 1024, 66000, 66048, 400001, bytes.size()};
  std::vector<instar_iovec> pieces;
  for (size_t i = 0; i + 1 < std::size(cuts); ++i)
    pieces.push_back({read.data() + cuts[i], cuts[i + 1] - cuts[i]});
  ASSERT_TRUE(image.node().read(Call(nullptr), 512, IoVec(pieces.data(), pieces.size())));
  EXPECT_TRUE(read == bytes);
}

TEST(Encryption, PreallocatedClustersAreNoZeroes) {
  Encrypted files("luks", {{"preallocation", "metadata"}});
  const TestImage image(files, 0, {{"encrypt.key-secret", "k"}});
  EXPECT_EQ(image.node().limits()->flags & INSTAR_NODE_ZERO_INIT, 0u);
  Encrypted sparse("luks");
  const TestImage other(sparse, 0, {{"encrypt.key-secret", "k"}});
  EXPECT_NE(other.node().limits()->flags & INSTAR_NODE_ZERO_INIT, 0u);
}

TEST(Encryption, NobodyElseMovesTheData) {
  Encrypted files("luks");
  const TestImage image(files, INSTAR_OPEN_WRITE, {{"encrypt.key-secret", "k"}});
  ASSERT_EQ(image.write(0, std::vector<uint8_t>(kCluster, 0x77)), 0);
  void* self = nullptr;
  EXPECT_EQ(image.node().interface<instar_map_ops>(INSTAR_MAP_ID, &self), nullptr);
  instar_extent extent{};
  ASSERT_TRUE(image.node().extents(Call(nullptr), 0, kCluster, &extent, 1));
  EXPECT_EQ(extent.flags,
            uint32_t{INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ENCRYPTED});
}

}  // namespace
}  // namespace instar::qcow2::testing
