// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {
constexpr size_t kRunsAtOnce = 512;
}

Status Image::read(const Call& call, uint64_t offset, IoVec to) {
  if (corruption_.stopped()) return fail(ENOMEDIUM, sdk::errno_text(ENOMEDIUM));
  const uint64_t length = to.length();
  const bool writable = (flags_ & INSTAR_OPEN_WRITE) != 0;
  std::vector<Run> runs;
  for (uint64_t done = 0; done < length;) {
    runs.clear();
    const uint64_t begin = offset + done;
    {
      Lock lock(mutex_);
      if (writable) ranges_.wait(lock, begin, offset + length, Mode::kShared);
      INSTAR_CHECK(l2_.scan(call, begin, length - done, kRunsAtOnce, &runs));
      if (writable) ranges_.add(begin, runs.back().guest + runs.back().length, Mode::kShared);
    }
    Status result;
    for (const Run& run : runs) {
      result = read_run(call, run, to, done);
      if (!result) break;
      done += run.length;
    }
    if (writable) {
      const Lock lock(mutex_);
      ranges_.remove(begin, runs.back().guest + runs.back().length, Mode::kShared);
    }
    INSTAR_CHECK(std::move(result));
  }
  return {};
}

Status Image::read_run(const Call& call, const Run& run, const IoVec& to, uint64_t position) {
  switch (run.kind) {
    case Kind::kData:
      return read_plain(call, run, to, position);
    case Kind::kUnallocated:
    case Kind::kUnallocatedPlaced:
      return read_backing(call, run.guest, to, position, run.length);
    case Kind::kCompressed:
      return read_packed(call, run, to, position);
    case Kind::kZero:
    case Kind::kZeroAllocated:
      break;
  }
  to.fill_zero(position, run.length);
  return {};
}

Status Image::read_plain(const Call& call, const Run& run, const IoVec& to, uint64_t position) {
  file_.say("read_aio");
  INSTAR_CHECK(data().read(call, run.host, to, position, run.length));
  if (!cipher_) return {};
  return cipher_->decrypt(run.guest, run.host, to, position, run.length);
}

Status Image::read_backing(const Call& call, uint64_t guest, const IoVec& to, uint64_t position,
                           uint64_t length) {
  const uint64_t present = guest < backing_size_ ? std::min(length, backing_size_ - guest) : 0;
  if (present < length) to.fill_zero(position + present, length - present);
  if (present == 0) return {};
  const IoSlice slice(to, position, present);
  file_.say("read_backing_aio");
  return backing_.read(call, guest, slice.vec());
}

/** For a request that has the range locked already. */
Status Image::read_unlocked(const Call& call, uint64_t guest, void* to, uint64_t length) {
  const instar_iovec piece{to, length};
  const IoVec whole(&piece, 1);
  std::vector<Run> runs;
  for (uint64_t done = 0; done < length;) {
    runs.clear();
    {
      const Lock lock(mutex_);
      INSTAR_CHECK(l2_.scan(call, guest + done, length - done, kRunsAtOnce, &runs));
    }
    for (const Run& run : runs) {
      INSTAR_CHECK(read_run(call, run, whole, done));
      done += run.length;
    }
  }
  return {};
}

}  // namespace instar::qcow2
