// SPDX-License-Identifier: Apache-2.0
/** @file bench.hpp For the tests: a header in memory, a host with secrets, and the schemes' tables
 * called as a format calls them. */
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "sdk/cpp/encryption.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/power_cut.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::luks {

using sdk::testing::OptionList;

/** A file in memory. Reading behind its end gives zeroes. */
class MemoryHeader final : public sdk::HeaderStore {
  using Kind = sdk::testing::Journal::Kind;

 public:
  std::vector<uint8_t> bytes;
  /** Writes and flushes, in order: "write 4096", "flush". */
  std::vector<std::string> log;
  sdk::testing::Journal* journal = nullptr;  ///< the same with the bytes, if somebody wants them
  int writes_until_failure = -1;

  sdk::Status read(const sdk::Call&, uint64_t offset, sdk::Bytes to) override {
    std::fill(to.begin(), to.end(), uint8_t{0});
    if (offset < bytes.size())
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset),
                  std::min<uint64_t>(to.size(), bytes.size() - offset), to.begin());
    return {};
  }
  sdk::Status write(const sdk::Call&, uint64_t offset, sdk::ConstBytes from) override {
    if (writes_until_failure == 0) return sdk::fail(EIO, "Could not write encryption header");
    if (writes_until_failure > 0) --writes_until_failure;
    log.push_back(sdk::cat("write ", offset));
    if (journal != nullptr) journal->add({Kind::kWrite, 0, offset, {from.begin(), from.end()}});
    if (bytes.size() < offset + from.size()) bytes.resize(offset + from.size());
    std::copy(from.begin(), from.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
    return {};
  }
  sdk::Status allocate(const sdk::Call&, uint64_t len) override {
    bytes.assign(len, 0);
    return {};
  }
  sdk::Status flush(const sdk::Call&) override {
    log.push_back("flush");
    if (journal != nullptr) journal->add({Kind::kFlush, 0, 0, {}});
    return {};
  }
};

/** Schemes behind a registry, and the secrets "s" = "abc", "n" = "new", "w" = "wrong". */
class Bench {
 public:
  Bench(const instar_encryption_ops* luks, const instar_encryption_ops* aes,
        const instar_encryption_ops* secret) {
    add("luks", luks);
    add("aes", aes);
    add("secret", secret);
    host_.services[INSTAR_REGISTRY_ID] = &kRegistry;
    host_.secrets = {{"s", "abc"}, {"n", "new"}, {"w", "wrong"}};
  }

  void add(const std::string& scheme, const instar_encryption_ops* ops) { tables()[scheme] = ops; }

  sdk::Host host() const { return sdk::Host(host_.abi()); }
  std::map<std::string, std::string, std::less<>>& secrets() { return host_.secrets; }

  sdk::Result<sdk::Encryption> open(sdk::HeaderStore* header, const OptionList& options,
                                    uint32_t flags = 0, const std::string& scheme = "luks") {
    return sdk::Encryption::open(host(), call_, request(header, options, flags, scheme));
  }
  sdk::Result<sdk::Encryption> create(sdk::HeaderStore* header, const OptionList& options,
                                      uint32_t flags = 0, const std::string& scheme = "luks") {
    return sdk::Encryption::create(host(), call_, request(header, options, flags, scheme));
  }
  sdk::Result<uint64_t> measure(const OptionList& options, const std::string& scheme = "luks") {
    return sdk::Encryption::measure(host(), call_, request(nullptr, options, 0, scheme));
  }
  sdk::Status amend(sdk::Encryption& encryption, sdk::HeaderStore& header,
                    const OptionList& options, bool force = false) {
    return encryption.amend(call_, options.abi(), header, force);
  }

 private:
  static sdk::EncryptionRequest request(sdk::HeaderStore* header, const OptionList& options,
                                        uint32_t flags, const std::string& scheme) {
    return {scheme, "encrypt.", options.abi(), header, flags};
  }
  static std::map<std::string, const instar_encryption_ops*>& tables() {
    static std::map<std::string, const instar_encryption_ops*> all;
    return all;
  }
  static const void* find(const instar_host*, instar_call*, uint32_t kind,
                          const char* name) noexcept {
    return kind == INSTAR_KIND_ENCRYPTION ? tables()[name] : nullptr;
  }
  static constexpr instar_registry_ops kRegistry = {
      sizeof(instar_registry_ops), 0, &find, nullptr, nullptr, nullptr};

  sdk::testing::FakeHost host_;
  sdk::Call call_{nullptr};
};

/** key-secret=ID. */
inline OptionList key(const std::string& id) {
  OptionList options;
  options.text("key-secret", id);
  return options;
}
/** For a header that is made quickly. */
inline OptionList quick(const std::string& id = "s") {
  OptionList options = key(id);
  options.number("iter-time", 1, INSTAR_OPTION_NUMBER);
  return options;
}

inline std::vector<uint8_t> pattern(size_t size, uint8_t seed = 1) {
  std::vector<uint8_t> out(size);
  uint32_t state = seed;
  for (auto& byte : out) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return out;
}

}  // namespace instar::luks
