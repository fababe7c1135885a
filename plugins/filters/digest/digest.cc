// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/digest/digest.hpp"

#include <cstring>

namespace instar::digest {

namespace {

void prepare_library() {
  // Another plugin may have made it ready, with secure memory for its keys.
  if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0) return;
  gcry_check_version(nullptr);
  gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
  gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

}  // namespace

sdk::Result<gcry_md_hd_t> Digest::begin(int algorithm) {
  prepare_library();
  gcry_md_hd_t handle = nullptr;
  if (gcry_md_open(&handle, algorithm, 0) != 0)
    return sdk::fail(ENOTSUP, "libgcrypt was built without ", gcry_md_algo_name(algorithm));
  return handle;
}

int64_t Digest::finish(sdk::Bytes out) {
  const size_t length = gcry_md_get_algo_dlen(algorithm_);
  if (out.size() < length) return -ENOSPC;
  std::memcpy(out.data(), gcry_md_read(handle_, algorithm_), length);
  return static_cast<int64_t>(length);
}

}  // namespace instar::digest
