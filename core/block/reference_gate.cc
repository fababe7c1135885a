// SPDX-License-Identifier: Apache-2.0
#include "core/block/reference_gate.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "core/options/filename.hpp"

namespace instar::block {

namespace {

constexpr const char* kHint =
    "The image names this file itself; if you trust the image, allow it with --references=all.";

/** The folder that a path lies in, without links and dots; empty if it does not exist. */
std::filesystem::path folder_of(const std::string& path) {
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  return std::filesystem::canonical(parent.empty() ? "." : parent, error);
}

/** Both names lie in one folder, whatever way they take to it. */
bool in_same_folder(const std::string& image, const std::string& reference) {
  const auto name = std::filesystem::path(reference).filename();
  if (name.empty() || name == "." || name == "..") return false;
  const auto folder = folder_of(image);
  return !folder.empty() && folder == folder_of(reference);
}

Error refused(const std::string& image, const std::string& reference, const char* why) {
  Error error = fail(EPERM, "'", image, "' refers to '", reference, "', which ", why);
  error.hint = kHint;
  return error;
}

}  // namespace

Status ReferenceChain::enter(const std::string& filename) {
  if (depth() >= kMaxChainDepth)
    return fail(ELOOP, "'", filename, "' is deeper than ", kMaxChainDepth,
                " files down the backing chain");
  struct stat info {};
  if (stat(filename.c_str(), &info) != 0) {
    seen_.emplace_back(0, 0);  // opening it gives the error
    return {};
  }
  const std::pair<uint64_t, uint64_t> key{info.st_dev, info.st_ino};
  if (std::find(seen_.begin(), seen_.end(), key) != seen_.end())
    return fail(EINVAL, "Backing file '", filename, "' creates an infinite loop.");
  seen_.push_back(key);
  return {};
}

Status ReferenceGate::admit(const std::string& image, const std::string& reference) const {
  if (policy_ == ReferencePolicy::kAll) return {};
  if (policy_ == ReferencePolicy::kNone)
    return refused(image, reference, "the policy 'none' does not open");
  if (options::json_name_text(reference) || options::protocol_prefix(reference))
    return refused(image, reference, "is not a plain file name");
  if (!in_same_folder(image, reference)) return refused(image, reference, "is in another folder");
  struct stat info {};
  if (lstat(reference.c_str(), &info) != 0) return {};  // opening it gives the error
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
    return refused(image, reference, "is neither a regular file nor a block device");
  return {};
}

}  // namespace instar::block
