// SPDX-License-Identifier: Apache-2.0
// The three schemes as a format uses them.
#include "plugins/filters/luks/luks.hpp"

#include <gtest/gtest.h>

#include "plugins/filters/luks/bench.hpp"
#include "plugins/filters/luks/legacy_aes.hpp"
#include "plugins/filters/luks/secret_cipher.hpp"

namespace instar::luks {
namespace {

using sdk::EncryptionTable;

class LuksTest : public testing::Test {
 protected:
  std::string create_error(const OptionList& options) {
    MemoryHeader store;
    const auto made = bench_.create(&store, options);
    return made ? "" : made.error().message;
  }
  Bench bench_{EncryptionTable<Luks>::ops(), EncryptionTable<LegacyAes>::ops(),
               EncryptionTable<SecretCipher>::ops()};
};

struct Choice {
  const char *cipher, *mode, *generator, *iv_hash, *hash;
};

class Choices : public LuksTest, public testing::WithParamInterface<Choice> {};

TEST_P(Choices, AreOpenedAgain) {
  const auto& choice = GetParam();
  OptionList options = quick();
  options.text("cipher-alg", choice.cipher)
      .text("cipher-mode", choice.mode)
      .text("ivgen-alg", choice.generator)
      .text("hash-alg", choice.hash);
  if (choice.iv_hash != nullptr) options.text("ivgen-hash-alg", choice.iv_hash);
  MemoryHeader store;
  const auto made = bench_.create(&store, options);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(*bench_.measure(options), made->payload_offset());
  EXPECT_EQ(made->sector_size(), 512u);
  const auto opened = bench_.open(&store, key("s"));
  ASSERT_TRUE(opened) << opened.error().message;
  const auto plain = pattern(8192);
  auto data = plain;
  ASSERT_TRUE(made->encrypt(1 << 20, data));
  EXPECT_NE(data, plain);
  ASSERT_TRUE(opened->decrypt(1 << 20, data));
  EXPECT_EQ(data, plain);
  const auto wrong = bench_.open(&store, key("w"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message, "Invalid password, cannot unlock any keyslot");
}

INSTANTIATE_TEST_SUITE_P(
    All, Choices,
    testing::Values(Choice{"aes-128", "xts", "plain64", nullptr, "sha256"},
                    Choice{"aes-192", "xts", "plain", nullptr, "sha1"},
                    Choice{"aes-192", "cbc", "plain64", nullptr, "sha1"},
                    Choice{"aes-256", "xts", "essiv", nullptr, "sha512"},
                    Choice{"aes-256", "cbc", "essiv", "sha256", "sha384"},
                    Choice{"aes-128", "cbc", "essiv", "md5", "md5"},
                    Choice{"aes-256", "ctr", "plain64", nullptr, "sha224"},
                    Choice{"aes-256", "ecb", "plain64", nullptr, "sha256"},
                    Choice{"cast5-128", "cbc", "plain64", nullptr, "ripemd160"},
                    Choice{"cast5-128", "cbc", "essiv", "md5", "sha256"},
                    Choice{"serpent-128", "xts", "plain64", nullptr, "sm3"},
                    Choice{"serpent-192", "cbc", "plain", nullptr, "sha256"},
                    Choice{"serpent-256", "cbc", "essiv", "sha256", "sha256"},
                    Choice{"twofish-128", "cbc", "plain64", nullptr, "sha256"},
                    Choice{"twofish-256", "xts", "plain64", nullptr, "sha256"}));

TEST_F(LuksTest, CreationErrorsInTheWordsOfQemu) {
  const auto with = [&](const char* name, const char* value) {
    OptionList options = quick();
    options.text(name, value);
    return create_error(options);
  };
  EXPECT_EQ(with("cipher-alg", "des"), "Algorithm 'des' not supported");
  EXPECT_EQ(with("cipher-alg", "foo"), "Parameter 'cipher-alg' does not accept value 'foo'");
  EXPECT_EQ(with("hash-alg", "foo"), "Parameter 'hash-alg' does not accept value 'foo'");
  EXPECT_EQ(with("cipher-alg", "cast5-128"), "Unsupported cipher mode xts");
  OptionList essiv = quick();
  essiv.text("ivgen-alg", "essiv").text("ivgen-hash-alg", "sha1");
  EXPECT_EQ(create_error(essiv), "No AES cipher with key size 20 available");
  essiv.text("cipher-alg", "cast5-128").text("cipher-mode", "cbc");
  EXPECT_EQ(create_error(essiv), "Cipher cast5-128 not supported with essiv");
  EXPECT_EQ(create_error({}), "Parameter 'encrypt.key-secret' is required for cipher");
  EXPECT_EQ(create_error(key("zz")), "No secret with id 'zz'");
  bench_.secrets()["bad"] = "\xff";
  EXPECT_EQ(create_error(key("bad")), "Data from secret bad is not valid UTF-8");
  bench_.secrets()["bad"] = std::string("a\0b", 3);
  EXPECT_EQ(create_error(key("bad")), "Data from secret bad is not valid UTF-8");
}

TEST_F(LuksTest, IterationTimes) {
  const auto with = [&](uint64_t time) {
    OptionList options = key("s");
    options.number("iter-time", time, INSTAR_OPTION_NUMBER);
    return create_error(options);
  };
  EXPECT_EQ(with(0), "");
  EXPECT_NE(with(UINT64_MAX).find(" too large to scale: Numerical result out of range"),
            std::string::npos);
  EXPECT_NE(with(99'999'999'999).find(" larger than 4294967295: Numerical result out of range"),
            std::string::npos);
}

TEST_F(LuksTest, ASlotIsStoredBeforeItIsActive) {
  MemoryHeader store;
  ASSERT_TRUE(bench_.create(&store, quick()));
  EXPECT_EQ(store.log,
            (std::vector<std::string>{"write 4096", "write 0", "flush", "write 0", "flush"}));
  EXPECT_EQ(store.bytes.size(), 2068480u);
}

TEST_F(LuksTest, DescribesWithoutKey) {
  MemoryHeader store;
  OptionList options = quick();
  options.text("cipher-mode", "cbc").text("ivgen-alg", "essiv");
  ASSERT_TRUE(bench_.create(&store, options));
  const auto opened = bench_.open(&store, {}, INSTAR_ENCRYPTION_DESCRIBE);
  ASSERT_TRUE(opened);
  const std::string text = *opened->describe(true);
  EXPECT_EQ(text.find(R"({"ivgen-alg":"essiv","detached-header":false,"hash-alg":"sha256",)"), 0u);
  EXPECT_NE(text.find(R"(","ivgen-hash-alg":"sha256","format":"luks","cipher-mode":"cbc","slots":)"
                      R"([{"active":true,"iters":)"),
            std::string::npos);
  EXPECT_NE(text.find(R"("key-offset":4096,"stripes":4000},{"active":false,"key-offset":135168},)"),
            std::string::npos);
  EXPECT_NE(text.find(R"("payload-offset":1052672,"master-key-iters":)"), std::string::npos);
  EXPECT_EQ(opened->describe(false)->find("format"), std::string::npos);
  std::vector<uint8_t> data(512);
  EXPECT_FALSE(opened->decrypt(0, data));
}

TEST_F(LuksTest, DetachedHeader) {
  MemoryHeader store;
  const auto made = bench_.create(&store, quick(), INSTAR_ENCRYPTION_DETACHED);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->payload_offset(), 0u);
  EXPECT_NE(made->describe(false)->find(R"("detached-header":true)"), std::string::npos);
  EXPECT_TRUE(bench_.open(&store, key("s"), INSTAR_ENCRYPTION_DETACHED));
  EXPECT_FALSE(bench_.open(&store, key("s")));
}

TEST_F(LuksTest, LegacyAes) {
  bench_.secrets()["long"] = "0123456789abcdefXYZ";
  bench_.secrets()["cut"] = "0123456789abcdef";
  const auto a = bench_.open(nullptr, key("long"), 0, "aes");
  const auto b = bench_.open(nullptr, key("cut"), 0, "aes");
  const auto plain = pattern(4096);
  auto data = plain;
  ASSERT_TRUE(a->encrypt(65536, data));
  EXPECT_NE(data, plain);
  ASSERT_TRUE(b->decrypt(65536, data));
  EXPECT_EQ(data, plain);
  EXPECT_EQ(*a->describe(true), R"({"format":"aes"})");
  EXPECT_EQ(bench_.open(nullptr, {}, 0, "aes").error().message,
            "Parameter 'encrypt.key-secret' is required for cipher");
  EXPECT_TRUE(bench_.open(nullptr, {}, INSTAR_ENCRYPTION_DESCRIBE, "aes"));
}

// NIST SP 800-38A, F.2.6.
TEST_F(LuksTest, SecretCipher) {
  static constexpr uint8_t kKey[] = {0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe,
                                     0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
                                     0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7,
                                     0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};
  bench_.secrets()["k"] = std::string(reinterpret_cast<const char*>(kKey), sizeof kKey);
  OptionList options = key("k");
  options.text("iv", "000102030405060708090a0b0c0d0e0f");
  const auto cipher = bench_.open(nullptr, options, 0, "secret");
  ASSERT_TRUE(cipher) << cipher.error().message;
  std::vector<uint8_t> data = {0xf5, 0x8c, 0x4c, 0x04, 0xd6, 0xe5, 0xf1, 0xba,
                               0x77, 0x9e, 0xab, 0xfb, 0x5f, 0x7b, 0xfb, 0xd6};
  const std::vector<uint8_t> expected = {0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
                                         0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a};
  ASSERT_TRUE(cipher->decrypt(0, data));
  EXPECT_EQ(data, expected);
  data.resize(15);
  EXPECT_FALSE(cipher->decrypt(0, data));
  options = key("s");
  options.text("iv", "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(bench_.open(nullptr, options, 0, "secret").error().message,
            "Key should be 32 bytes in length");
  for (const char* iv : {"", "00", "000102030405060708090a0b0c0d0e0g"}) {
    OptionList bad = key("k");
    bad.text("iv", iv);
    EXPECT_FALSE(bench_.open(nullptr, bad, 0, "secret")) << iv;
  }
}

}  // namespace
}  // namespace instar::luks
