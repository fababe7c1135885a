// SPDX-License-Identifier: Apache-2.0
/** @file digest.hpp A cryptographic hash over bytes and runs of zeroes, computed by a thread of its
 * own. */
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sdk/cpp/result.hpp"

namespace instar::hash {

/** Names that Digest::start takes, separated by blanks. */
std::string algorithm_names();

/** One thread hands over, in order; a second one, the digest's own, hashes. */
class Digest {
 public:
  static constexpr size_t kBlock = 1 << 20;

  Digest();
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  /** To be called first. EINVAL: there is no such algorithm. */
  sdk::Status start(const std::string& algorithm);
  /** Memory of kBlock bytes to fill; waits until there is some. */
  uint8_t* block();
  /** Hashes the first `length` bytes of the block that was given last. */
  void add(size_t length);
  /** Hashes so many zeroes; waits while much is to be hashed already. */
  void add_zeroes(uint64_t length);
  /** Lower-case hexadecimal digits. Ends the digest. */
  std::string finish();

 private:
  struct Piece {
    std::vector<uint8_t> bytes;  ///< empty: zeroes
    uint64_t length = 0;
  };
  void work();
  void put(Piece piece);
  void stop();

  void* handle_ = nullptr;  ///< gcry_md_hd_t
  int algorithm_ = 0;
  std::vector<uint8_t> current_;  ///< what block() gave
  std::mutex mutex_;              ///< of what follows
  std::condition_variable changed_;
  std::deque<Piece> pieces_;
  std::vector<std::vector<uint8_t>> spare_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace instar::hash
