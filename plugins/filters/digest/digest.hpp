// SPDX-License-Identifier: Apache-2.0
/** @file digest.hpp The hashes of libgcrypt. */
#pragma once

#include <gcrypt.h>

#include <memory>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::digest {

/** One digest under way. Not thread-safe. */
class Digest {
 public:
  /** @param algorithm enum gcry_md_algos. ENOTSUP where the library lacks it. */
  static sdk::Result<gcry_md_hd_t> begin(int algorithm);
  Digest(gcry_md_hd_t handle, int algorithm) : handle_(handle), algorithm_(algorithm) {}
  ~Digest() { gcry_md_close(handle_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void update(sdk::ConstBytes bytes) { gcry_md_write(handle_, bytes.data(), bytes.size()); }
  /** Length of the digest, or -ENOSPC. */
  int64_t finish(sdk::Bytes out);

 private:
  gcry_md_hd_t handle_;
  int algorithm_;
};

/** As the SDK wants it: a class for each algorithm. */
template <int kAlgorithm>
class DigestOf : public Digest {
 public:
  static sdk::Result<std::unique_ptr<DigestOf>> open() {
    INSTAR_TRY(gcry_md_hd_t handle, begin(kAlgorithm));
    return std::make_unique<DigestOf>(handle);
  }
  explicit DigestOf(gcry_md_hd_t handle) : Digest(handle, kAlgorithm) {}
};

}  // namespace instar::digest
