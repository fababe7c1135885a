// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/rbd/rbd_node.hpp"

#include <algorithm>
#include <bit>

#include "plugins/protocols/rbd/waiting.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::rbd {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Options;
using sdk::Result;
using sdk::Status;

namespace {

/** Object sizes that librbd takes at all. */
constexpr uint64_t kSmallestObject = 4096;
/** Bytes by which an image is made longer at least. */
constexpr uint64_t kSpare = 256 << 20;

/** The power of two that the option names; 0: the cluster's own. */
Result<int> read_order(const Options& options) {
  const uint64_t bytes = options.number("cluster_size");
  if (bytes == 0) return 0;
  if (!std::has_single_bit(bytes)) return fail(EINVAL, "obj size needs to be power of 2");
  if (bytes < kSmallestObject) return fail(EINVAL, "obj size too small");
  return std::countr_zero(bytes);
}

/** The image has its size without the header that the encryption put before it. */
Status encrypt(const std::shared_ptr<Pool>& pool, const Settings& settings, uint64_t size) {
  INSTAR_TRY(const ImagePtr image, Image::open(pool, settings.name, true));
  INSTAR_CHECK(image->format(*settings.encryption));
  return image->resize(size);
}

Status create_image(const Settings& settings, uint64_t size, int order) {
  INSTAR_TRY(const auto pool, Pool::connect(settings));
  const char* image = settings.name.image.c_str();
  const int result = rbd_create(pool->io(), image, size, &order);
  if (result < 0) return failed(result, "error rbd create");
  if (!settings.encryption) return {};
  Status done = encrypt(pool, settings, size);
  if (!done) rbd_remove(pool->io(), image);
  return done;
}

}  // namespace

Result<RbdNode::Opened> RbdNode::open_image(const Settings& settings, bool writable) {
  INSTAR_TRY(auto pool, Pool::connect(settings));
  INSTAR_TRY(const ImagePtr image, Image::open(std::move(pool), settings.name, writable));
  if (settings.encryption) INSTAR_CHECK(image->load(*settings.encryption));
  INSTAR_TRY(const uint64_t size, image->size());
  INSTAR_TRY(const uint64_t object_size, image->object_size());
  return Opened{image, size, object_size, image->has_fast_diff(), image->encryption_format()};
}

Result<std::unique_ptr<RbdNode>> RbdNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const Settings settings, read_settings(context));
  const bool writable = context.writable();
  if (writable && settings.name.snapshot && !settings.name.snapshot->empty())
    return fail(EINVAL, "rbd snapshots are read-only");
  INSTAR_TRY(Opened opened, run_patiently(context.call(), [settings, writable] {
               return open_image(settings, writable);
             }));
  return std::unique_ptr<RbdNode>(new RbdNode(std::move(opened), writable));
}

Status RbdNode::create(sdk::CreateContext& context) {
  INSTAR_TRY(const Settings settings, read_settings(context));
  INSTAR_TRY(const int order, read_order(context.options()));
  const uint64_t size = context.options().number("size");
  return run_patiently(context.call(),
                       [settings, size, order] { return create_image(settings, size, order); });
}

Status RbdNode::remove(sdk::Host, const std::string& filename) {
  Settings settings;
  INSTAR_TRY(settings.name, parse_name(filename));
  INSTAR_TRY(const auto pool, Pool::connect(settings));
  const int result = rbd_remove(pool->io(), settings.name.image.c_str());
  if (result < 0) return failed(result, "error removing ", settings.name.image);
  return {};
}

Result<std::string> RbdNode::parse_filename(std::string_view filename) {
  INSTAR_TRY(const Name name, parse_name(filename));
  return options_of(name);
}

Status RbdNode::close(const Call& call) {
  Status settled = call.cancelled() ? Status() : set_real_size(call, size_);
  Status closed = run_patiently(call, [image = requests_.take_image()]() mutable -> Status {
    image.reset();
    return {};
  });
  return settled ? std::move(closed) : std::move(settled);
}

void RbdNode::limits(instar_node_limits& limits) const {
  limits.flags |= INSTAR_NODE_ZERO_INIT | INSTAR_NODE_SPARSE_ZERO | INSTAR_NODE_REMOTE;
  if (!writable_) limits.flags |= INSTAR_NODE_READ_ONLY;
  limits.optimal_transfer =
      static_cast<uint32_t>(std::min<uint64_t>(object_size_, Requests::kMostRead));
  limits.max_transfer = Requests::kMostRead;
  limits.cluster_size = static_cast<uint32_t>(object_size_);
}

Status RbdNode::read(const Call& call, uint64_t offset, IoVec to) {
  return requests_.read(call, offset, to);
}

Status RbdNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  INSTAR_CHECK(grow(call, offset + from.length()));
  INSTAR_CHECK(requests_.write(call, offset, from));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status();
}

/** There is no space that could be kept: what is zero takes none, asked for or not. */
Status RbdNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  INSTAR_CHECK(grow(call, offset + length));
  INSTAR_CHECK(requests_.write_zeroes(call, offset, length));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status();
}

Status RbdNode::discard(const Call& call, uint64_t offset, uint64_t length) {
  return requests_.discard(call, offset, length);
}

Status RbdNode::flush(const Call& call) {
  return writable_ ? requests_.flush(call) : Status();
}

/** Of a format's image that is made longer by writing to it: each change of an image's size takes a while, so there is some
 * to spare until it is closed. */
Status RbdNode::grow(const Call& call, uint64_t end) {
  if (end <= size_) return {};
  const std::lock_guard lock(growing_);
  if (end <= size_) return {};
  if (end > real_size_) INSTAR_CHECK(set_real_size(call, sdk::round_up(end, kSpare)));
  size_ = end;
  return {};
}

Status RbdNode::set_real_size(const Call& call, uint64_t size) {
  if (size == real_size_) return {};
  INSTAR_CHECK(
      run_patiently(call, [image = requests_.image(), size] { return image->resize(size); }));
  real_size_ = size;
  return {};
}

Status RbdNode::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t,
                       const instar_progress*) {
  INSTAR_CHECK(sdk::check_no_preallocation(preallocation));
  const std::lock_guard lock(growing_);
  INSTAR_CHECK(set_real_size(call, size));
  size_ = size;
  return {};
}

void RbdNode::info(sdk::JsonWriter& json) const {
  json.begin_object().field("cluster-size", object_size_).field("dirty-flag", false);
  json.key("format-specific").begin_object().field("type", "rbd").key("data").begin_object();
  if (!encryption_format_.empty()) json.field("encryption-format", encryption_format_);
  json.end_object().end_object().end_object();
}

}  // namespace instar::rbd

INSTAR_PLUGIN("rbd", "1.0.0", instar::sdk::protocol<instar::rbd::RbdNode>("rbd"))
