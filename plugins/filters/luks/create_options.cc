// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/create_options.hpp"

#include <bit>

#include "plugins/filters/luks/luks.hpp"

namespace instar::luks {
namespace {

/** The thing that an option names. */
template <class T, class Find>
sdk::Result<const T*> pick(const sdk::EncryptionArgs& args, std::string_view option,
                           std::string_view fallback, Find find) {
  const std::string name = args.options().text(option, fallback);
  const T* found = find(name);
  if (found == nullptr)
    return sdk::fail(EINVAL, "Parameter '", option, "' does not accept value '", name, "'");
  return found;
}

sdk::Result<const Cipher*> pick_cipher(const sdk::EncryptionArgs& args) {
  const std::string name = args.options().text("cipher-alg", "aes-256");
  if (is_foreign_cipher(name)) return sdk::fail(ENOTSUP, "Algorithm '", name, "' not supported");
  return pick<Cipher>(args, "cipher-alg", "aes-256",
                      [](std::string_view text) { return find_cipher(text); });
}

}  // namespace

sdk::Result<CreateOptions> read_create_options(const sdk::EncryptionArgs& args) {
  CreateOptions out{};
  auto& spec = out.meaning.spec;
  INSTAR_TRY(spec.cipher, pick_cipher(args));
  INSTAR_TRY(const Mode* mode, pick<Mode>(args, "cipher-mode", "xts", find_mode));
  INSTAR_TRY(const IvGenerator* generator,
             pick<IvGenerator>(args, "ivgen-alg", "plain64", find_iv_generator));
  INSTAR_TRY(out.meaning.hash, pick<Hash>(args, "hash-alg", "sha256", find_hash));
  spec.mode = *mode;
  spec.iv_generator = *generator;
  if (args.options().has("ivgen-hash-alg") || *generator == IvGenerator::kEssiv) {
    INSTAR_TRY(spec.iv_hash, pick<Hash>(args, "ivgen-hash-alg", "sha256", find_hash));
  }
  if (*generator == IvGenerator::kEssiv) {
    INSTAR_TRY(spec.iv_cipher, essiv_cipher(*spec.cipher, *spec.iv_hash));
  }
  out.iter_time = args.options().number("iter-time", kDefaultIterTime);
  return out;
}

sdk::Result<Luks2Choice> read_luks2_choice(const sdk::EncryptionArgs& args) {
  const auto options = args.options();
  Luks2Choice out;
  const std::string name = options.text("pbkdf", name_of(out.kdf));
  const auto kdf = find_kdf(name);
  if (!kdf) return sdk::fail(EINVAL, "Parameter 'pbkdf' does not accept value '", name, "'");
  out.kdf = *kdf;
  if (options.has("pbkdf-memory")) out.memory = options.number("pbkdf-memory") / 1024;
  if (out.memory < kMinKdfMemory || out.memory > kMaxKdfMemory)
    return sdk::fail(EINVAL, "pbkdf-memory must be between ", kMinKdfMemory, "k and ",
                     kMaxKdfMemory / 1024, "M");
  out.sector_size = options.number("sector-size", kSectorSize);
  if (out.sector_size < kSectorSize || out.sector_size > 4096 ||
      !std::has_single_bit(out.sector_size))
    return sdk::fail(EINVAL, "sector-size must be 512, 1024, 2048 or 4096");
  return out;
}

}  // namespace instar::luks
