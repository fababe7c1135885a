// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/nbd_node.hpp"

#include <algorithm>
#include <vector>

#include "sdk/cpp/one_piece.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::nbd {

namespace {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr uint32_t kSector = 512;
constexpr uint32_t kMostTransfer = 32 << 20;
constexpr const char* kAllocation = "base:allocation";
/** Of "base:allocation". */
constexpr uint32_t kHole = 1;
constexpr uint32_t kZero = 2;

Patience read_patience(const Options& options) {
  const auto seconds = [&](const char* name) {
    return std::chrono::seconds(std::min<uint64_t>(options.number(name), UINT32_MAX));
  };
  return {seconds("open-timeout"), seconds("reconnect-delay"), seconds("request-timeout")};
}

/** What the options say, without connecting. */
Result<Target> read_target(const sdk::Host& host, const Options& options) {
  Target target;
  INSTAR_TRY(target.address, read_address(options));
  target.export_name = options.text("export");
  target.context = options.text("x-dirty-bitmap", kAllocation);
  const TlsWish wish{options.text("tls-creds"), options.text("tls-hostname"), options.flag("tls")};
  INSTAR_TRY(target.tls, read_tls(host, wish, target.address));
  return target;
}

/** What a name says. */
Result<Target> read_target(const sdk::Host& host, const std::string& filename) {
  INSTAR_TRY(Name name, parse_name(filename));
  if (!name.address) return fail(EINVAL, "NBD server address missing");
  Target target;
  target.address = *std::move(name.address);
  target.export_name = std::move(name.export_name);
  target.context = kAllocation;
  INSTAR_TRY(target.tls, read_tls(host, {"", "", name.tls}, target.address));
  return target;
}

/** What block status the server tells, as it comes. */
struct Extents {
  instar_extent* out;
  size_t max;
  uint64_t offset, length;
  const std::string& context;
  size_t count = 0;
  uint64_t covered = 0;
  bool broken = false;

  void start_again() {
    count = 0;
    covered = 0;
    broken = false;
  }
  /** Pairs of a length and flags, as the protocol has it. */
  void take(const uint32_t* entries, size_t entry_count) {
    for (size_t i = 0; i + 1 < entry_count && count < max && covered < length; i += 2) {
      if (entries[i] == 0) {
        broken = true;
        return;
      }
      const uint64_t n = std::min<uint64_t>(entries[i], length - covered);
      uint32_t flags = 0;
      if ((entries[i + 1] & kHole) == 0) flags |= INSTAR_EXTENT_DATA;
      if ((entries[i + 1] & kZero) != 0) flags |= INSTAR_EXTENT_ZERO;
      if (flags != 0) flags |= INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;
      out[count++] = {n, offset + covered, flags, 0};
      covered += n;
    }
  }
  static int receive(void* opaque, const char* context, uint64_t, uint32_t* entries,
                     size_t entry_count, int*) {
    auto* self = static_cast<Extents*>(opaque);
    if (self->context == context) self->take(entries, entry_count);
    return 0;
  }
};

}  // namespace

Result<std::unique_ptr<NbdNode>> NbdNode::open(sdk::OpenContext& context) {
  const Options options = context.options();
  INSTAR_TRY(Target target, read_target(context.host(), options));
  auto node = std::make_unique<NbdNode>(std::move(target), read_patience(options),
                                        options.flag("tls") && !options.has("tls-creds"));
  INSTAR_CHECK(node->connect(context.call(), context.writable()));
  if (options.has("x-dirty-bitmap") && !node->client_.about().has_context)
    return fail(EINVAL, "Could not open image: ", sdk::errno_text(EINVAL));
  return node;
}

Status NbdNode::create(sdk::CreateContext& context) {
  const Options options = context.options();
  INSTAR_TRY(const auto mode, sdk::parse_preallocation(options.text("preallocation", "off")));
  INSTAR_CHECK(sdk::check_no_preallocation(mode));
  auto target = read_target(context.host(), context.filename());
  if (!target) return sdk::creates_nothing("nbd", target.error());
  NbdNode node(*std::move(target), {}, false);
  if (auto connected = node.connect(context.call(), true); !connected)
    return sdk::creates_nothing("nbd", connected.error());
  INSTAR_CHECK(node.resize(context.call(), options.number("size"), 0, 0, nullptr));
  const uint64_t head = std::max(kSector, node.client_.about().min_block);
  const std::vector<uint8_t> zeroes(std::min(head, node.size()));
  if (zeroes.empty()) return {};
  return node.write_piece(context.call(), 0, zeroes.data(), zeroes.size(), 0);
}

Result<std::string> NbdNode::parse_filename(std::string_view filename) {
  INSTAR_TRY(const Name name, parse_name(filename));
  return options_of(name);
}

Status NbdNode::connect(const Call& call, bool writable) {
  INSTAR_CHECK(client_.open(call));
  if (writable && client_.about().read_only)
    return fail(EACCES, "Could not open image: ", sdk::errno_text(EACCES));
  return {};
}

std::string NbdNode::filename() const {
  return name_of(client_.target().address, client_.target().export_name, tls_name_);
}

void NbdNode::limits(instar_node_limits& limits) const {
  const Export& about = client_.about();
  // A server that says nothing may expect whole sectors.
  const uint32_t silent = about.size % kSector == 0 ? kSector : 1;
  limits.request_alignment = about.min_block != 0 ? about.min_block : silent;
  limits.write_zeroes_alignment = limits.discard_alignment = limits.request_alignment;
  limits.optimal_transfer = about.preferred_block;
  limits.max_transfer =
      std::min(kMostTransfer, about.max_block != 0 ? about.max_block : UINT32_MAX);
  limits.max_write_zeroes = limits.max_discard =
      sdk::round_down(uint64_t{INT32_MAX}, uint64_t{limits.request_alignment});
  constexpr auto none = static_cast<uint8_t>(INSTAR_ABILITY_NONE);
  if (!about.can_zero) limits.can_write_zeroes = none;
  if (!about.can_trim) limits.can_discard = none;
  if (!about.can_flush) limits.can_flush = none;
  if (!about.has_context) limits.can_extents = none;
  if (about.can_zero) limits.flags |= INSTAR_NODE_SPARSE_ZERO;
  limits.flags |= INSTAR_NODE_REMOTE;
  if (about.read_only) limits.flags |= INSTAR_NODE_READ_ONLY;
}

/** One request for all pieces: those of several go through a buffer. */
Status NbdNode::read(const Call& call, uint64_t offset, IoVec to) {
  if (to.length() == 0) return {};
  return sdk::in_one_piece(to, to.length(), [&](sdk::Bytes bytes) {
    return client_.run(call, [&](nbd_handle* handle, nbd_completion_callback done) {
      return nbd_aio_pread(handle, bytes.data(), bytes.size(), offset, done, 0);
    });
  });
}

Status NbdNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  return sdk::in_one_piece(from, [&](sdk::ConstBytes bytes) {
    return write_piece(call, offset, bytes.data(), bytes.size(), flags);
  });
}

Status NbdNode::write_piece(const Call& call, uint64_t offset, const void* data, size_t length,
                            uint32_t flags) {
  if (length == 0) return {};
  const uint32_t carried = durable(flags);
  INSTAR_CHECK(changed(client_.run(call, [&](nbd_handle* handle, nbd_completion_callback done) {
    return nbd_aio_pwrite(handle, data, length, offset, done, carried);
  })));
  return flush_unless(call, flags, carried);
}

/** The flag for stable storage, where it is asked for and the server has it. */
uint32_t NbdNode::durable(uint32_t flags) const {
  const bool carried = (flags & INSTAR_WRITE_FUA) != 0 && client_.about().can_fua;
  return carried ? LIBNBD_CMD_FLAG_FUA : 0;
}

Status NbdNode::flush_unless(const Call& call, uint32_t wanted, uint32_t carried) {
  const bool done = (wanted & INSTAR_WRITE_FUA) == 0 || (carried & LIBNBD_CMD_FLAG_FUA) != 0;
  return done ? Status() : flush(call);
}

Status NbdNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  const Export& about = client_.about();
  const bool fast = (flags & INSTAR_WRITE_NO_FALLBACK) != 0;
  if (!about.can_zero || (fast && !about.can_fast_zero))
    return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  uint32_t carried = durable(flags);
  if (fast) carried |= LIBNBD_CMD_FLAG_FAST_ZERO;
  if ((flags & INSTAR_WRITE_MAY_UNMAP) == 0) carried |= LIBNBD_CMD_FLAG_NO_HOLE;
  INSTAR_CHECK(changed(client_.run(call, [&](nbd_handle* handle, nbd_completion_callback done) {
    return nbd_aio_zero(handle, length, offset, done, carried);
  })));
  return flush_unless(call, flags, carried);
}

Status NbdNode::discard(const Call& call, uint64_t offset, uint64_t length) {
  if (!client_.about().can_trim) return {};
  return changed(client_.run(call, [&](nbd_handle* handle, nbd_completion_callback done) {
    return nbd_aio_trim(handle, length, offset, done, 0);
  }));
}

/** On any one connection: a server that allows several has the others' writes in it. */
Status NbdNode::flush(const Call& call) {
  if (!client_.about().can_flush || client_.about().read_only) return {};
  unflushed_ = false;
  Status done = client_.run(call, [](nbd_handle* handle, nbd_completion_callback done) {
    return nbd_aio_flush(handle, done, 0);
  });
  if (!done) failed_ = true;
  return done;
}

Status NbdNode::changed(Status status) {
  if (status)
    unflushed_ = true;
  else if (status.error().code != ENOTSUP)
    failed_ = true;
  return status;
}

Status NbdNode::close(const Call& call) {
  return unflushed_ && !failed_ ? flush(call) : Status();
}

Result<size_t> NbdNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                instar_extent* out, size_t max) {
  const uint64_t most = sdk::round_down(uint64_t{INT32_MAX}, uint64_t{kMostTransfer});
  const uint64_t part = std::min(length, most);
  Extents answer{out, max, offset, part, client_.target().context};
  INSTAR_CHECK(client_.run(call, [&](nbd_handle* handle, nbd_completion_callback done) {
    answer.start_again();
    return nbd_aio_block_status(handle, part, offset, {&Extents::receive, &answer, nullptr}, done,
                                0);
  }));
  if (answer.count == 0 || answer.broken)
    return fail(EIO, "The server gave no block status at offset ", offset);
  return answer.count;
}

Status NbdNode::resize(const Call&, uint64_t size, uint32_t preallocation, uint32_t flags,
                       const instar_progress*) {
  if ((flags & INSTAR_RESIZE_EXACT) != 0 && size != this->size())
    return fail(ENOTSUP, "Cannot resize NBD nodes");
  if (size > this->size()) return fail(EINVAL, "Cannot grow NBD nodes");
  if (preallocation != INSTAR_PREALLOCATION_OFF)
    return fail(ENOTSUP, "Preallocation is not supported for NBD nodes");
  return {};
}

}  // namespace instar::nbd

INSTAR_PLUGIN("nbd", "1.0.0", instar::sdk::protocol<instar::nbd::NbdNode>("nbd"))
