// SPDX-License-Identifier: Apache-2.0
#include "core/loader/trust.hpp"

#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace instar::loader {
namespace {

/** Whoever owns the program could change it as well as a plugin. */
uid_t program_owner() {
  static const uid_t owner = [] {
    struct stat info {};
    return stat("/proc/self/exe", &info) == 0 ? info.st_uid : 0;
  }();
  return owner;
}

bool is_root() {
  static const bool root = geteuid() == 0;
  return root;
}

Error refused(const std::string& path, const std::string& offender, std::string_view what) {
  const bool folder = std::filesystem::is_directory(path);
  return Error{
      EPERM,
      cat(folder ? "plugin folder '" : "plugin '", path, "' is refused: '", offender, "' ", what),
      "As root, plugins are taken only from where nobody but root can write."};
}

/** One file or folder of the way to `path`. */
Status check_step(const std::string& path, const std::string& step, const struct stat& info,
                  uid_t owner) {
  if (info.st_uid != 0 && info.st_uid != owner)
    return refused(path, step, cat("belongs to user ", info.st_uid));
  const bool sticky = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  const bool group_writes = (info.st_mode & S_IWGRP) != 0 && info.st_gid != 0;
  if (sticky || (!group_writes && (info.st_mode & S_IWOTH) == 0)) return {};
  return refused(path, step, "is writable by other users");
}

Status check_way(const std::string& path, const std::filesystem::path& way, uid_t owner) {
  for (auto step = way;; step = step.parent_path()) {
    struct stat info {};
    if (stat(step.c_str(), &info) != 0)
      return fail(errno, "plugin '", path, "': ", step.string(), ": ", errno_text(errno));
    INSTAR_CHECK(check_step(path, step.string(), info, owner));
    if (step == step.root_path()) return {};
  }
}

}  // namespace

bool has_raised_privileges() {
  return getauxval(AT_SECURE) != 0;
}

Status check_trust(const std::string& path) {
  return is_root() ? check_trust_of_root(path) : Status();
}

Status check_trust_of_root(const std::string& path) {
  const uid_t owner = program_owner();
  std::error_code ec;
  const auto named = std::filesystem::absolute(path, ec).lexically_normal();
  if (ec) return fail(ec.value(), "plugin '", path, "': ", ec.message());
  const auto real = std::filesystem::canonical(path, ec);
  if (ec) return fail(ec.value(), "plugin '", path, "': ", ec.message());
  // A link could be turned elsewhere by who can write to its folder: both ways are checked.
  if (named != real) INSTAR_CHECK(check_way(path, named, owner));
  return check_way(path, real, owner);
}

Status check_trust_within(const std::string& path, const struct stat& file) {
  return is_root() ? check_step(path, path, file, program_owner()) : Status();
}

}  // namespace instar::loader
