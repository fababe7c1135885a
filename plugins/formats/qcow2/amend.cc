// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/amend.hpp"

#include <bit>

namespace instar::qcow2 {

/** The options that were given, checked as far as they can be one by one. */
Result<Image::Amendment> Image::read_amendment(const sdk::Options& options) const {
  Amendment wanted;
  wanted.version = header_.version;
  wanted.refcount_order = header_.refcount_order;
  wanted.data_file_raw = header_.data_file_raw();
  wanted.lazy_refcounts = (header_.compatible & kCompatLazyRefcounts) != 0;
  for (const char* name : {"encrypt.iter-time", "encrypt.keyslot", "encrypt.new-secret",
                           "encrypt.old-secret", "encrypt.state"}) {
    if (!options.has(name)) continue;
    if (header_.crypt_method == kCryptNone)
      return fail(EINVAL, "Can't amend encryption options - encryption not present");
    if (header_.crypt_method != kCryptLuks)
      return fail(ENOTSUP, "Only LUKS encryption options can be amended");
    wanted.key_slots = true;
  }
  if (options.has("backing_file")) wanted.backing_file = options.text("backing_file");
  if (options.has("backing_fmt")) wanted.backing_format = options.text("backing_fmt");
  if (options.has("compat")) {
    const std::string compat = options.text("compat");
    if (compat == "0.10" || compat == "v2")
      wanted.version = 2;
    else if (compat == "1.1" || compat == "v3")
      wanted.version = 3;
    else
      return fail(EINVAL, "Unknown compatibility level ", compat);
  }
  if (options.has("data_file")) {
    if (!header_.has_data_file())
      return fail(EINVAL, "data-file can only be set for images that use an external data file");
    wanted.data_file = options.text("data_file");
  }
  if (options.has("data_file_raw")) {
    wanted.data_file_raw = options.flag("data_file_raw");
    if (wanted.data_file_raw && !header_.data_file_raw())
      return fail(EINVAL, "data-file-raw cannot be set on existing images");
  }
  if (options.has("lazy_refcounts")) wanted.lazy_refcounts = options.flag("lazy_refcounts");
  if (options.has("refcount_bits")) {
    const uint64_t bits = options.number("refcount_bits");
    if (bits > 64 || !std::has_single_bit(bits))
      return fail(EINVAL, "Refcount width must be a power of two and may not exceed 64 bits");
    wanted.refcount_order = static_cast<uint32_t>(std::countr_zero(bits));
  }
  wanted.size = options.number("size");
  return wanted;
}

Status Image::amend(const Call& call, const sdk::Options& options, bool force,
                    const instar_progress* progress) {
  if ((flags_ & INSTAR_OPEN_WRITE) == 0) return fail(EACCES, sdk::errno_text(EACCES));
  INSTAR_TRY(const Amendment wanted, read_amendment(options));
  {
    Lock lock(mutex_);
    ranges_.wait(lock, 0, UINT64_MAX, Mode::kExclusive);
  }
  const uint32_t old_version = header_.version;
  AmendProgress steps(progress, (wanted.version != old_version ? 1u : 0u) +
                                    (wanted.refcount_order != header_.refcount_order ? 1u : 0u) +
                                    (wanted.key_slots ? 1u : 0u));
  // Up first, down last: other changes may need the one or be needed for the other.
  if (wanted.version > old_version) INSTAR_CHECK(upgrade(call, steps));
  if (wanted.key_slots) INSTAR_CHECK(cipher_->amend(call, options, header_, file_, force));
  if (wanted.refcount_order != header_.refcount_order) {
    if (wanted.version < 3 && wanted.refcount_order != 4)
      return fail(EINVAL,
                  "Refcount widths other than 16 bits require compatibility level 1.1 or above "
                  "(use compat=1.1 or greater)");
    INSTAR_CHECK(change_refcount_width(call, wanted.refcount_order, steps));
  }
  {
    const Lock lock(mutex_);
    Header next = header_;
    if (!wanted.data_file_raw) next.autoclear &= ~uint64_t{kAutoclearDataFileRaw};
    if (wanted.data_file) next.data_file = wanted.data_file;
    if (next.data_file && next.data_file->empty()) next.data_file.reset();
    if (const auto written = update_header(call, next); !written)
      return fail(written.error().code,
                  "Failed to update the image header: ", written.error().message);
  }
  const auto present =
      header_.backing_file.empty() ? std::nullopt : std::optional(header_.backing_file);
  if ((wanted.backing_file || wanted.backing_format) &&
      (wanted.backing_file != present || wanted.backing_format != header_.backing_format)) {
    Error error = fail(EINVAL, "Cannot amend the backing file");
    error.hint = "You can use 'qemu-img rebase' instead.";
    return error;
  }
  const bool lazy = (header_.compatible & kCompatLazyRefcounts) != 0;
  if (wanted.lazy_refcounts != lazy) {
    if (wanted.lazy_refcounts && wanted.version < 3)
      return fail(EINVAL,
                  "Lazy refcounts only supported with compatibility level 1.1 and above (use "
                  "compat=1.1 or greater)");
    INSTAR_CHECK(set_lazy_refcounts(call, wanted.lazy_refcounts));
  }
  if (wanted.size != 0)
    INSTAR_CHECK(resize(call, wanted.size, INSTAR_PREALLOCATION_OFF, INSTAR_RESIZE_EXACT, nullptr));
  if (wanted.version < old_version) return downgrade(call, steps);
  return {};
}

Status Image::set_lazy_refcounts(const Call& call, bool on) {
  const Lock lock(mutex_);
  Header next = header_;
  next.compatible &= ~uint64_t{kCompatLazyRefcounts};
  if (on) next.compatible |= kCompatLazyRefcounts;
  if (const auto written = update_header(call, next); !written)
    return fail(written.error().code,
                "Failed to update the image header: ", written.error().message);
  return {};
}

}  // namespace instar::qcow2
