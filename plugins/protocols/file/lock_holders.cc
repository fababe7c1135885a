// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/lock_holders.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include "sdk/cpp/result.hpp"

namespace instar::file {

namespace {

using sdk::cat;

struct Close {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

/** Calls each(N) for the entries of a folder whose names are numbers. */
template <class Each>
void for_each_number(const std::string& folder, Each each) {
  const std::unique_ptr<DIR, Close> dir(::opendir(folder.c_str()));
  if (dir == nullptr) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    char* end = nullptr;
    const long number = std::strtol(entry->d_name, &end, 10);
    if (end != entry->d_name && *end == '\0') each(number);
  }
}

/** A line of fdinfo, proc(5): "lock:\t1: OFDLCK  ADVISORY  READ  -1 fe:00:4711 100 100". */
bool covers(const std::string& line, long byte) {
  std::istringstream words(line);
  std::string label, number, type, mode, access, pid, file, first, last;
  words >> label >> number >> type >> mode >> access >> pid >> file >> first >> last;
  if (label != "lock:" || last.empty()) return false;
  const long end = last == "EOF" ? byte : std::atol(last.c_str());
  return std::atol(first.c_str()) <= byte && byte <= end;
}

bool holds(const std::string& process, long fd, long byte) {
  std::ifstream info(cat(process, "/fdinfo/", fd));
  for (std::string line; std::getline(info, line);)
    if (covers(line, byte)) return true;
  return false;
}

/** As the process calls itself, which may be anything. */
std::string name_of(const std::string& process) {
  std::string name;
  std::getline(std::ifstream(process + "/comm"), name);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return name;
}

}  // namespace

std::string lock_holders(int fd, int byte) {
  struct stat wanted {};
  if (::fstat(fd, &wanted) != 0) return {};
  std::string text;
  for_each_number("/proc", [&](long pid) {
    const std::string process = cat("/proc/", pid);
    const bool own = pid == ::getpid();
    bool found = false;
    for_each_number(process + "/fd", [&](long other) {
      struct stat st {};
      if (found || (own && other == fd) || ::stat(cat(process, "/fd/", other).c_str(), &st) != 0 ||
          st.st_dev != wanted.st_dev || st.st_ino != wanted.st_ino)
        return;
      found = holds(process, other, byte);
    });
    if (!found) return;
    text += text.empty() ? "" : "\n";
    text += own ? "Held by this process itself"
                : cat("Held by process ", pid, " (", name_of(process), ")");
  });
  return text;
}

}  // namespace instar::file
