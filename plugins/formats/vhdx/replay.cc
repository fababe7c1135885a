// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/replay.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::fail;
using sdk::Status;

namespace {

constexpr uint64_t kMostInMemory = 64u << 20;  // bytes of metadata

Status replay_into_file(const Call& call, ImageFile& image, const LogSequence& sequence) {
  const Header header = image.headers.current();
  image.headers.renew_file_guid();
  INSTAR_CHECK(image.headers.write(call, image.file));
  INSTAR_CHECK(replay_log(call, image.file, header, sequence, [&](const LogChange& change) {
    return change.bytes != nullptr
               ? image.file.write(call, change.offset, change.bytes, change.length)
               : image.file.write_zeroes(call, change.offset, change.length, 0);
  }));
  if (image.file.size() < sequence.file_end)
    INSTAR_CHECK(image.file.resize(call, sdk::round_up(sequence.file_end, kAlignment)));
  INSTAR_CHECK(image.file.flush(call));
  image.headers.set_log_guid(Guid{});
  return image.headers.write(call, image.file);
}

/** The cache's changes are never written. */
Status replay_into_cache(const Call& call, ImageFile& image, const LogSequence& sequence) {
  uint64_t bytes = 0;
  return replay_log(
      call, image.file, image.headers.current(), sequence, [&](const LogChange& change) -> Status {
        bytes += change.length;
        if (change.length > kMostInMemory || bytes > kMostInMemory)
          return fail(EFBIG, "The image's log is too long to be replayed in memory");
        return change.bytes != nullptr
                   ? image.cache.write(call, change.offset, change.bytes, change.length)
                   : image.cache.write_zeroes(call, change.offset, change.length);
      });
}

}  // namespace

Status replay(const Call& call, ImageFile& image, bool writable) {
  INSTAR_TRY(const LogSequence sequence, find_log(call, image.file, image.headers.current()));
  image.end = image.file.size();
  if (sequence.empty()) return {};
  INSTAR_CHECK(writable ? replay_into_file(call, image, sequence)
                        : replay_into_cache(call, image, sequence));
  image.replayed = sequence.entries.size();
  image.end = std::max(image.file.size(), sdk::round_up(sequence.file_end, kAlignment));
  return {};
}

}  // namespace instar::vhdx
