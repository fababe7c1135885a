/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program: records what it does to some files, in order.
 *
 * POWER_FILES names them, separated by ':'; POWER_LOG is where the records go. A record is a kind ('w' write, 'z' zeroes,
 * 's' a new size, 'f' flush), the file's number, its offset (of 's': the size) and length, all as 64-bit numbers in the
 * machine's order; a write's bytes follow.
 *
 * POWER_FOLDER, if it is there, is a folder: of the files that are made in it all is recorded, too, and that they are made
 * ('c'; the name follows, and length is its), renamed ('r': both names, with a NUL between) and removed ('u'), and that the
 * folder is flushed ('d'). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FILES = 64 };

static struct {
  dev_t device;
  ino_t inode;
} files[MOST_FILES];
static int file_count;
static FILE* record_file;
static const char* folder;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
  const char* names = getenv("POWER_FILES");
  const char* log = getenv("POWER_LOG");
  if (names == NULL || log == NULL) return;
  char* copy = strdup(names);
  for (char* name = strtok(copy, ":"); name != NULL && file_count < MOST_FILES;
       name = strtok(NULL, ":")) {
    struct stat st;
    if (stat(name, &st) != 0) abort();
    files[file_count].device = st.st_dev;
    files[file_count++].inode = st.st_ino;
  }
  free(copy);
  folder = getenv("POWER_FOLDER");
  record_file = fopen(log, "wb");
  if (record_file == NULL) abort();
}

__attribute__((destructor)) static void end(void) {
  if (record_file != NULL) fclose(record_file);
}

static int number_of(int fd) {
  struct stat st;
  if (record_file == NULL || fstat(fd, &st) != 0) return -1;
  for (int i = 0; i < file_count; ++i)
    if (files[i].device == st.st_dev && files[i].inode == st.st_ino) return i;
  return -1;
}

static void put(char kind, int number, uint64_t offset, uint64_t length) {
  const uint64_t fields[4] = {(uint64_t)kind, (uint64_t)number, offset, length};
  if (fwrite(fields, sizeof fields, 1, record_file) != 1) abort();
}

/** The bytes as they are in the file now. */
static void put_write(int fd, int number, uint64_t offset, ssize_t length) {
  if (length <= 0) return;
  put('w', number, offset, (uint64_t)length);
  char buffer[4096];
  for (ssize_t done = 0; done < length;) {
    const size_t most =
        (size_t)(length - done) < sizeof buffer ? (size_t)(length - done) : sizeof buffer;
    const ssize_t n = pread(fd, buffer, most, (off_t)(offset + (uint64_t)done));
    if (n <= 0 || fwrite(buffer, (size_t)n, 1, record_file) != 1) abort();
    done += n;
  }
}

#define RECORDED(call, on_success)        \
  const int number = number_of(fd);       \
  if (number < 0) return (call);          \
  pthread_mutex_lock(&mutex);             \
  const __typeof__(call) result = (call); \
  if (result >= 0) {                      \
    on_success;                           \
  }                                       \
  pthread_mutex_unlock(&mutex);           \
  return result

ssize_t pwrite64(int fd, const void* data, size_t length, off64_t offset) {
  RECORDED(REAL(pwrite64)(fd, data, length, offset),
           put_write(fd, number, (uint64_t)offset, result));
}
ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) {
  return pwrite64(fd, data, length, offset);
}

ssize_t pwritev64(int fd, const struct iovec* iov, int count, off64_t offset) {
  RECORDED(REAL(pwritev64)(fd, iov, count, offset),
           put_write(fd, number, (uint64_t)offset, result));
}
ssize_t pwritev(int fd, const struct iovec* iov, int count, off_t offset) {
  return pwritev64(fd, iov, count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec* iov, int count, off64_t offset, int flags) {
  RECORDED(REAL(pwritev64v2)(fd, iov, count, offset, flags),
           put_write(fd, number, (uint64_t)offset, result));
}
ssize_t pwritev2(int fd, const struct iovec* iov, int count, off_t offset, int flags) {
  return pwritev64v2(fd, iov, count, offset, flags);
}

ssize_t copy_file_range(int from, off64_t* from_offset, int fd, off64_t* to_offset, size_t length,
                        unsigned flags) {
  const off64_t at = to_offset != NULL ? *to_offset : lseek64(fd, 0, SEEK_CUR);
  RECORDED(REAL(copy_file_range)(from, from_offset, fd, to_offset, length, flags),
           put_write(fd, number, (uint64_t)at, result));
}

int ftruncate64(int fd, off64_t size) {
  RECORDED(REAL(ftruncate64)(fd, size), put('s', number, (uint64_t)size, 0));
}
int ftruncate(int fd, off_t size) {
  return ftruncate64(fd, size);
}

static void put_allocation(int fd, int number, int mode, uint64_t offset, uint64_t length) {
  struct stat st;
  if (fstat(fd, &st) != 0) abort();
  if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) put('z', number, offset, length);
  put('s', number, (uint64_t)st.st_size, 0);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  RECORDED(REAL(fallocate64)(fd, mode, offset, length),
           put_allocation(fd, number, mode, (uint64_t)offset, (uint64_t)length));
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
  return fallocate64(fd, mode, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
  RECORDED(REAL(posix_fallocate64)(fd, offset, length),
           put_allocation(fd, number, 0, (uint64_t)offset, (uint64_t)length));
}
int posix_fallocate(int fd, off_t offset, off_t length) {
  return posix_fallocate64(fd, offset, length);
}

int fdatasync(int fd) {
  RECORDED(REAL(fdatasync)(fd), put('f', number, 0, 0));
}

static void put_names(char kind, int number, const char* names, size_t length) {
  put(kind, number, 0, length);
  if (fwrite(names, length, 1, record_file) != 1) abort();
}

/** The name of a file in the folder; NULL of others. */
static const char* name_in_folder(const char* path, char* resolved) {
  char parent[PATH_MAX];
  if (folder == NULL || record_file == NULL || strlen(path) >= sizeof parent) return NULL;
  const char* slash = strrchr(path, '/');
  const char* name = slash == NULL ? path : slash + 1;
  snprintf(parent, sizeof parent, "%.*s", slash == NULL ? 1 : (int)(name - path),
           slash == NULL ? "." : path);
  return realpath(parent, resolved) != NULL && strcmp(resolved, folder) == 0 ? name : NULL;
}

int fsync(int fd) {
  char path[64], target[PATH_MAX] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int is_folder = folder != NULL && record_file != NULL &&
                        readlink(path, target, sizeof target - 1) > 0 &&
                        strcmp(target, folder) == 0;
  if (is_folder) put('d', 0, 0, 0);
  RECORDED(REAL(fsync)(fd), put('f', number, 0, 0));
}

static int note_opened(int fd, const char* path, int flags) {
  char resolved[PATH_MAX];
  struct stat st;
  const char* name = fd >= 0 && (flags & O_CREAT) != 0 ? name_in_folder(path, resolved) : NULL;
  if (name == NULL || number_of(fd) >= 0 || fstat(fd, &st) != 0) return fd;
  if (file_count == MOST_FILES) abort();
  files[file_count].device = st.st_dev;
  files[file_count].inode = st.st_ino;
  put_names('c', file_count++, name, strlen(name));
  return fd;
}

static mode_t mode_of(int flags, va_list more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = mode_of(flags, more);
  va_end(more);
  return note_opened(REAL(open64)(path, flags, mode), path, flags);
}
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = mode_of(flags, more);
  va_end(more);
  return note_opened(REAL(open)(path, flags, mode), path, flags);
}

static int note_renamed(int result, const char* from, const char* to) {
  char resolved[PATH_MAX], names[2 * PATH_MAX];
  const char* old_name = result == 0 ? name_in_folder(from, resolved) : NULL;
  const char* new_name = old_name != NULL ? name_in_folder(to, resolved) : NULL;
  if (new_name == NULL) return result;
  const int length = snprintf(names, sizeof names, "%s%c%s", old_name, 0, new_name);
  put_names('r', 0, names, (size_t)length);
  return result;
}

int rename(const char* from, const char* to) {
  return note_renamed(REAL(rename)(from, to), from, to);
}
int renameat2(int old_folder, const char* from, int new_folder, const char* to, unsigned flags) {
  return note_renamed(REAL(renameat2)(old_folder, from, new_folder, to, flags), from, to);
}

int unlink(const char* path) {
  char resolved[PATH_MAX];
  const char* name = name_in_folder(path, resolved);
  const int result = REAL(unlink)(path);
  if (result == 0 && name != NULL) put_names('u', 0, name, strlen(name));
  return result;
}
