// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/secure.hpp"

#include <gcrypt.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>

namespace instar::luks {
namespace {

// A cipher takes some 3 KiB of it for every thread that uses it.
constexpr int kSecurePool = 256 * 1024;

size_t whole_pages(size_t size) {
  return sdk::round_up(size, static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
}

/** The mapping that an address lies in. */
sdk::Bytes mapping_of(const void* address) {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return {};
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  sdk::Bytes found;
  char line[512];
  while (found.empty() && std::fgets(line, sizeof line, maps) != nullptr) {
    void *begin = nullptr, *end = nullptr;
    if (std::sscanf(line, "%p-%p", &begin, &end) == 2 &&
        reinterpret_cast<uintptr_t>(begin) <= wanted && wanted < reinterpret_cast<uintptr_t>(end))
      found = {static_cast<uint8_t*>(begin), static_cast<uint8_t*>(end)};
  }
  std::fclose(maps);
  return found;
}

void keep_pool_out_of_dumps() {
  void* inside = gcry_malloc_secure(16);
  if (inside == nullptr) return;
  const auto pool = mapping_of(inside);
  if (!pool.empty()) madvise(pool.data(), pool.size(), MADV_DONTDUMP);
  gcry_free(inside);
}

sdk::Status prepare_now() {
  // Another library in this process may have made it ready already.
  if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
    if (gcry_check_version("1.8.0") == nullptr)
      return sdk::fail(ENOTSUP, "libgcrypt ", gcry_check_version(nullptr), " is too old");
    // Without the right to lock memory the pool still works; that is nothing to print.
    gcry_control(GCRYCTL_DISABLE_SECMEM_WARN, 0);
    gcry_control(GCRYCTL_DISABLE_PRIV_DROP, 0);
    gcry_control(GCRYCTL_INIT_SECMEM, kSecurePool, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
  }
  keep_pool_out_of_dumps();
  return {};
}

}  // namespace

SecureBytes::SecureBytes(size_t size) : size_(size) {
  if (size == 0) return;
  const size_t length = whole_pages(size);
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, length, MADV_DONTDUMP);
  // Beyond RLIMIT_MEMLOCK it works without.
  (void)mlock(memory, length);
  data_ = static_cast<uint8_t*>(memory);
}

SecureBytes::SecureBytes(SecureBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecureBytes& SecureBytes::operator=(SecureBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SecureBytes::~SecureBytes() {
  if (data_ == nullptr) return;
  explicit_bzero(data_, size_);
  munmap(data_, whole_pages(size_));
}

SecureBytes SecureBytes::copy() const {
  SecureBytes out(size_);
  if (size_ > 0) std::memcpy(out.data_, data_, size_);
  return out;
}

void SecureBytes::resize(size_t size) {
  SecureBytes out(size);
  if (data_ != nullptr && size > 0) std::memcpy(out.data_, data_, std::min(size, size_));
  *this = std::move(out);
}

bool equal_in_constant_time(sdk::ConstBytes a, sdk::ConstBytes b) {
  if (a.size() != b.size()) return false;
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference = difference | static_cast<uint8_t>(a[i] ^ b[i]);
  return difference == 0;
}

sdk::Status fill_random(sdk::Bytes to) {
  while (!to.empty()) {
    const ssize_t got = getrandom(to.data(), to.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sdk::fail(errno, "Unable to read random bytes: ", sdk::errno_text(errno));
    to = to.subspan(static_cast<size_t>(got));
  }
  return {};
}

sdk::Status make_uuid(char* to) {
  uint8_t bytes[16];
  INSTAR_CHECK(fill_random(bytes));
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  for (size_t i = 0; i < sizeof bytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
    *to++ = "0123456789abcdef"[bytes[i] >> 4];
    *to++ = "0123456789abcdef"[bytes[i] & 15];
  }
  return {};
}

sdk::Status prepare_gcrypt() {
  static std::once_flag once;
  static sdk::Status result;
  std::call_once(once, [] { result = prepare_now(); });
  return result;
}

}  // namespace instar::luks
