// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nfs/nfs_node.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "sdk/cpp/one_piece.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::nfs {

namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::cat;
using sdk::ConstBytes;
using sdk::errno_text;
using sdk::fail;
using sdk::IoVec;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr std::chrono::seconds kDefaultLimit(60);
constexpr std::chrono::seconds kRemoveLimit(1);
/** A flush may have much to write. */
constexpr int kFlushPatience = 10;
/** New files are whole sectors. */
constexpr uint64_t kSector = 512;
constexpr uint64_t kMostReadAhead = 1 << 20;
constexpr uint64_t kMostPages = 2048;
constexpr uint64_t kMostDebug = 2;

/** Checks what libnfs is told about caches, and keeps it within bounds. */
Status bound_caches(const Call& call, Place& place, bool direct) {
  if (direct && place.read_ahead != 0)
    return fail(EINVAL, "Cannot enable NFS readahead if cache.direct = on");
  if (direct && place.page_cache != 0)
    return fail(EINVAL, "Cannot enable NFS pagecache if cache.direct = on");
  const auto bound = [&](uint64_t& value, uint64_t most, std::string_view what,
                         std::string_view unit) {
    if (value <= most) return;
    call.warn(cat(what, " to ", most, unit));
    value = most;
  };
  bound(place.read_ahead, kMostReadAhead, "Truncating NFS readahead size", "");
  bound(place.page_cache, kMostPages, "Truncating NFS pagecache size", " pages");
  bound(place.debug, kMostDebug, "Limiting NFS debug level", "");
  return {};
}

}  // namespace

Result<std::unique_ptr<NfsNode>> NfsNode::open(sdk::OpenContext& context) {
  const Options options = context.options();
  INSTAR_TRY(Place place, read_place(options));
  INSTAR_CHECK(bound_caches(context.call(), place, context.has_flag(INSTAR_OPEN_NO_CACHE)));
  const uint64_t limit =
      options.number("request-timeout", static_cast<uint64_t>(kDefaultLimit.count()));
  auto node = std::make_unique<NfsNode>(context.host(), std::move(place),
                                        std::chrono::seconds(std::min<uint64_t>(limit, INT32_MAX)));
  INSTAR_CHECK(node->connect(context.call(), context.writable() ? Access::kWrite : Access::kRead));
  return node;
}

Status NfsNode::create(sdk::CreateContext& context) {
  INSTAR_TRY(Place place, read_place(context.filename()));
  INSTAR_CHECK(bound_caches(context.call(), place, false));
  NfsNode node(context.host(), std::move(place), kDefaultLimit);
  INSTAR_CHECK(node.connect(context.call(), Access::kCreate));
  const uint64_t size = sdk::round_up(context.options().number("size"), kSector);
  return node.resize(context.call(), size, INSTAR_PREALLOCATION_OFF, 0, nullptr);
}

Status NfsNode::remove(sdk::Host, const std::string& filename) {
  INSTAR_TRY(const Place place, read_place(filename));
  const Call call(nullptr);
  INSTAR_TRY(const auto mount, Mount::open(call, place, Access::kRead, kRemoveLimit));
  const std::string file(place.file());
  bool plain = false;  // a link stays
  INSTAR_CHECK(mount->run(
      call,
      [&](nfs_context* nfs, nfsfh*, nfs_cb done, void* opaque) {
        return nfs_lstat64_async(nfs, file.c_str(), done, opaque);
      },
      [&](int, const void* data) {
        plain = S_ISREG(static_cast<const nfs_stat_64*>(data)->nfs_mode);
      }));
  if (!plain) return {};
  INSTAR_CHECK(mount->run(call, [&](nfs_context* nfs, nfsfh*, nfs_cb done, void* opaque) {
    return nfs_unlink_async(nfs, file.c_str(), done, opaque);
  }));
  return {};
}

Result<std::string> NfsNode::parse_filename(std::string_view filename) {
  INSTAR_TRY(const Settings settings, parse_name(filename));
  sdk::JsonWriter json;
  json.begin_object();
  for (const auto& [name, text] : settings)
    json.field(name, text);
  json.end_object();
  return json.text();
}

Status NfsNode::connect(const Call& call, Access access) {
  INSTAR_TRY(mount_, Mount::open(call, place_, access, limit_));
  access_ = access == Access::kCreate ? Access::kWrite : access;
  INSTAR_TRY(const nfs_stat_64 now, status(call, *mount_));
  regular_ = S_ISREG(now.nfs_mode);
  file_id_ = now.nfs_ino;
  size_ = now.nfs_size;
  return {};
}

Result<nfs_stat_64> NfsNode::status(const Call& call, Mount& mount) const {
  nfs_stat_64 now{};
  const auto asked = mount.run(
      call,
      [](nfs_context* nfs, nfsfh* file, nfs_cb done, void* opaque) {
        return nfs_fstat64_async(nfs, file, done, opaque);
      },
      [&](int, const void* data) { std::memcpy(&now, data, sizeof now); });
  if (!asked)
    return fail(asked.error().code, "Failed to fstat file: ", errno_text(asked.error().code));
  if (now.nfs_size > INT64_MAX) return fail(EFBIG, "the server gives an impossible size");
  return now;
}

/** The connection, or a new one for one that was lost, if nothing can have been lost with it. */
Result<std::shared_ptr<Mount>> NfsNode::current(const Call& call) {
  const std::lock_guard lock(mutex_);
  if (!mount_->lost()) return mount_;
  if (unflushed()) return fail(EIO, errno_text(EIO));
  INSTAR_TRY(std::shared_ptr<Mount> mount, Mount::open(call, place_, access_, limit_));
  INSTAR_TRY(const nfs_stat_64 now, status(call, *mount));
  if (now.nfs_ino != file_id_ || now.nfs_size != size())
    return fail(EIO, "The file is not what it was before the connection was lost");
  mount_ = std::move(mount);
  return mount_;
}

/** Once more where the connection was cut: every request may be made again. What a server says no
 * with is printed apart, as the genuine tool does. */
Result<int> NfsNode::request(const Call& call, const Mount::Send& send, const Mount::Take& take,
                             int patience) {
  for (bool again = false;; again = true) {
    INSTAR_TRY(const std::shared_ptr<Mount> mount, current(call));
    auto answer = mount->run(call, send, take, patience);
    if (answer) return answer;
    auto& error = answer.error();
    const bool lost = mount->lost();
    if (!lost) {
      (void)host_.print_error(cat("NFS Error: ", error.message));
      error.message = errno_text(error.code);
    }
    if (again || !lost || unflushed() || error.code == ETIMEDOUT || call.cancelled()) return answer;
  }
}

void NfsNode::limits(instar_node_limits& limits) const {
  limits.flags |= INSTAR_NODE_REMOTE;
  if (regular_) limits.flags |= INSTAR_NODE_ZERO_INIT;
  if (access_ != Access::kRead) return;
  limits.flags |= INSTAR_NODE_READ_ONLY;
  limits.can_write = INSTAR_ABILITY_NONE;
}

Status NfsNode::read_bytes(const Call& call, uint64_t offset, Bytes to) {
  while (!to.empty()) {
    INSTAR_TRY(const int got, request(
                                  call,
                                  [&](nfs_context* nfs, nfsfh* file, nfs_cb done, void* opaque) {
                                    return nfs_pread_async(nfs, file, offset, to.size(), done,
                                                           opaque);
                                  },
                                  [&](int number, const void* data) {
                                    const auto n = static_cast<size_t>(number);
                                    std::memcpy(to.data(), data, std::min(n, to.size()));
                                  }));
    const auto n = std::min(static_cast<size_t>(got), to.size());
    if (n == 0) return fail(EIO, errno_text(EIO));  // the file has become shorter
    to = to.subspan(n);
    offset += n;
  }
  return {};
}

Status NfsNode::read(const Call& call, uint64_t offset, IoVec to) {
  const uint64_t length = to.length(), end = size();
  const uint64_t inside = offset < end ? std::min(length, end - offset) : 0;
  to.fill_zero(inside, length - inside);
  if (inside == 0) return {};
  return sdk::in_one_piece(to, inside,
                           [&](Bytes bytes) { return read_bytes(call, offset, bytes); });
}

Status NfsNode::write_bytes(const Call& call, uint64_t offset, ConstBytes from) {
  while (!from.empty()) {
    INSTAR_TRY(const int done,
               request(call, [&](nfs_context* nfs, nfsfh* file, nfs_cb done, void* opaque) {
                 return nfs_pwrite_async(nfs, file, offset, from.size(), from.data(), done, opaque);
               }));
    ++written_;
    const auto n = std::min(static_cast<size_t>(done), from.size());
    if (n == 0) return fail(EIO, errno_text(EIO));
    from = from.subspan(n);
    offset += n;
    uint64_t before = size_.load();
    while (before < offset && !size_.compare_exchange_weak(before, offset)) {
    }
  }
  return {};
}

Status NfsNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  if (from.length() > INT64_MAX - std::min<uint64_t>(offset, INT64_MAX))
    return fail(EFBIG, errno_text(EFBIG));
  INSTAR_CHECK(
      sdk::in_one_piece(from, [&](ConstBytes bytes) { return write_bytes(call, offset, bytes); }));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status();
}

Status NfsNode::flush(const Call& call) {
  if (access_ == Access::kRead) return {};
  const uint64_t before = written_.load();
  INSTAR_CHECK(request(
      call,
      [](nfs_context* nfs, nfsfh* file, nfs_cb done, void* opaque) {
        return nfs_fsync_async(nfs, file, done, opaque);
      },
      {}, kFlushPatience));
  uint64_t known = flushed_.load();
  while (known < before && !flushed_.compare_exchange_weak(known, before)) {
  }
  return {};
}

Status NfsNode::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t,
                       const instar_progress*) {
  INSTAR_CHECK(sdk::check_no_preallocation(preallocation));
  const auto done = request(call, [&](nfs_context* nfs, nfsfh* file, nfs_cb done, void* opaque) {
    return nfs_ftruncate_async(nfs, file, size, done, opaque);
  });
  if (!done)
    return fail(done.error().code, "Failed to truncate file: ", errno_text(done.error().code));
  size_ = size;
  return {};
}

Result<uint64_t> NfsNode::allocated_size() {
  const Call call(nullptr);
  INSTAR_TRY(const std::shared_ptr<Mount> mount, current(call));
  INSTAR_TRY(const nfs_stat_64 now, status(call, *mount));
  return now.nfs_blocks * 512;
}

}  // namespace instar::nfs

INSTAR_PLUGIN("nfs", "1.0.0", instar::sdk::protocol<instar::nfs::NfsNode>("nfs"))
