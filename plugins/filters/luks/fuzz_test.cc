// SPDX-License-Identifier: Apache-2.0
// Headers that are damaged at random, or made to cost much: they are opened with a password as well, as
// far as that is not much work by itself.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <random>

#include "plugins/filters/luks/bench.hpp"
#include "plugins/filters/luks/legacy_aes.hpp"
#include "plugins/filters/luks/luks.hpp"
#include "plugins/filters/luks/luks2.hpp"
#include "plugins/filters/luks/secret_cipher.hpp"
#include "sdk/cpp/testing_damage.hpp"

namespace instar::luks {
namespace {

using sdk::EncryptionTable;
using sdk::testing::wrong_number;

constexpr uint64_t kLittleWork = 20000;  // iterations
constexpr uint64_t kJsonBytes = (4u << 20) - 4096;

class Fuzz : public testing::Test {
 protected:
  Fuzz() { bench_.add("luks2", EncryptionTable<Luks2>::ops()); }

  /** Opens it, and changes it if it is unlocked. @return whether it can be described. */
  bool use(MemoryHeader& store, const std::string& scheme, bool unlock) {
    const auto described = bench_.open(&store, {}, INSTAR_ENCRYPTION_DESCRIBE, scheme);
    if (described) {
      EXPECT_TRUE(described->describe(true));
    } else {
      EXPECT_FALSE(described.error().message.empty());
    }
    if (!unlock) return static_cast<bool>(described);
    auto opened = bench_.open(&store, key("s"), 0, scheme);
    if (opened) {
      const auto change = OptionList().text("state", "inactive").text("old-secret", "s");
      (void)static_cast<bool>(bench_.amend(*opened, store, change, true));
    }
    return static_cast<bool>(described);
  }

  Bench bench_{EncryptionTable<Luks>::ops(), EncryptionTable<LegacyAes>::ops(),
               EncryptionTable<SecretCipher>::ops()};
};

uint64_t work_of(const MemoryHeader& store) {
  Header header{};
  std::memcpy(static_cast<void*>(&header), store.bytes.data(),
              std::min(sizeof header, store.bytes.size()));
  uint64_t sum = header.digest_iterations;
  for (const auto& slot : header.slots)
    sum += slot.iterations;
  return sum;
}

TEST_F(Fuzz, RandomDamageOfVersion1IsHarmless) {
  MemoryHeader sound;
  ASSERT_TRUE(bench_.create(&sound, quick()));
  std::mt19937_64 random(1);
  size_t described = 0, unlocked = 0;
  const int rounds = sdk::testing::damage_rounds(400);
  for (int round = 0; round < rounds; ++round) {
    MemoryHeader store;
    store.bytes = sound.bytes;
    if (random() % 8 == 0) store.bytes.resize(1 + random() % store.bytes.size());
    for (uint64_t n = random() % 4; n > 0; --n) {
      // Mostly the numbers of the header and of its slots.
      const size_t places[] = {random() % 256, 208 + random() % 8 * 48 + random() % 2 * 40,
                               random() % store.bytes.size()};
      const size_t at = std::min(places[random() % 3] & ~size_t{3}, store.bytes.size() - 1);
      uint8_t number[8];
      sdk::store_be(number, wrong_number(store.bytes.size(), random) << 32);
      std::copy_n(number, std::min<size_t>(4, store.bytes.size() - at), &store.bytes[at]);
    }
    const bool unlock = round % 4 == 0 && work_of(store) < kLittleWork;
    described += use(store, "luks", unlock) ? 1 : 0;
    unlocked += unlock ? 1 : 0;
  }
  EXPECT_GT(described, static_cast<size_t>(rounds) / 8);
  EXPECT_GT(unlocked, static_cast<size_t>(rounds) / 16);
}

/** With checksums that are right. */
void edit(MemoryHeader& store, const std::function<void(std::string&)>& change) {
  const auto abi = store.abi();
  auto header = Luks2Header::read(sdk::HeaderIo(&abi, sdk::Call(nullptr)));
  ASSERT_TRUE(header);
  change(header->json);
  header->json.resize(std::min<uint64_t>(header->json.size(), header->json_size() - 1));
  ASSERT_TRUE(header->write(sdk::HeaderIo(&abi, sdk::Call(nullptr))));
}

/** As a stranger who knows the format would do it: numbers, names, and what is between them. */
void damage_json(std::string& json, std::mt19937_64& random) {
  for (uint64_t n = 1 + random() % 4; n > 0 && json.size() > 8; --n) {
    const size_t at = random() % json.size();
    const size_t length = std::min<size_t>(1 + random() % 40, json.size() - at);
    const size_t digits = json.find_first_of("0123456789", at);
    switch (random() % 5) {
      case 0:
        json[at] = "{}[]\",:0189-ae\\u"[random() % 16];
        break;
      case 1:
        json.erase(at, length);
        break;
      case 2:
        json.insert(random() % json.size(), json.substr(at, length));
        break;
      case 3:
        json.resize(at);
        break;
      default:
        if (digits == json.npos) break;
        json.replace(digits, json.find_first_not_of("0123456789", digits) - digits,
                     std::to_string(wrong_number(json.size(), random)));
    }
  }
}

bool little_work(MemoryHeader& store) {
  const auto abi = store.abi();
  const auto header = Luks2Header::read(sdk::HeaderIo(&abi, sdk::Call(nullptr)));
  if (!header) return true;
  const auto metadata = Luks2Metadata::read(header->json, header->size());
  if (!metadata) return true;
  uint64_t sum = metadata->digest.iterations;
  for (const auto& slot : metadata->slots) {
    if (!slot) continue;
    if (slot->kdf.is_argon2() && slot->kdf.memory > 4096) return !check_kdf(slot->kdf);
    sum += slot->kdf.iterations;
  }
  return sum < kLittleWork;
}

TEST_F(Fuzz, RandomDamageOfVersion2IsHarmless) {
  std::mt19937_64 random(1);
  size_t described = 0, unlocked = 0;
  const int rounds = sdk::testing::damage_rounds(400);
  for (const char* kdf : {"pbkdf2", "argon2id"}) {
    MemoryHeader sound;
    const auto options = quick().text("pbkdf", kdf).number("pbkdf-memory", 64 << 10);
    ASSERT_TRUE(bench_.create(&sound, options, 0, "luks2"));
    sound.bytes.resize(1u << 20);
    for (int round = 0; round < rounds / 2; ++round) {
      MemoryHeader store;
      store.bytes = sound.bytes;
      if (round % 4 != 0)
        edit(store, [&](std::string& json) { damage_json(json, random); });
      else
        sdk::testing::damage(store.bytes, random, {0, 16384});
      const bool unlock = round % 4 < 2 && little_work(store);
      described += use(store, "luks2", unlock) ? 1 : 0;
      unlocked += unlock ? 1 : 0;
    }
  }
  EXPECT_GT(described, static_cast<size_t>(rounds) / 8);
  EXPECT_GT(unlocked, static_cast<size_t>(rounds) / 16);
}

/** A header of the largest size, whose metadata is of that text. */
MemoryHeader large_header(const std::string& json) {
  MemoryHeader store;
  auto header = Luks2Header::make(4u << 20);
  EXPECT_TRUE(header);
  header->json = json;
  const auto abi = store.abi();
  EXPECT_TRUE(header->write(sdk::HeaderIo(&abi, sdk::Call(nullptr))));
  return store;
}

std::string repeated(const std::string& begin, const std::function<std::string(size_t)>& piece,
                     const std::string& end, size_t length = kJsonBytes) {
  std::string json = begin;
  for (size_t i = 0; json.size() + end.size() + 64 < length; ++i)
    json += piece(i);
  return json + end;
}

/** MiB that the process has had at most. */
long peak() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss >> 10;
}

TEST_F(Fuzz, MetadataThatFillsTheLargestHeaderIsSoonDoneWith) {
  const auto same = [](const char* text) { return [=](size_t) { return std::string(text); }; };
  const auto numbered = [](const char* text) {
    return [=](size_t i) { return sdk::cat("\"", i, "\":", text, ","); };
  };
  const std::string segment =
      R"("segments":{"0":{"type":"crypt","offset":"16777216","size":"dynamic","iv_tweak":"0",)"
      R"("encryption":"aes-xts-plain64","sector_size":512}},)";
  const std::string digest =
      R"({"type":"pbkdf2","hash":"sha256","iterations":1000,"salt":"AAAA","segments":["0"],)"
      R"("digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","keyslots":[)";
  const std::string texts[] = {
      repeated("", same("["), ""),
      repeated("{", same("\"a\":{"), ""),
      repeated("\"", same("\\u0041"), "\""),
      repeated(sdk::cat("{", segment, "\"keyslots\":{"), numbered("{}"), "\"0\":{}}}"),
      repeated(sdk::cat("{", segment, "\"digests\":{"), numbered(R"({"segments":["1"]})"), "}}"),
      repeated(sdk::cat("{", segment, R"("digests":{"0":{"type":"pbkdf2","segments":[)"),
               same("\"1\","), R"("0"],"keyslots":["0"]}}})"),
      repeated(sdk::cat("{", segment, "\"keyslots\":{"), numbered("{}"), "\"0\":{}},",
               kJsonBytes / 2) +
          repeated(sdk::cat(R"("digests":{"0":)", digest), same("\"a\","), R"("b"]}}})",
                   kJsonBytes / 2),
      repeated(R"({"config":{"requirements":{"mandatory":[)", same("\"a\","), R"("b"]}}})"),
  };
  for (const std::string& json : texts) {
    MemoryHeader store = large_header(json);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(use(store, "luks2", true));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(took.count(), sdk::testing::kSanitized ? 30.0 : 5.0) << json.substr(0, 300);
  }
  if (!sdk::testing::kSanitized) {
    EXPECT_LT(peak(), 256);
  }
}

}  // namespace
}  // namespace instar::luks
