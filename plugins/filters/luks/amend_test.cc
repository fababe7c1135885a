// SPDX-License-Identifier: Apache-2.0
// Key slots changed afterwards; the rules and words are the genuine qemu-img's.
#include <gtest/gtest.h>

#include <cstring>

#include "plugins/filters/luks/bench.hpp"
#include "plugins/filters/luks/legacy_aes.hpp"
#include "plugins/filters/luks/luks.hpp"
#include "plugins/filters/luks/secret_cipher.hpp"

namespace instar::luks {
namespace {

using sdk::EncryptionTable;

OptionList list(std::initializer_list<std::pair<const char*, const char*>> texts) {
  OptionList options;
  for (const auto& [name, value] : texts) {
    const std::string_view key = name;
    if (key == "keyslot" || key == "iter-time")
      options.number(name, static_cast<uint64_t>(std::stoll(value)), INSTAR_OPTION_NUMBER);
    else
      options.text(name, value);
  }
  return options;
}

class AmendTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(bench_.create(&store_, quick())); }

  /** The error, with its hint in brackets, of opening with a secret and amending. */
  std::string amend(const char* secret, const OptionList& options, bool force = false) {
    auto opened = bench_.open(&store_, key(secret));
    if (!opened) return opened.error().message;
    const auto status = bench_.amend(*opened, store_, options, force);
    if (status) return "";
    const auto& error = status.error();
    return error.hint.empty() ? error.message : sdk::cat(error.message, " [", error.hint, "]");
  }
  std::string active() {
    const auto opened = bench_.open(&store_, {}, INSTAR_ENCRYPTION_DESCRIBE);
    const std::string text = *opened->describe(false);
    std::string out;
    size_t at = 0;
    for (int i = 0; i < 8; ++i) {
      at = text.find("\"active\":", at) + 9;
      if (text[at] == 't') out += std::to_string(i);
    }
    return out;
  }
  Bench bench_{EncryptionTable<Luks>::ops(), EncryptionTable<LegacyAes>::ops(),
               EncryptionTable<SecretCipher>::ops()};
  MemoryHeader store_;
};

TEST_F(AmendTest, Activating) {
  EXPECT_EQ(amend("s", list({{"new-secret", "n"}})), "Parameter 'state' is missing");
  EXPECT_EQ(amend("s", list({{"state", "foo"}})), "Parameter 'state' does not accept value 'foo'");
  EXPECT_EQ(amend("s", list({{"state", "active"}})),
            "'new-secret' is required to activate a keyslot");
  EXPECT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "n"}, {"old-secret", "s"}})),
            "'old-secret' must not be given when activating keyslots");
  EXPECT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "n"}, {"keyslot", "8"}})),
            "Invalid keyslot 8 specified, must be between 0 and 7");
  EXPECT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "n"}, {"keyslot", "-1"}})),
            "Invalid keyslot 4294967295 specified, must be between 0 and 7");
  EXPECT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "n"}, {"keyslot", "0"}})),
            "Refusing to overwrite active keyslot 0 - please erase it first");
  EXPECT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "zz"}})),
            "No secret with id 'zz'");
  EXPECT_EQ(active(), "0");
  EXPECT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "n"}, {"iter-time", "1"}})), "");
  EXPECT_EQ(active(), "01");
  EXPECT_EQ(
      amend("n",
            list({{"state", "active"}, {"new-secret", "w"}, {"keyslot", "5"}, {"iter-time", "0"}})),
      "");
  EXPECT_EQ(active(), "015");
  EXPECT_TRUE(bench_.open(&store_, key("w")));
  EXPECT_EQ(
      amend("s",
            list({{"state", "active"}, {"new-secret", "n"}, {"keyslot", "5"}, {"iter-time", "1"}}),
            true),
      "");
  EXPECT_FALSE(bench_.open(&store_, key("w")));
}

TEST_F(AmendTest, TooLongIterations) {
  const auto error = amend("s", list({{"state", "active"},
                                      {"new-secret", "n"},
                                      {"keyslot", "6"},
                                      {"iter-time", "99999999999"}}));
  EXPECT_NE(error.find(" larger than 4294967295: Numerical result out of range "
                       "[Failed to write to keyslot 6]"),
            std::string::npos)
      << error;
  EXPECT_EQ(active(), "0");
}

TEST_F(AmendTest, AllSlotsInUse) {
  for (int i = 1; i < 8; ++i)
    ASSERT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "n"}, {"iter-time", "1"}})), "");
  EXPECT_EQ(active(), "01234567");
  EXPECT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "w"}})),
            "Can't add a keyslot - all keyslots are in use");
  EXPECT_EQ(amend("s", list({{"state", "inactive"}, {"old-secret", "n"}})), "");
  EXPECT_EQ(active(), "0");
}

TEST_F(AmendTest, Erasing) {
  ASSERT_EQ(amend("s", list({{"state", "active"}, {"new-secret", "n"}, {"iter-time", "1"}})), "");
  const auto inactive = [&](std::initializer_list<std::pair<const char*, const char*>> more,
                            bool force = false, const char* secret = "n") {
    OptionList options = list(more);
    options.text("state", "inactive");
    return amend(secret, options, force);
  };
  EXPECT_EQ(inactive({}),
            "To erase keyslot(s), either explicit keyslot index or the password currently "
            "contained in them must be given");
  EXPECT_EQ(inactive({{"new-secret", "n"}}),
            "'new-secret' must not be given when erasing keyslots");
  EXPECT_EQ(inactive({{"iter-time", "1"}, {"keyslot", "1"}}),
            "'iter-time' must not be given when erasing keyslots");
  EXPECT_EQ(inactive({{"keyslot", "9"}}), "Invalid keyslot 9 specified, must be between 0 and 7");
  EXPECT_EQ(inactive({{"keyslot", "7"}}), "Given keyslot 7 is already erased (inactive) ");
  EXPECT_EQ(inactive({{"keyslot", "1"}, {"old-secret", "w"}}),
            "Given keyslot 1 doesn't contain the given old password for erase operation");
  EXPECT_EQ(inactive({{"old-secret", "w"}}),
            "No keyslots match given (old) password for erase operation");
  EXPECT_EQ(inactive({{"old-secret", "zz"}}), "No secret with id 'zz'");
  EXPECT_EQ(active(), "01");
  const std::vector<uint8_t> before(store_.bytes.begin() + 4096, store_.bytes.begin() + 262144);
  EXPECT_EQ(inactive({{"old-secret", "s"}}), "");
  EXPECT_EQ(active(), "1");
  const std::vector<uint8_t> after(store_.bytes.begin() + 4096, store_.bytes.begin() + 262144);
  size_t equal = 0;
  for (size_t i = 0; i < 256000; ++i)
    equal += before[i] == after[i] ? 1 : 0;
  EXPECT_LT(equal, 3000u) << "the material is still there";
  EXPECT_EQ(inactive({{"keyslot", "1"}}),
            "Attempt to erase the only active keyslot 1 which will erase all the data in the image "
            "irreversibly - refusing operation");
  EXPECT_EQ(inactive({{"old-secret", "n"}}),
            "All the active keyslots match the (old) password that was given and erasing them will "
            "erase all the data in the image irreversibly - refusing operation");
  EXPECT_EQ(inactive({{"keyslot", "3"}}, true), "");
  EXPECT_EQ(inactive({{"keyslot", "1"}}, true), "");
  EXPECT_EQ(active(), "");
  EXPECT_EQ(inactive({{"keyslot", "1"}}, true), "Invalid password, cannot unlock any keyslot");
}

// The old password keeps working wherever the writing of a new slot ends.
TEST_F(AmendTest, AFailedWriteLosesNothing) {
  for (int writes = 0; writes < 3; ++writes) {
    auto opened = bench_.open(&store_, key("s"));
    store_.writes_until_failure = writes;
    const auto status = bench_.amend(
        *opened, store_, list({{"state", "active"}, {"new-secret", "n"}, {"iter-time", "1"}}));
    store_.writes_until_failure = -1;
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "Could not write encryption header");
    EXPECT_TRUE(bench_.open(&store_, key("s")));
    EXPECT_EQ(active(), "0");
  }
}

// Some of the slots lie in two sectors, and each sector of a write survives or not.
class PowerCutTest : public AmendTest {
 protected:
  /** Whether the image opens, and every slot that looks active does so. */
  bool opens(const std::vector<uint8_t>& bytes) {
    Header header;
    std::memcpy(static_cast<void*>(&header), bytes.data(), sizeof header);
    for (size_t i = 0; i < kSlots; ++i) {
      if (!header.slots[i].is_active()) continue;
      MemoryHeader only;
      only.bytes = bytes;
      Header changed = header;
      for (size_t other = 0; other < kSlots; ++other)
        if (other != i) changed.slots[other].active = kSlotInactive;
      std::memcpy(only.bytes.data(), &changed, sizeof changed);
      if (!bench_.open(&only, key("s")) && !bench_.open(&only, key("n"))) return false;
    }
    return header.active_slots() != 0;
  }
  /** Events that may write a slot; the others overwrite an old one again and again. */
  static constexpr size_t kNew = 16;
  static constexpr uint64_t kRounds = sdk::testing::kSanitized ? 1 : 6;

  void cut_everywhere(const OptionList& options, bool force = false) {
    sdk::testing::Journal journal;
    const sdk::testing::PowerCut::Files before{store_.bytes};
    store_.journal = &journal;
    ASSERT_EQ(amend("s", options, force), "");
    store_.journal = nullptr;
    for (uint64_t round = 0; round < kRounds; ++round) {
      std::mt19937_64 random(round);
      sdk::testing::PowerCut power(journal, before);
      for (size_t cut = 0; cut <= journal.events().size(); cut += cut < kNew ? 1 : 9)
        ASSERT_TRUE(opens(power.at(cut, random)[0])) << "cut at " << cut << ", round " << round;
    }
  }
};

TEST_F(PowerCutTest, Adding) {
  for (const char* slot : {"1", "5", "6", "7"})
    cut_everywhere(
        list({{"state", "active"}, {"new-secret", "n"}, {"keyslot", slot}, {"iter-time", "1"}}));
}

TEST_F(PowerCutTest, Erasing) {
  for (const char* slot : {"1", "6"}) {
    ASSERT_EQ(amend("s", list({{"state", "active"},
                               {"new-secret", "n"},
                               {"keyslot", slot},
                               {"iter-time", "1"}})),
              "");
    cut_everywhere(list({{"state", "inactive"}, {"keyslot", slot}}));
  }
}

TEST_F(PowerCutTest, OverwritingTheOnlyOne) {
  cut_everywhere(
      list({{"state", "active"}, {"new-secret", "n"}, {"keyslot", "0"}, {"iter-time", "1"}}), true);
  EXPECT_EQ(active(), "0");
}

TEST_F(PowerCutTest, OverwritingOneInTwoSectors) {
  ASSERT_EQ(
      amend("s",
            list({{"state", "active"}, {"new-secret", "s"}, {"keyslot", "6"}, {"iter-time", "1"}})),
      "");
  ASSERT_EQ(amend("s", list({{"state", "inactive"}, {"keyslot", "0"}})), "");
  cut_everywhere(
      list({{"state", "active"}, {"new-secret", "n"}, {"keyslot", "6"}, {"iter-time", "1"}}), true);
  EXPECT_EQ(active(), "6");
}

}  // namespace
}  // namespace instar::luks
