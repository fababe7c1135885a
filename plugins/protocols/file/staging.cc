// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/staging.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>

#include "plugins/protocols/file/descriptor.hpp"
#include "sdk/abi/graph.h"

namespace instar::file {

namespace {

using sdk::cat;
using sdk::fail;
using sdk::Result;
using sdk::Status;

constexpr size_t kLongestName = 200;  // of 255, so that there is room for what is added

sdk::Error could_not_create(const std::string& filename, int code) {
  return fail(code, "Could not create '", filename, "': ", sdk::errno_text(code));
}

/** ".disk.qcow2.instar-1f3a…" in the same folder. */
std::string name_beside(const std::string& filename) {
  const size_t slash = filename.rfind('/') + 1;  // 0 without one
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number)
    number = static_cast<uint64_t>(getpid());
  // A colon before any slash would name a protocol.
  return cat(slash == 0 ? "./" : filename.substr(0, slash), ".",
             filename.substr(slash, kLongestName), ".instar-", sdk::hex(number).substr(2));
}

void copy_attribute(const std::string& from, int to, const char* name) {
  char value[4096];
  const ssize_t length = ::getxattr(from.c_str(), name, value, sizeof value);
  if (length >= 0) (void)::fsetxattr(to, name, value, static_cast<size_t>(length), 0);
}

/** A file keeps its owner, mode and label when it is replaced; what we may not give away stays ours. */
Status take_over(const std::string& staged, const std::string& filename) {
  struct stat old {};
  if (::lstat(filename.c_str(), &old) != 0) return {};
  const Descriptor fd(::open(staged.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return could_not_create(filename, errno);
  const bool same_owner = ::fchown(fd.get(), old.st_uid, old.st_gid) == 0;
  const bool same_group = same_owner || ::fchown(fd.get(), -1, old.st_gid) == 0;
  // What was for the group must not become another group's.
  if (::fchmod(fd.get(), old.st_mode & (same_group ? 0777 : 0707)) != 0)
    return could_not_create(filename, errno);
  for (const char* name : {"security.selinux", "system.posix_acl_access"})
    copy_attribute(filename, fd.get(), name);
  if (::fdatasync(fd.get()) != 0) return could_not_create(filename, errno);
  return {};
}

/** What was renamed in the file's folder stays so. 0 or an errno. */
int flush_folder(const std::string& filename) {
  const size_t slash = filename.rfind('/') + 1;  // 0 without one
  const std::string folder = slash == 0 ? "." : filename.substr(0, slash);
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd && ::fsync(fd.get()) == 0 ? 0 : errno;
}

/** 0 or an errno. */
int rename_to_free(const std::string& staged, const std::string& filename) {
  if (::renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, filename.c_str(), RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system that knows no such rename.
  if (::link(staged.c_str(), filename.c_str()) != 0) return errno;
  return ::unlink(staged.c_str()) == 0 ? 0 : errno;
}

}  // namespace

Result<std::string> stage_file(const std::string& filename, uint32_t flags) {
  const bool keep = (flags & INSTAR_SETTLE_NO_REPLACE) != 0;
  struct stat st {};
  const bool there = ::lstat(filename.c_str(), &st) == 0;
  if (there && keep) return could_not_create(filename, EEXIST);
  if (there && !S_ISREG(st.st_mode)) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  std::string name = name_beside(filename);
  const Descriptor fd(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (fd) return name;
  if (keep) return could_not_create(filename, errno);
  return fail(ENOTSUP, sdk::errno_text(errno));
}

Status settle_file(const std::string& staged, const std::string& filename, uint32_t flags) {
  int error = 0;
  if ((flags & INSTAR_SETTLE_NO_REPLACE) != 0) {
    error = rename_to_free(staged, filename);
  } else {
    INSTAR_CHECK(take_over(staged, filename));
    if (::rename(staged.c_str(), filename.c_str()) != 0) error = errno;
  }
  if (error == 0 && (flags & INSTAR_SETTLE_DURABLE) != 0) error = flush_folder(filename);
  if (error != 0) return could_not_create(filename, error);
  return {};
}

}  // namespace instar::file
