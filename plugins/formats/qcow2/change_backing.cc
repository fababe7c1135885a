// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {

/** Writes a changed header. No request is under way; the mutex is held. */
Status Image::update_header(const Call& call, const Header& next) {
  Header known = next;
  known.autoclear &= kAutoclearKnown;
  known.stale_bitmaps = false;
  INSTAR_CHECK(replace_header(call, file_, header_, known));
  header_ = std::move(known);
  return {};
}

Status Image::change_backing(const Call& call, const char* filename, const char* format) {
  Lock lock(mutex_);
  if ((flags_ & INSTAR_OPEN_WRITE) == 0) return fail(EACCES, sdk::errno_text(EACCES));
  const std::string_view name = filename != nullptr ? filename : "";
  const std::string_view format_name = format != nullptr ? format : "";
  // The raw file alone must be the whole content.
  if (!name.empty() && header_.data_file_raw()) return fail(EINVAL, sdk::errno_text(EINVAL));
  if (name.size() > kMaxBackingName) return fail(EINVAL, sdk::errno_text(EINVAL));
  ranges_.wait(lock, 0, UINT64_MAX, Mode::kExclusive);
  // The new backing file may show through from now on: what hides it is on the disk before.
  if (changed_) INSTAR_CHECK(write_metadata(call, lock));
  Header next = header_;
  next.backing_file = name;
  next.backing_format.reset();
  if (!name.empty() && !format_name.empty()) next.backing_format.emplace(format_name);
  return update_header(call, next);
}

}  // namespace instar::qcow2
