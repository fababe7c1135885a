// SPDX-License-Identifier: Apache-2.0
// instar.check/1 of an open image, and the repair of one that was not closed.
#include "plugins/formats/qcow2/checker.hpp"
#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {

Status Image::check(const Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress*) {
  if (fix != 0 && (flags_ & INSTAR_OPEN_WRITE) == 0) return fail(EACCES, sdk::errno_text(EACCES));
  Lock lock(mutex_);
  if (corruption_.stopped()) return fail(ENOMEDIUM, sdk::errno_text(ENOMEDIUM));
  if (changed_) {
    INSTAR_CHECK(write_metadata(call, lock));
    INSTAR_CHECK(write_refcounts(call));
  }
  if (fix != 0) INSTAR_CHECK(drop_unknown_features(call));
  return check_locked(call, fix, result, messages);
}

/** What is in memory is on the disk, too, before and after. */
Status Image::check_locked(const Call& call, uint32_t fix, instar_check_result& result,
                           const instar_sink* messages) {
  std::vector<uint64_t> l1 = l2_.l1();
  Checker checker(host_, call,
                  {geometry_, header_, file_, l1, snapshots_, snapshots_bytes_, corruption_,
                   settings_.overlap_checks},
                  fix, messages);
  Status status = checker.run(&result);
  if (fix != 0) {
    l2_.replace_l1(std::move(l1), header_.l1_offset);
    refcounts_.reset();
    changed_ = false;
  }
  return status;
}

/** Before an image that was not closed is written to: its counts may be wrong. */
Status Image::repair_dirty(const Call& call) {
  const instar_sink sink{nullptr, [](void*, const char* text, size_t length) {
                           tell({text, length});
                           return 0;
                         }};
  instar_check_result result{};
  const Status status = check_locked(call, INSTAR_FIX_LEAKS | INSTAR_FIX_ERRORS, result, &sink);
  if (status && result.check_errors == 0) return {};
  const int code = status ? EIO : status.error().code;
  return fail(code, "Could not repair dirty image: ", sdk::errno_text(code));
}

}  // namespace instar::qcow2
