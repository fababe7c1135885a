// SPDX-License-Identifier: Apache-2.0
// Version 2: both copies of the header, its metadata, passwords that come and go, and headers that lie.
#include "plugins/filters/luks/luks2.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "plugins/filters/luks/bench.hpp"
#include "plugins/filters/luks/legacy_aes.hpp"
#include "plugins/filters/luks/luks.hpp"
#include "plugins/filters/luks/secret_cipher.hpp"

namespace instar::luks {
namespace {

using sdk::EncryptionTable;

constexpr const char* kLocked = "Invalid password, cannot unlock any keyslot";

OptionList quick2(const char* kdf = "argon2id") {
  return quick().text("pbkdf", kdf).number("pbkdf-memory", 64 << 10);
}

class Luks2Test : public testing::Test {
 protected:
  Luks2Test() { bench_.add("luks2", EncryptionTable<Luks2>::ops()); }

  auto create(MemoryHeader& store, const OptionList& options, uint32_t flags = 0) {
    return bench_.create(&store, options, flags, "luks2");
  }
  auto open(MemoryHeader& store, const char* secret = "s", uint32_t flags = 0) {
    return bench_.open(&store, key(secret), flags, "luks2");
  }
  std::string open_error(MemoryHeader& store, const char* secret = "s", uint32_t flags = 0) {
    const auto opened = open(store, secret, flags);
    return opened ? "" : opened.error().message;
  }
  std::string amend(MemoryHeader& store, const char* secret, OptionList options,
                    bool force = false) {
    auto opened = open(store, secret);
    if (!opened) return opened.error().message;
    const auto done = bench_.amend(*opened, store, options, force);
    return done ? "" : done.error().message;
  }
  /** Changes the metadata of a volume, with checksums that are right. */
  static void edit(MemoryHeader& store, const std::function<void(std::string&)>& change) {
    const auto abi = store.abi();
    const sdk::HeaderIo io(&abi, sdk::Call(nullptr));
    auto header = Luks2Header::read(io);
    ASSERT_TRUE(header);
    change(header->json);
    ASSERT_TRUE(header->write(io));
  }
  static std::string json_of(MemoryHeader& store) {
    std::string text;
    edit(store, [&](std::string& json) { text = json; });
    return text;
  }
  static std::function<void(std::string&)> replace(const std::string& old,
                                                   const std::string& fresh) {
    return [=](std::string& json) {
      const auto at = json.find(old);
      ASSERT_NE(at, json.npos) << old << " in " << json;
      json.replace(at, old.size(), fresh);
    };
  }
  std::string error_with(const std::string& old, const std::string& fresh, uint32_t flags = 0) {
    MemoryHeader store;
    EXPECT_TRUE(create(store, quick2("pbkdf2").text("hash-alg", "sha1")));
    edit(store, replace(old, fresh));
    return open_error(store, "s", flags);
  }

  Bench bench_{EncryptionTable<Luks>::ops(), EncryptionTable<LegacyAes>::ops(),
               EncryptionTable<SecretCipher>::ops()};
};

TEST_F(Luks2Test, AreOpenedAgain) {
  for (const char* kdf : {"argon2id", "argon2i", "pbkdf2"}) {
    for (const uint32_t sector : {512u, 4096u}) {
      MemoryHeader store;
      const auto made = create(store, quick2(kdf).number("sector-size", sector));
      ASSERT_TRUE(made) << made.error().message;
      EXPECT_EQ(made->sector_size(), sector);
      EXPECT_EQ(made->payload_offset(), 16u << 20);
      EXPECT_EQ(*bench_.measure(quick2(kdf), "luks2"), 16u << 20);
      const auto opened = open(store);
      ASSERT_TRUE(opened) << opened.error().message;
      const auto plain = pattern(16384);
      auto data = plain, once = plain;
      ASSERT_TRUE(made->encrypt(1 << 20, data));
      EXPECT_NE(data, plain);
      for (size_t at = 0; at < once.size(); at += sector)
        ASSERT_TRUE(made->encrypt((1 << 20) + at, sdk::Bytes(once.data() + at, sector)));
      EXPECT_EQ(once, data);
      ASSERT_TRUE(opened->decrypt(1 << 20, data));
      EXPECT_EQ(data, plain);
      EXPECT_EQ(open_error(store, "w"), kLocked);
    }
  }
}

TEST_F(Luks2Test, CreationErrors) {
  const auto error = [&](OptionList options) {
    MemoryHeader store;
    const auto made = create(store, options);
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(error(quick().text("pbkdf", "scrypt")),
            "Parameter 'pbkdf' does not accept value 'scrypt'");
  EXPECT_EQ(error(quick().number("pbkdf-memory", 1)), "pbkdf-memory must be between 32k and 1024M");
  EXPECT_EQ(error(quick().number("pbkdf-memory", uint64_t{4} << 30)),
            "pbkdf-memory must be between 32k and 1024M");
  for (const uint64_t size : {0, 256, 1536, 8192})
    EXPECT_EQ(error(quick().number("sector-size", size)),
              "sector-size must be 512, 1024, 2048 or 4096");
  EXPECT_EQ(error({}), "Parameter 'encrypt.key-secret' is required for cipher");
}

TEST_F(Luks2Test, MaterialIsStoredBeforeTheHeadersThatPointToIt) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2()));
  EXPECT_EQ(store.log, (std::vector<std::string>{"write 32768", "flush", "write 0", "flush",
                                                 "write 16384", "flush"}));
  EXPECT_EQ(json_of(store).find(R"({"keyslots":{"0":{"type":"luks2","key_size":64,"af":)"), 0u);
}

TEST_F(Luks2Test, DescribesWithoutKey) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2()));
  const auto opened = open(store, "s", INSTAR_ENCRYPTION_DESCRIBE);
  const std::string text = *opened->describe(false);
  EXPECT_EQ(text.find(R"({"version":2,"ivgen-alg":"plain64","detached-header":false,)"), 0u);
  EXPECT_NE(text.find(R"("slots":[{"keyslot":0,"active":true,"pbkdf":"argon2id","iters":)"),
            text.npos);
  std::vector<uint8_t> data(512);
  EXPECT_FALSE(opened->decrypt(0, data));
}

TEST_F(Luks2Test, EitherHeaderWillDo) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2()));
  for (const size_t at : {0, 450, 5000}) {
    for (const bool second : {false, true}) {
      MemoryHeader damaged;
      damaged.bytes = store.bytes;
      damaged.bytes[at + (second ? 16384 : 0)] ^= 0x55;
      EXPECT_EQ(open_error(damaged), "") << at;
      // A change makes both whole.
      EXPECT_EQ(amend(damaged, "s", quick("s").text("state", "active").text("new-secret", "n")),
                "");
      for (const size_t other : {0, 16384}) {
        MemoryHeader one;
        one.bytes = damaged.bytes;
        one.bytes[other + 4096] ^= 1;
        EXPECT_EQ(open_error(one, "n"), "") << at << ' ' << other;
      }
      damaged.bytes[4096] ^= 1;
      damaged.bytes[16384 + 4096] ^= 1;
      EXPECT_EQ(open_error(damaged), "LUKS header checksum at 0 does not match");
    }
  }
}

TEST_F(Luks2Test, TheNewerHeaderWins) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2()));
  const auto old = store.bytes;
  ASSERT_EQ(amend(store, "s", quick().text("state", "active").text("new-secret", "n")), "");
  ASSERT_EQ(amend(store, "n", OptionList().text("state", "inactive").text("old-secret", "s")), "");
  std::copy_n(old.begin(), 16384, store.bytes.begin());
  EXPECT_EQ(open_error(store, "n"), "");
}

TEST_F(Luks2Test, WhatIsUnknownStays) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2()));
  edit(store, replace(R"("tokens":{})",
                      R"("tokens":{"0":{"type":"x","keyslots":["0","1"],"y":[{"z":null}]}})"));
  edit(store, replace(R"("config":{)", R"("config":{"flags":["allow-discards"],)"));
  ASSERT_EQ(amend(store, "s", quick().text("state", "active").text("new-secret", "n")), "");
  ASSERT_EQ(amend(store, "n", OptionList().text("state", "inactive").text("old-secret", "s")), "");
  const std::string json = json_of(store);
  EXPECT_NE(json.find(R"("tokens":{"0":{"type":"x","keyslots":["1"],"y":[{"z":null}]}})"),
            json.npos);
  EXPECT_NE(json.find(R"("flags":["allow-discards"])"), json.npos);
  EXPECT_NE(json.find(R"("digests":{"0":{"type":"pbkdf2","keyslots":["1"],)"), json.npos);
  EXPECT_EQ(json.find(R"("keyslots":{"0")"), json.npos);
}

TEST_F(Luks2Test, SlotsComeAndGo) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2("pbkdf2")));
  OptionList add = quick();
  add.text("state", "active").text("new-secret", "n").number("keyslot", 31, INSTAR_OPTION_NUMBER);
  EXPECT_EQ(amend(store, "s", add), "");
  EXPECT_EQ(amend(store, "s", add),
            "Refusing to overwrite active keyslot 31 - please erase it first");
  EXPECT_EQ(amend(store, "s", add, true), "");
  EXPECT_EQ(open_error(store, "n"), "");
  OptionList wrong = quick();
  wrong.text("state", "active").text("new-secret", "n").number("keyslot", 32, INSTAR_OPTION_NUMBER);
  EXPECT_EQ(amend(store, "s", wrong), "Invalid keyslot 32 specified, must be between 0 and 31");
  const auto remove = OptionList().text("state", "inactive").text("old-secret", "s");
  const std::vector<uint8_t> before(store.bytes.begin() + 32768, store.bytes.begin() + 288768);
  EXPECT_EQ(amend(store, "n", remove), "");
  EXPECT_FALSE(std::equal(before.begin(), before.end(), store.bytes.begin() + 32768));
  EXPECT_EQ(open_error(store), kLocked);
  EXPECT_EQ(amend(store, "n", OptionList().text("state", "inactive").text("old-secret", "n")),
            "All the active keyslots match the (old) password that was given and erasing them will "
            "erase all the data in the image irreversibly - refusing operation");
}

TEST_F(Luks2Test, DetachedHeader) {
  MemoryHeader store;
  const auto made = create(store, quick2(), INSTAR_ENCRYPTION_DETACHED);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->payload_offset(), 0u);
  EXPECT_EQ(open_error(store, "s", INSTAR_ENCRYPTION_DETACHED), "");
  EXPECT_EQ(open_error(store), "LUKS payload is overlapping with the header");
}

TEST_F(Luks2Test, WhatWeDoNotKnowIsRefused) {
  EXPECT_EQ(error_with(R"("type":"crypt")", R"("type":"linear")"),
            "LUKS segment type 'linear' is not supported");
  EXPECT_EQ(error_with(R"("iv_tweak")", R"("integrity":{},"iv_tweak")"),
            "LUKS volumes with integrity protection are not supported");
  EXPECT_EQ(error_with(R"("size":"dynamic")", R"("size":"4096")"),
            "LUKS segments of a fixed size are not supported");
  EXPECT_EQ(error_with(R"("segments":{)", R"("segments":{"1":{},)"),
            "LUKS volumes of several segments are not supported");
  EXPECT_EQ(error_with(R"("config":{)", R"("config":{"requirements":{"mandatory":["online"]},)"),
            "LUKS requirement 'online' is not supported");
  EXPECT_EQ(error_with("aes-xts-plain64\",\"sector", "aes-lrw-benbi\",\"sector"),
            "Cipher mode 'lrw' not supported");
  EXPECT_EQ(error_with("\"hash\":\"sha1\",\"iterations\"", "\"hash\":\"x\",\"iterations\""),
            kLocked);
  EXPECT_EQ(error_with(R"("type":"luks2")", R"("type":"reencrypt")"), kLocked);
}

TEST_F(Luks2Test, LiesAreRefused) {
  const std::string wrong = " is missing or wrong";
  EXPECT_EQ(error_with(R"("sector_size":512)", R"("sector_size":8192)"),
            "LUKS metadata: \"sector_size\"" + wrong);
  EXPECT_EQ(error_with(R"("offset":"16777216")", R"("offset":"18446744073709551104")"),
            "LUKS metadata: \"offset\"" + wrong);
  EXPECT_EQ(error_with(R"("offset":"16777216")", R"("offset":"16776704")"),
            "LUKS payload is overlapping with the header");
  for (const char* offset : {"0", "32767", "16777215", "18446744073709551615"})
    EXPECT_EQ(error_with(R"("offset":"32768")", sdk::cat(R"("offset":")", offset, '"')),
              "LUKS metadata: the area of a key slot" + wrong);
  EXPECT_EQ(error_with(R"("keyslots_size":"16744448")", R"("keyslots_size":"99999999999")"),
            "LUKS metadata: \"keyslots_size\"" + wrong);
  EXPECT_EQ(error_with(R"("keyslots":{"0")", R"("keyslots":{"32")"),
            "LUKS metadata: the number of a key slot" + wrong);
  EXPECT_EQ(error_with(R"("size":"258048")", R"("size":"4096")"), kLocked);
  EXPECT_EQ(error_with(R"("stripes":4000)", R"("stripes":4294967295)"), kLocked);
  EXPECT_EQ(error_with(R"({"keyslots")", std::string(10000, '[') + R"({"keyslots")"),
            "LUKS volumes of several segments are not supported");
}

TEST_F(Luks2Test, CostlyPasswordsAreRefused) {
  const auto with = [&](const char* memory, const char* time, const char* lanes) {
    MemoryHeader store;
    EXPECT_TRUE(create(store, quick2("pbkdf2")));
    edit(store, [&](std::string& json) {
      const auto at = json.find(R"("kdf":{"type":"pbkdf2")");
      const auto end = json.find("\"salt\"", at);
      json.replace(at, end - at,
                   sdk::cat(R"("kdf":{"type":"argon2id","time":)", time, ",\"memory\":", memory,
                            ",\"cpus\":", lanes, ','));
    });
    return open_error(store);
  };
  EXPECT_EQ(with("64", "1", "4"), kLocked);
  EXPECT_EQ(with("4194304", "1", "4"),
            "Argon2 memory of 4194304 KiB must be between 32 and 1048576");
  EXPECT_EQ(with("16", "1", "4"), "Argon2 memory of 16 KiB must be between 32 and 1048576");
  EXPECT_EQ(with("64", "0", "4"), "PBKDF iteration count is zero");
  EXPECT_EQ(with("64", "1", "0"), "Argon2 lanes 0 must be between 1 and 64");
  EXPECT_EQ(with("64", "1", "100000"), "Argon2 lanes 100000 must be between 1 and 64");
  EXPECT_EQ(with("1048576", "100000", "4"),
            "The LUKS header wants more work for its passwords than is sane");
}

TEST_F(Luks2Test, RandomDamageNeverHurts) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2("pbkdf2")));
  std::mt19937 random(1);
  size_t described = 0;
  constexpr int kRounds = sdk::testing::kSanitized ? 200 : 2000;
  for (int round = 0; round < kRounds; ++round) {
    MemoryHeader damaged;
    damaged.bytes.assign(store.bytes.begin(), store.bytes.begin() + 32768);
    edit(damaged, [&](std::string& json) {
      for (uint32_t n = 1 + random() % 4; n > 0; --n)
        json[random() % json.size()] = "{}[]\",:0189-ae"[random() % 14];
    });
    const auto opened = open(damaged, "s", INSTAR_ENCRYPTION_DESCRIBE);
    if (opened)
      ++described;
    else
      EXPECT_FALSE(opened.error().message.empty());
  }
  EXPECT_GT(described, kRounds / 20u);
  EXPECT_LT(described, kRounds * 19u / 20);
}

// Wherever the power goes off, one of the passwords opens the volume.
TEST_F(Luks2Test, PowerCuts) {
  MemoryHeader store;
  ASSERT_TRUE(create(store, quick2("pbkdf2")));
  OptionList overwrite = quick();
  overwrite.text("state", "active")
      .text("new-secret", "n")
      .number("keyslot", 0, INSTAR_OPTION_NUMBER);
  sdk::testing::Journal journal;
  const sdk::testing::PowerCut::Files before{store.bytes};
  store.journal = &journal;
  ASSERT_EQ(amend(store, "s", overwrite, true), "");
  std::mt19937_64 random(1);
  sdk::testing::PowerCut power(journal, before);
  for (size_t cut = 0; cut <= journal.events().size(); cut += cut < 20 ? 1 : 25) {
    MemoryHeader left;
    left.bytes = power.at(cut, random)[0];
    EXPECT_TRUE(open(left, "s") || open(left, "n")) << "cut at " << cut;
  }
}

}  // namespace
}  // namespace instar::luks
