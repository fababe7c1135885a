// SPDX-License-Identifier: Apache-2.0
// Images of the genuine qemu-img read here, and the reverse. INSTAR_REFERENCE is a folder with
// bin/qemu-img.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "plugins/filters/luks/bench.hpp"
#include "plugins/filters/luks/legacy_aes.hpp"
#include "plugins/filters/luks/luks.hpp"
#include "plugins/filters/luks/secret_cipher.hpp"

namespace instar::luks {
namespace {

namespace fs = std::filesystem;
using Buffer = std::vector<uint8_t>;
using sdk::EncryptionTable;

constexpr size_t kContent = 192 * 1024;

struct Choice {
  const char* options;  ///< of qemu-img create
};

class Reference : public testing::Test {
 protected:
  void SetUp() override {
    const char* reference = std::getenv("INSTAR_REFERENCE");
    ASSERT_TRUE(reference != nullptr && *reference != '\0')
        << "the genuine qemu-img is missing: set INSTAR_REFERENCE";
    tool_ = std::string(reference) + "/bin/qemu-img";
    folder_ = fs::path(testing::TempDir()) / ("luks-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    save("plain.raw", plain_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void save(const std::string& name, const Buffer& bytes) const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  Buffer load(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return Buffer(std::istreambuf_iterator<char>(in), {});
  }
  /** Both streams of the genuine tool; `SECRETS` stands for the objects. */
  std::string genuine(std::string arguments) const {
    constexpr std::string_view kMark = "SECRETS";
    if (const auto at = arguments.find(kMark); at != arguments.npos)
      arguments.replace(at, kMark.size(),
                        "--object secret,id=s,data=abc --object secret,id=n,data=new");
    std::string out;
    FILE* pipe = ::popen(
        sdk::cat("cd ", folder_.string(), " && ", tool_, " ", arguments, " 2>&1").c_str(), "r");
    char buffer[4096];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
      out.append(buffer, n);
    ::pclose(pipe);
    return out;
  }
  std::string tool_;
  fs::path folder_;
  Buffer plain_ = pattern(kContent);
  Bench bench_{EncryptionTable<Luks>::ops(), EncryptionTable<LegacyAes>::ops(),
               EncryptionTable<SecretCipher>::ops()};
};

class Choices : public Reference, public testing::WithParamInterface<Choice> {
 protected:
  /** The same options for our side. */
  OptionList options() const {
    OptionList out = quick();
    std::string text = GetParam().options;
    while (!text.empty()) {
      const auto comma = std::min(text.find(','), text.size());
      const auto equals = text.find('=');
      out.text(text.substr(0, equals), text.substr(equals + 1, comma - equals - 1));
      text.erase(0, comma + 1);
    }
    return out;
  }
};

/** A text without white space, so that JSON of two writers can be compared. */
std::string dense(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return text;
}

TEST_P(Choices, GenuineImagesAreRead) {
  ASSERT_EQ(genuine(sdk::cat("create -q -f luks SECRETS -o key-secret=s,iter-time=1,",
                             GetParam().options, " g.luks ", kContent)),
            "");
  ASSERT_EQ(genuine("convert -n SECRETS -f raw plain.raw "
                    "--target-image-opts driver=luks,file.filename=g.luks,key-secret=s"),
            "");
  MemoryHeader store;
  store.bytes = load("g.luks");
  const auto opened = bench_.open(&store, key("s"));
  ASSERT_TRUE(opened) << opened.error().message;
  Buffer content(store.bytes.begin() + static_cast<ptrdiff_t>(opened->payload_offset()),
                 store.bytes.end());
  ASSERT_EQ(content.size(), kContent);
  ASSERT_TRUE(opened->decrypt(0, content));
  EXPECT_EQ(content, plain_);
  const std::string info = dense(genuine("info --output=json g.luks"));
  EXPECT_NE(info.find(sdk::cat("\"data\":", *opened->describe(false))), std::string::npos)
      << info << '\n'
      << *opened->describe(false);
}

TEST_P(Choices, OursAreReadByTheGenuineTool) {
  MemoryHeader store;
  const auto made = bench_.create(&store, options());
  ASSERT_TRUE(made) << made.error().message;
  Buffer content = plain_;
  ASSERT_TRUE(made->encrypt(0, content));
  ASSERT_EQ(store.bytes.size(), made->payload_offset());
  store.bytes.insert(store.bytes.end(), content.begin(), content.end());
  save("o.luks", store.bytes);
  ASSERT_EQ(genuine("convert SECRETS -O raw "
                    "--image-opts driver=luks,file.filename=o.luks,key-secret=s back.raw"),
            "");
  EXPECT_EQ(load("back.raw"), plain_);
}

INSTANTIATE_TEST_SUITE_P(
    All, Choices,
    testing::Values(Choice{"cipher-alg=aes-256"}, Choice{"cipher-alg=aes-128,hash-alg=sha1"},
                    Choice{"cipher-alg=aes-192,ivgen-alg=plain,hash-alg=sha512"},
                    Choice{"cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha384"},
                    Choice{"cipher-mode=xts,ivgen-alg=essiv,ivgen-hash-alg=sha256"},
                    Choice{"cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,"
                           "ivgen-hash-alg=md5,hash-alg=md5"},
                    Choice{"cipher-mode=ctr,hash-alg=sha224"}, Choice{"cipher-mode=ecb"},
                    Choice{"ivgen-alg=plain,ivgen-hash-alg=sha1"},
                    Choice{"cipher-alg=cast5-128,cipher-mode=cbc,hash-alg=ripemd160"},
                    Choice{"cipher-alg=cast5-128,cipher-mode=cbc,ivgen-alg=essiv,"
                           "ivgen-hash-alg=md5"},
                    Choice{"cipher-alg=serpent-128,hash-alg=sm3"}, Choice{"cipher-alg=serpent-192"},
                    Choice{"cipher-alg=serpent-256"}, Choice{"cipher-alg=twofish-128"},
                    Choice{"cipher-alg=twofish-256"}));

TEST_F(Reference, SlotsOfBothSides) {
  ASSERT_EQ(genuine("create -q -f luks SECRETS -o key-secret=s,iter-time=1 g.luks 0"), "");
  MemoryHeader store;
  store.bytes = load("g.luks");
  auto opened = bench_.open(&store, key("s"));
  ASSERT_TRUE(opened);
  OptionList add = quick("n");
  add.text("state", "active").text("new-secret", "n");
  ASSERT_TRUE(bench_.amend(*opened, store, add));
  save("g.luks", store.bytes);
  const std::string amend = "amend SECRETS --image-opts driver=luks,file.filename=g.luks,";
  ASSERT_EQ(genuine(amend + "key-secret=n -o state=inactive,old-secret=s"), "");
  store.bytes = load("g.luks");
  EXPECT_FALSE(bench_.open(&store, key("s")));
  EXPECT_TRUE(bench_.open(&store, key("n")));
  ASSERT_EQ(genuine(amend + "key-secret=n -o state=active,new-secret=s,iter-time=1"), "");
  store.bytes = load("g.luks");
  opened = bench_.open(&store, key("s"));
  ASSERT_TRUE(opened);
  OptionList remove;
  remove.text("state", "inactive").text("old-secret", "n");
  ASSERT_TRUE(bench_.amend(*opened, store, remove));
  save("g.luks", store.bytes);
  EXPECT_NE(genuine(amend + "key-secret=n -o state=inactive,keyslot=1")
                .find("Invalid password, cannot unlock any keyslot"),
            std::string::npos);
}

uint64_t number_at(const Buffer& image, uint64_t offset) {
  return sdk::load_be<uint64_t>(image.data() + offset);
}

/** Where the first data cluster of a qcow2 image lies, by its L1 and L2 tables. */
uint64_t first_cluster(const Buffer& image) {
  constexpr uint64_t kOffset = 0x00fffffffffffe00;
  const uint64_t l1 = number_at(image, 40);
  return number_at(image, number_at(image, l1) & kOffset) & kOffset;
}

TEST_F(Reference, LegacyAesOfQcow2) {
  ASSERT_EQ(genuine("convert SECRETS -f raw -O qcow2 -o encrypt.format=aes,encrypt.key-secret=s "
                    "plain.raw a.qcow2"),
            "");
  const Buffer image = load("a.qcow2");
  const auto at = static_cast<ptrdiff_t>(first_cluster(image));
  Buffer cluster(image.begin() + at, image.begin() + at + 65536);
  const auto aes = bench_.open(nullptr, key("s"), 0, "aes");
  ASSERT_TRUE(aes);
  ASSERT_TRUE(aes->decrypt(0, cluster));
  EXPECT_TRUE(std::equal(cluster.begin(), cluster.end(), plain_.begin()));
}

// In qcow2 the initialisation vectors of LUKS count from where the cluster lies in the file.
TEST_F(Reference, LuksInsideQcow2) {
  ASSERT_EQ(genuine("convert SECRETS -f raw -O qcow2 -o "
                    "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1 plain.raw "
                    "l.qcow2"),
            "");
  const Buffer image = load("l.qcow2");
  // The first header extension: full disk encryption header pointer.
  ASSERT_EQ(sdk::load_be<uint32_t>(image.data() + sdk::load_be<uint32_t>(image.data() + 100)),
            0x0537be77U);
  const uint64_t at = number_at(image, sdk::load_be<uint32_t>(image.data() + 100) + 8);
  MemoryHeader store;
  store.bytes.assign(image.begin() + static_cast<ptrdiff_t>(at), image.end());
  const auto opened = bench_.open(&store, key("s"));
  ASSERT_TRUE(opened) << opened.error().message;
  const uint64_t data = first_cluster(image);
  Buffer cluster(image.begin() + static_cast<ptrdiff_t>(data),
                 image.begin() + static_cast<ptrdiff_t>(data) + 65536);
  ASSERT_TRUE(opened->decrypt(data, cluster));
  EXPECT_TRUE(std::equal(cluster.begin(), cluster.end(), plain_.begin()));
}

TEST_F(Reference, MeasuresTheSame) {
  const std::string text =
      genuine("measure SECRETS -O luks --size 0 -o key-secret=s,cipher-alg=aes-128");
  OptionList options = key("s");
  options.text("cipher-alg", "aes-128");
  EXPECT_EQ(text, sdk::cat("required size: ", *bench_.measure(options),
                           "\nfully allocated size: ", *bench_.measure(options), "\n"));
}

}  // namespace
}  // namespace instar::luks
