// SPDX-License-Identifier: Apache-2.0
/** @file testing.hpp For unit tests: files in memory, a host that has codecs and nothing else, and
 * images over them. */
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/formats/qcow2/image.hpp"
#include "sdk/cpp/power_cut.hpp"

namespace instar::qcow2::testing {

using sdk::testing::Journal;
using sdk::testing::kSanitized;
using sdk::testing::PowerCut;

/** A file in memory, as a node. Grows with writes. */
class MemoryFile {
 public:
  explicit MemoryFile(std::vector<uint8_t> content = {}) : bytes(std::move(content)) {}
  const instar_node* node() const { return &node_; }

  std::vector<uint8_t> bytes;
  Journal* journal = nullptr;  ///< where changes are recorded, if anywhere
  uint32_t number = 0;         ///< of this file there
  /** Writes left until they fail with EIO; negative: they never do. */
  int64_t writes_until_failure = -1;

 private:
  static MemoryFile& get(void* self) { return *static_cast<MemoryFile*>(self); }
  int write(uint64_t offset, const IoVec& from);
  int resize(uint64_t size);
  int discard(uint64_t offset, uint64_t length);
  int flush();
  static const instar_node_ops kOps;
  static const instar_resize_ops kResize;

  std::mutex mutex_;
  instar_node node_{&kOps, this};
};

/** A host with the codec "zlib" (raw deflate), the encryption of testing_cipher.hpp, and nothing
 * else. */
const instar_host* host();

/** Options by name; numbers may be written as such. */
class OptionList {
 public:
  OptionList(std::initializer_list<std::pair<const char*, std::string>> items);
  instar_options abi() const { return {options_.data(), options_.size()}; }
  void add(const std::string& name, const std::string& text);

 private:
  std::map<std::string, std::string> texts_;
  std::vector<instar_option> options_;
};

struct Files {
  MemoryFile file;
  std::unique_ptr<MemoryFile> backing;
  std::unique_ptr<MemoryFile> data;
};

/** An open image, closed by the destructor if not before. */
class TestImage {
 public:
  TestImage(Files& files, uint32_t flags, const OptionList& options = {});
  ~TestImage();
  TestImage(const TestImage&) = delete;
  TestImage& operator=(const TestImage&) = delete;

  bool open() const { return node_.ops != nullptr; }
  const std::string& error() const { return error_; }
  int close();
  sdk::NodeRef node() const { return sdk::NodeRef(&node_); }

  int read(uint64_t offset, std::vector<uint8_t>* to) const;
  int write(uint64_t offset, const std::vector<uint8_t>& from) const;
  int write_zeroes(uint64_t offset, uint64_t length, uint32_t flags) const;
  int discard(uint64_t offset, uint64_t length) const;
  int flush() const;
  /** Packs and stores; writes plainly what does not shrink. */
  int write_packed(uint64_t offset, const std::vector<uint8_t>& from) const;
  /** Through prepare_write and commit_write; -ENOTSUP when the driver wants a plain write. */
  int write_placed(Files& files, uint64_t offset, const std::vector<uint8_t>& from) const;
  std::string info() const;

 private:
  instar_node node_{};
  instar_opener opener_{};
  std::string error_;
};

/** Creates; the error's message, or "". */
std::string create(Files& files, const OptionList& options);

/** What may be wrong with an image. */
enum class Tolerance : uint8_t {
  kNone,
  kLeaks,   ///< leaked clusters
  kRepair,  ///< anything that a repair puts right
};

/** What genuine qemu-img says about the image ("" = all is well); nullopt without INSTAR_REFERENCE.
 * `content`: what it must read as, raw. */
std::optional<std::string> reference_verdict(const Files& files,
                                             const std::vector<uint8_t>* content,
                                             Tolerance tolerance = Tolerance::kNone);

}  // namespace instar::qcow2::testing
