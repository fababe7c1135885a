// SPDX-License-Identifier: Apache-2.0
/** @file testing_repair.hpp For unit tests of formats: damaged images, opened, used, checked and
 * repaired. Deterministic. */
#pragma once

#include <functional>

#include "../abi/check.h"
#include "testing_damage.hpp"

namespace instar::sdk::testing {

/** What a check found and said. */
struct Findings {
  bool checked = false;  ///< else the format has no check, or it failed
  instar_check_result counts{};
  std::string text;
};

inline Findings check(const OwnedNode& node, uint32_t fix) {
  void* self = nullptr;
  const auto* ops = node.ref().interface<instar_check_ops>(INSTAR_CHECK_ID, &self);
  Findings findings;
  if (ops == nullptr) return findings;
  StringSink messages;
  findings.checked = ops->check(self, nullptr, fix, &findings.counts, messages.abi(), nullptr) == 0;
  findings.text = messages.text;
  return findings;
}

/** What is damaged, and how it is opened. */
struct DamageTest {
  const instar_format_ops* format = nullptr;
  std::vector<std::vector<uint8_t>> images = {};         ///< sound ones
  std::vector<uint64_t> tables = {0};                    ///< see damage()
  bool repairs_all = false;                              ///< what a check repaired is in order
  std::function<void(std::vector<uint8_t>&)> seal = {};  ///< renews checksums

  /** What is wrong, or "": also that too few images could be opened in spite of their damage. */
  std::string run(int usual_rounds) const;

 private:
  static constexpr uint64_t kRoom = 32u << 20;
  struct Disk {
    explicit Disk(std::vector<uint8_t> content) {
      memory->bytes = std::move(content);
      memory->room = kRoom;
      host.children["file"] = file.abi();
    }
    Result<OwnedNode> open(const DamageTest& test, uint32_t flags) {
      return host.open(test.format, "image", flags);
    }
    std::shared_ptr<MemoryDisk> memory = std::make_shared<MemoryDisk>();
    OwnedNode file = memory_node(memory);
    FakeHost host;
  };
  std::string round(Disk& disk, bool writes, std::mt19937_64& random) const;
};

/** One image. @return what is wrong */
inline std::string DamageTest::round(Disk& disk, bool writes, std::mt19937_64& random) const {
  constexpr uint32_t kCheck = INSTAR_OPEN_CHECK;
  if (const auto node = disk.open(*this, kCheck); node) (void)check(*node, 0);
  const uint32_t flags = writes ? uint32_t{INSTAR_OPEN_WRITE} : 0u;
  if (const auto node = disk.open(*this, flags); node) exercise(node->ref(), writes, random);
  if (const auto node = disk.open(*this, kCheck | INSTAR_OPEN_WRITE);
      !node || !check(*node, INSTAR_FIX_LEAKS | INSTAR_FIX_ERRORS).checked)
    return "";
  if (!repairs_all) return "";
  const auto node = disk.open(*this, kCheck);
  if (!node) return "repaired, but " + node.error().message;
  const Findings left = check(*node, 0);
  const bool sound = left.checked && left.counts.corruptions + left.counts.leaks == 0;
  return sound ? "" : "repaired, but not in order";
}

inline std::string DamageTest::run(int usual_rounds) const {
  const int rounds = damage_rounds(usual_rounds);
  std::mt19937_64 random(1);
  int opened = 0;
  for (int i = 0; i < rounds; ++i) {
    Disk disk(images[static_cast<size_t>(i) % images.size()]);
    damage(disk.memory->bytes, random, tables);
    if (seal && i % 4 != 0) seal(disk.memory->bytes);
    if (!disk.open(*this, INSTAR_OPEN_CHECK)) continue;
    ++opened;
    const std::string wrong = round(disk, random() % 2 == 0, random);
    if (!wrong.empty()) return cat("round ", i, ": ", wrong);
  }
  return opened > rounds / 20 ? "" : cat("only ", opened, " images could be opened");
}

}  // namespace instar::sdk::testing
