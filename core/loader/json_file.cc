// SPDX-License-Identifier: Apache-2.0
#include "core/loader/json_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "core/base/fd.hpp"
#include "core/base/file.hpp"
#include "core/loader/trust.hpp"

namespace instar::loader {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

}  // namespace

Result<std::vector<std::string>> json_files(const std::string& folder) {
  std::vector<std::string> files;
  const std::unique_ptr<DIR, CloseFolder> entries(opendir(folder.c_str()));
  if (entries == nullptr && errno == ENOENT) return files;
  if (entries == nullptr) return fail(errno, "plugin folder '", folder, "': ", errno_text(errno));
  INSTAR_CHECK(check_trust(folder));
  errno = 0;
  while (const auto* entry = readdir(entries.get())) {
    const std::string_view name(entry->d_name);
    if (name.ends_with(".json") && !name.starts_with('.')) files.push_back(cat(folder, "/", name));
  }
  if (errno != 0) return fail(errno, "plugin folder '", folder, "': ", errno_text(errno));
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::string> read_json(const std::string& path) {
  base::Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ELOOP) {
    INSTAR_CHECK(check_trust(path));
    return base::read_file(path, kMaxManifestSize);
  }
  struct stat file {};
  if (!fd || fstat(fd.get(), &file) != 0)
    return fail(errno, "Could not open '", path, "': ", errno_text(errno));
  INSTAR_CHECK(check_trust_within(path, file));
  if (!S_ISREG(file.st_mode) || static_cast<uint64_t>(file.st_size) > kMaxManifestSize)
    return fail(EINVAL, "'", path, "' is no manifest: it is too large, or not a file");
  std::string text(static_cast<size_t>(file.st_size), '\0');
  const ssize_t n = read(fd.get(), text.data(), text.size());
  if (n < 0) return fail(errno, "Could not read '", path, "': ", errno_text(errno));
  text.resize(static_cast<size_t>(n));
  return text;
}

Result<Manifest> read_manifest(const std::string& path) {
  INSTAR_TRY(const std::string text, read_json(path));
  return parse_manifest(text, path);
}

}  // namespace instar::loader
