// SPDX-License-Identifier: Apache-2.0
// Headers that lie: each gets the genuine qemu-img's error, and none takes long or much.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "plugins/filters/luks/bench.hpp"
#include "plugins/filters/luks/legacy_aes.hpp"
#include "plugins/filters/luks/luks.hpp"
#include "plugins/filters/luks/secret_cipher.hpp"

namespace instar::luks {
namespace {

using sdk::EncryptionTable;

class HeaderTest : public testing::Test {
 protected:
  void SetUp() override {
    OptionList options = quick();
    options.text("cipher-mode", "cbc").text("ivgen-alg", "essiv");
    ASSERT_TRUE(bench_.create(&store_, options));
  }
  /** The error of opening it to describe it and with the key, which must be the same. */
  std::string error_with(const std::function<void(Header&)>& change, uint32_t flags = 0) {
    MemoryHeader changed;
    changed.bytes = store_.bytes;
    Header header;
    std::memcpy(static_cast<void*>(&header), changed.bytes.data(), sizeof header);
    change(header);
    std::memcpy(changed.bytes.data(), &header, sizeof header);
    const auto described = bench_.open(&changed, {}, flags | INSTAR_ENCRYPTION_DESCRIBE);
    const auto opened = bench_.open(&changed, key("s"), flags);
    if (!described) {
      EXPECT_EQ(opened.error().message, described.error().message);
    }
    return opened ? "" : opened.error().message;
  }
  Bench bench_{EncryptionTable<Luks>::ops(), EncryptionTable<LegacyAes>::ops(),
               EncryptionTable<SecretCipher>::ops()};
  MemoryHeader store_;
};

template <size_t N>
void put(char (&to)[N], std::string_view text) {
  std::memset(to, 0, N);
  std::memcpy(to, text.data(), std::min(text.size(), N));
}

TEST_F(HeaderTest, IdentityAndStrings) {
  const std::string long_text(32, 'a');
  EXPECT_EQ(error_with([](Header&) {}), "");
  EXPECT_EQ(error_with([](Header& h) { h.magic[0] = 'X'; }), "Volume is not in LUKS format");
  EXPECT_EQ(error_with([](Header& h) { h.version = 2; }), "LUKS version 2 is not supported");
  EXPECT_EQ(error_with([](Header& h) { h.version = 0; }), "LUKS version 0 is not supported");
  EXPECT_EQ(error_with([&](Header& h) { put(h.cipher_name, long_text); }),
            "LUKS header cipher name is not NUL terminated");
  EXPECT_EQ(error_with([&](Header& h) { put(h.cipher_mode, long_text); }),
            "LUKS header cipher mode is not NUL terminated");
  EXPECT_EQ(error_with([&](Header& h) { put(h.hash_spec, long_text); }),
            "LUKS header hash spec is not NUL terminated");
}

TEST_F(HeaderTest, Algorithms) {
  const auto mode = [&](const char* text) {
    return error_with([=](Header& h) { put(h.cipher_mode, text); });
  };
  EXPECT_EQ(mode("xts"), "Unexpected cipher mode string format 'xts'");
  EXPECT_EQ(mode("foo-essiv:sha256"), "Cipher mode 'foo' not supported");
  EXPECT_EQ(mode("cbc-foo"), "IV generator 'foo' not supported");
  EXPECT_EQ(mode("cbc-essiv:foo"), "Hash algorithm 'foo' not supported");
  EXPECT_EQ(mode("cbc-plain:"), "Hash algorithm '' not supported");
  EXPECT_EQ(mode("cbc-essiv"), "Missing IV generator hash specification");
  EXPECT_EQ(mode("cbc-essiv:sha1"), "No AES cipher with key size 20 available");
  EXPECT_EQ(error_with([](Header& h) { put(h.hash_spec, "foo"); }),
            "Hash algorithm 'foo' not supported");
  EXPECT_EQ(error_with([](Header& h) { put(h.cipher_name, "foo"); }),
            "Algorithm 'foo' with key size 32 bytes not supported");
  for (const uint32_t size : {0, 31})
    EXPECT_EQ(error_with([=](Header& h) { h.key_size = size; }),
              sdk::cat("Algorithm 'aes' with key size ", size, " bytes not supported"));
}

TEST_F(HeaderTest, Areas) {
  for (const uint32_t payload : {0, 7})
    EXPECT_EQ(error_with([=](Header& h) { h.payload_offset = payload; }),
              "LUKS payload is overlapping with the header");
  for (const uint32_t payload : {8, 100})
    EXPECT_EQ(error_with([=](Header& h) { h.payload_offset = payload; }),
              "Keyslot 0 is overlapping with the encrypted payload");
  for (const uint32_t size : {1U << 30, UINT32_MAX})
    EXPECT_EQ(error_with([=](Header& h) { h.key_size = size; }),
              "Keyslot 0 is overlapping with the encrypted payload");
  EXPECT_EQ(error_with([](Header& h) { h.key_size = 64; }),
            "Keyslots 0 and 1 are overlapping in the header");
  EXPECT_EQ(error_with([](Header& h) { h.slots[0].key_offset = 0; }),
            "Keyslot 0 is overlapping with the LUKS header");
  for (const uint32_t at : {100000U, UINT32_MAX})
    EXPECT_EQ(error_with([=](Header& h) { h.slots[0].key_offset = at; }),
              "Keyslot 0 is overlapping with the encrypted payload");
  for (const uint32_t at : {8, 9})
    EXPECT_EQ(error_with([=](Header& h) { h.slots[1].key_offset = at; }),
              "Keyslots 0 and 1 are overlapping in the header");
}

TEST_F(HeaderTest, Slots) {
  EXPECT_EQ(error_with([](Header& h) { h.slots[0].stripes = 0; }),
            "Keyslot 0 is corrupted (stripes 0 != 4000)");
  EXPECT_EQ(error_with([](Header& h) { h.slots[3].stripes = 1U << 31; }),
            "Keyslot 3 is corrupted (stripes -2147483648 != 4000)");
  EXPECT_EQ(error_with([](Header& h) { h.slots[0].active = 7; }),
            "Keyslot 0 state (active/disable) is corrupted");
  EXPECT_EQ(error_with([](Header& h) { h.slots[1].active = kSlotActive; }),
            "Keyslot 1 iteration count is zero");
  EXPECT_EQ(error_with([](Header& h) { h.digest_iterations = 0; }),
            "LUKS key iteration count is zero");
  const char* locked = "Invalid password, cannot unlock any keyslot";
  EXPECT_EQ(error_with([](Header& h) { h.slots[0].active = kSlotInactive; }), locked);
  EXPECT_EQ(error_with([](Header& h) { h.slots[0].salt[0] ^= 1; }), locked);
  EXPECT_EQ(error_with([](Header& h) { h.digest[19] ^= 1; }), locked);
  EXPECT_EQ(error_with([](Header& h) { h.digest_iterations = 1; }), locked);
}

TEST_F(HeaderTest, EndlessDerivationIsRefused) {
  const auto huge = [](Header& h) {
    for (auto& slot : h.slots) {
      slot.active = kSlotActive;
      slot.iterations = UINT32_MAX;
    }
    h.digest_iterations = UINT32_MAX;
  };
  EXPECT_EQ(error_with(huge), "PBKDF iterations 68719476720 must be less than 536870912");
}

TEST_F(HeaderTest, DetachedHeaderHasNoPayload) {
  const auto change = [](Header& h) { h.payload_offset = 0; };
  EXPECT_EQ(error_with(change, INSTAR_ENCRYPTION_DETACHED), "");
  EXPECT_NE(error_with(change), "");
}

TEST_F(HeaderTest, TruncatedMaterial) {
  store_.bytes.resize(5000);
  EXPECT_EQ(error_with([](Header&) {}), "Invalid password, cannot unlock any keyslot");
}

TEST_F(HeaderTest, RandomDamageNeverHurts) {
  std::mt19937 random(1);
  MemoryHeader damaged;
  size_t described = 0;
  for (int round = 0; round < 20000; ++round) {
    damaged.bytes.assign(store_.bytes.begin(), store_.bytes.begin() + sizeof(Header));
    for (uint32_t n = 1 + random() % 4; n > 0; --n)
      damaged.bytes[random() % sizeof(Header)] = static_cast<uint8_t>(random() % 3 * random());
    const auto opened = bench_.open(&damaged, {}, INSTAR_ENCRYPTION_DESCRIBE);
    if (!opened) {
      EXPECT_FALSE(opened.error().message.empty());
      continue;
    }
    ++described;
    EXPECT_TRUE(opened->describe(true));
  }
  // Salts, digest and UUID are most of the header, so that both ways are taken.
  EXPECT_GT(described, 1000u);
  EXPECT_LT(described, 19000u);
}

TEST_F(HeaderTest, NamesOfHostileBytesStayText) {
  Header header{};
  std::memset(header.uuid, 0xff, sizeof header.uuid);
  EXPECT_EQ(header.uuid_text(), std::string(40, '?'));
  header.uuid[1] = '\0';
  EXPECT_EQ(header.uuid_text(), "?");
}

}  // namespace
}  // namespace instar::luks
