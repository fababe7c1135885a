/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program: records what it does to some files, in order.
 *
 * POWER_FILES names them, separated by ':'; POWER_LOG is where the records go. A record is a kind ('w' write, 'z' zeroes,
 * 's' a new size, 'f' flush), the file's number, its offset (of 's': the size) and length, all as 64-bit numbers in the
 * machine's order; a write's bytes follow. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FILES = 8 };

static struct {
  dev_t device;
  ino_t inode;
} files[MOST_FILES];
static int file_count;
static FILE* record_file;
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
int fsync(int fd) {
  RECORDED(REAL(fsync)(fd), put('f', number, 0, 0));
}
