// SPDX-License-Identifier: Apache-2.0
// MB/s of one core for large buffers, and how fast keys are derived.
#include <time.h>

#include <cstdio>
#include <vector>

#include "plugins/filters/luks/key_derivation.hpp"
#include "plugins/filters/luks/sector_cipher.hpp"

namespace {

using namespace instar::luks;

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void measure(const char* name, Mode mode) {
  CipherSpec spec;
  spec.cipher = find_cipher(name);
  spec.mode = mode;
  SecureBytes key(spec.key_size());
  if (!fill_random(key.bytes())) return;
  auto cipher = SectorCipher::open(spec, key);
  std::vector<uint8_t> data(1 << 20);
  for (const bool encrypt : {true, false}) {
    const double begin = thread_seconds();
    double took = 0;
    size_t rounds = 0;
    while (took < 0.5) {
      if (!(encrypt ? (*cipher)->encrypt(rounds << 11, data)
                    : (*cipher)->decrypt(rounds << 11, data)))
        return;
      ++rounds;
      took = thread_seconds() - begin;
    }
    std::printf("%s-%s %s: %.0f MB/s\n", name, std::string(name_of(mode)).c_str(),
                encrypt ? "encrypt" : "decrypt",
                static_cast<double>(rounds * data.size()) / took / 1e6);
  }
}

}  // namespace

int main() {
  for (const char* name : {"aes-128", "aes-256", "serpent-256", "twofish-256"})
    measure(name, Mode::kXts);
  measure("aes-128", Mode::kCbc);
  for (const char* name : {"sha1", "sha256", "sha512"})
    if (const auto speed = iterations_per_second(*find_hash(name), 20))
      std::printf("pbkdf2 %s: %.2f million/s\n", name, static_cast<double>(*speed) / 1e6);
}
