/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure COMMAND…: runs it with its output thrown away and prints, on one line, its exit status, wall
 * time and CPU time in nanoseconds and peak memory in KiB. A process of its own, since a command's
 * peak memory begins with that of whoever started it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(struct timespec t) {
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long microseconds(struct timeval t) {
  return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  const pid_t child = fork();
  if (child < 0) return 2;
  if (child == 0) {
    const int null = open("/dev/null", O_WRONLY);
    if (null < 0 || dup2(null, 1) < 0) _exit(126);
    execv(argv[1], argv + 1);
    _exit(127);
  }
  int status;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) != child) return 2;
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%d %lld %lld %ld\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128,
         nanoseconds(end) - nanoseconds(begin),
         (microseconds(usage.ru_utime) + microseconds(usage.ru_stime)) * 1000, usage.ru_maxrss);
  return 0;
}
