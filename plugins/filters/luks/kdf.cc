// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/kdf.hpp"

#include <gcrypt.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

#include "plugins/filters/luks/header.hpp"
#include "plugins/filters/luks/key_derivation.hpp"
#include "plugins/filters/luks/sector_cipher.hpp"

namespace instar::luks {
namespace {

using sdk::fail;

struct NamedKdf {
  std::string_view name;
  KdfType type;
};
constexpr std::array<NamedKdf, 3> kKdfs = {{{"pbkdf2", KdfType::kPbkdf2},
                                            {"argon2i", KdfType::kArgon2i},
                                            {"argon2id", KdfType::kArgon2id}}};

constexpr uint64_t kMaxLanes = 64;
constexpr uint64_t kMaxPasses = UINT32_MAX;
/** KiB that are passed over at most, for one key. */
constexpr double kMaxArgon2Work = 1 << 28;
/** Fewer passes make Argon2i weak; memory is given up first. */
constexpr uint64_t kMinPasses = 4;
/** Of a lane; below it a thread takes longer to start than to work. KiB. */
constexpr uint64_t kThreadedLane = 1024;

sdk::ConstBytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/** libgcrypt's jobs, one a lane, each in a thread. */
class Lanes {
 public:
  gcry_kdf_thread_ops_t ops() { return {this, &dispatch, &wait}; }

 private:
  static int dispatch(void* self, gcry_kdf_job_fn_t job, void* data) noexcept {
    try {
      static_cast<Lanes*>(self)->threads_.emplace_back([=] { job(data); });
    } catch (const std::exception&) {
      job(data);  // no thread to be had
    }
    return 0;
  }
  static int wait(void* self) noexcept {
    static_cast<Lanes*>(self)->threads_.clear();
    return 0;
  }
  std::vector<std::jthread> threads_;
};

sdk::Status run_argon2(const Kdf& kdf, sdk::ConstBytes password, sdk::Bytes key) {
  INSTAR_CHECK(prepare_gcrypt());
  const unsigned long parameters[] = {key.size(), kdf.iterations, kdf.memory, kdf.lanes};
  const int variant = kdf.type == KdfType::kArgon2i ? GCRY_KDF_ARGON2I : GCRY_KDF_ARGON2ID;
  static constexpr uint8_t kNothing = 0;
  gcry_kdf_hd_t handle = nullptr;
  auto error = gcry_kdf_open(&handle, GCRY_KDF_ARGON2, variant, parameters, std::size(parameters),
                             password.empty() ? &kNothing : password.data(), password.size(),
                             kdf.salt.data(), kdf.salt.size(), nullptr, 0, nullptr, 0);
  if (gcry_err_code(error) == GPG_ERR_ENOMEM)
    return fail(ENOMEM, "The key derivation needs ", kdf.memory / 1024,
                " MiB of memory: ", sdk::errno_text(ENOMEM));
  if (error != 0) return fail(EINVAL, "Argon2: ", gcrypt_text(error));
  Lanes lanes;
  const auto ops = lanes.ops();
  const bool threads = kdf.lanes > 1 && kdf.memory / kdf.lanes >= kThreadedLane;
  error = gcry_kdf_compute(handle, threads ? &ops : nullptr);
  if (error == 0) error = gcry_kdf_final(handle, key.size(), key.data());
  gcry_kdf_close(handle);
  if (error != 0) return fail(EIO, "Argon2: ", gcrypt_text(error));
  return {};
}

/** Milliseconds that one run takes. */
sdk::Result<double> time_of(const Kdf& kdf, size_t key_size) {
  static constexpr uint8_t kPassword[] = "password";
  SecureBytes key(key_size);
  const auto begin = std::chrono::steady_clock::now();
  INSTAR_CHECK(run_argon2(kdf, kPassword, key.bytes()));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  return std::max(took.count(), 0.01);
}

/** Passes over all the memory that is allowed; where the time is too short for that, less memory. */
sdk::Status choose_costs(Kdf& kdf, size_t key_size, uint64_t iter_time, uint64_t max_memory) {
  kdf.lanes = std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  kdf.iterations = kMinPasses;
  kdf.memory = std::min<uint64_t>(max_memory, 4096);
  INSTAR_TRY(const double took, time_of(kdf, key_size));
  const double work = static_cast<double>(kMinPasses * kdf.memory) *
                      static_cast<double>(std::min<uint64_t>(iter_time, 3'600'000)) / took;
  const auto bounded = [](double value, uint64_t low, uint64_t high) {
    return value >= static_cast<double>(high) ? high : std::max(low, static_cast<uint64_t>(value));
  };
  kdf.memory = bounded(work / kMinPasses, kMinKdfMemory, max_memory);
  kdf.iterations = bounded(work / static_cast<double>(kdf.memory), kMinPasses, kMaxPasses);
  return {};
}

}  // namespace

std::optional<KdfType> find_kdf(std::string_view name) {
  for (const auto& kdf : kKdfs)
    if (kdf.name == name) return kdf.type;
  return std::nullopt;
}

std::string_view name_of(KdfType type) {
  return kKdfs[static_cast<size_t>(type)].name;
}

sdk::Status check_kdf(const Kdf& kdf) {
  if (kdf.iterations == 0) return fail(EINVAL, "PBKDF iteration count is zero");
  if (kdf.iterations > UINT32_MAX)
    return fail(EINVAL, "PBKDF iterations ", kdf.iterations, " must be less than ", kMaxIterations);
  if (!kdf.is_argon2()) return {};
  if (kdf.lanes == 0 || kdf.lanes > kMaxLanes)
    return fail(EINVAL, "Argon2 lanes ", kdf.lanes, " must be between 1 and ", kMaxLanes);
  if (kdf.memory < 8 * kdf.lanes || kdf.memory > kMaxKdfMemory)
    return fail(EINVAL, "Argon2 memory of ", kdf.memory, " KiB must be between ", 8 * kdf.lanes,
                " and ", kMaxKdfMemory);
  return {};
}

double work_of(const Kdf& kdf) {
  const auto iterations = static_cast<double>(kdf.iterations);
  if (!kdf.is_argon2()) return iterations / static_cast<double>(kMaxIterations);
  return iterations * static_cast<double>(kdf.memory) / kMaxArgon2Work;
}

sdk::Status derive_key(const Kdf& kdf, sdk::ConstBytes password, sdk::Bytes key) {
  INSTAR_CHECK(check_kdf(kdf));
  if (kdf.is_argon2()) return run_argon2(kdf, password, key);
  return derive_key(*kdf.hash, password, bytes_of(kdf.salt), kdf.iterations, key);
}

sdk::Result<Kdf> make_kdf(KdfType type, const Hash& hash, size_t key_size, uint64_t iter_time,
                          uint64_t max_memory) {
  Kdf kdf;
  kdf.type = type;
  kdf.salt.resize(kSaltSize);
  INSTAR_CHECK(fill_random({reinterpret_cast<uint8_t*>(kdf.salt.data()), kdf.salt.size()}));
  if (kdf.is_argon2()) {
    INSTAR_CHECK(choose_costs(kdf, key_size, iter_time, max_memory));
    return kdf;
  }
  kdf.hash = &hash;
  INSTAR_TRY(const uint64_t speed, iterations_per_second(hash, key_size));
  INSTAR_TRY(kdf.iterations, scale_iterations(speed, iter_time, 1));
  return kdf;
}

}  // namespace instar::luks
