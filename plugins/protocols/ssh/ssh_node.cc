// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/ssh_node.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "sdk/cpp/one_piece.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::ssh {

namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::ConstBytes;
using sdk::fail;
using sdk::IoVec;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr std::chrono::seconds kDefaultLimit(60);
constexpr std::chrono::seconds kRemoveLimit(1);
/** New files are whole sectors. */
constexpr uint64_t kSector = 512;

/** Who runs the program. */
Result<std::string> own_name() {
  std::vector<char> room(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, room.data(), room.size(), &found) != 0 || found == nullptr)
    return fail(EINVAL, "Can't get user name");
  return std::string(entry.pw_name);
}

Result<Target> read_target(const Given& given, std::chrono::seconds limit) {
  Target target;
  INSTAR_TRY(target.place, read_place(given));
  target.limit = limit;
  target.user = target.place.user;
  if (target.user.empty()) {
    INSTAR_TRY(target.user, own_name());
  }
  return target;
}

}  // namespace

Result<std::unique_ptr<SshNode>> SshNode::open(sdk::OpenContext& context) {
  const Options options = context.options();
  const uint64_t limit =
      options.number("request-timeout", static_cast<uint64_t>(kDefaultLimit.count()));
  const std::chrono::seconds patience(std::min<uint64_t>(limit, INT32_MAX));
  INSTAR_TRY(Target target, read_target(given_by(options), patience));
  auto node = std::make_unique<SshNode>(std::move(target));
  INSTAR_CHECK(node->connect(context.call(), context.writable() ? O_RDWR : O_RDONLY));
  return node;
}

Status SshNode::create(sdk::CreateContext& context) {
  INSTAR_TRY(const Given given, given_by(context.filename()));
  INSTAR_TRY(Target target, read_target(given, kDefaultLimit));
  SshNode node(std::move(target));
  INSTAR_CHECK(node.connect(context.call(), O_RDWR | O_CREAT | O_TRUNC));
  const uint64_t size = sdk::round_up(context.options().number("size"), kSector);
  if (size == 0) return {};
  Status grown = node.resize(context.call(), size, 0, 0, nullptr);
  if (!grown) (void)remove(context.host(), context.filename());
  return grown;
}

Status SshNode::remove(sdk::Host, const std::string& filename) {
  INSTAR_TRY(const Given given, given_by(filename));
  INSTAR_TRY(Target target, read_target(given, kRemoveLimit));
  const Call call(nullptr);
  Sessions sessions(std::move(target));
  INSTAR_CHECK(sessions.open(call, O_RDONLY));
  return sessions.run(call, [&](Session& session) { return session.remove(call); });
}

Result<std::string> SshNode::parse_filename(std::string_view filename) {
  INSTAR_TRY(const Given given, given_by(filename));
  sdk::JsonWriter json;
  json.begin_object();
  for (const auto& [name, text] : given)
    json.field(name, text);
  json.end_object();
  return json.text();
}

Status SshNode::connect(const Call& call, int access) {
  INSTAR_CHECK(sessions_.open(call, access));
  writable_ = (access & O_ACCMODE) != O_RDONLY;
  size_ = sessions_.size();
  return {};
}

std::string SshNode::filename() const {
  return name_of(sessions_.target().place, sessions_.target().user);
}

void SshNode::limits(instar_node_limits& limits) const {
  limits.flags |= INSTAR_NODE_REMOTE;
  if (sessions_.regular()) limits.flags |= INSTAR_NODE_ZERO_INIT;
  if (writable_) return;
  limits.flags |= INSTAR_NODE_READ_ONLY;
  limits.can_write = INSTAR_ABILITY_NONE;
}

Status SshNode::read_bytes(const Call& call, uint64_t offset, Bytes to) {
  return sessions_.run(call, [&](Session& session) { return session.read(call, offset, to); });
}

Status SshNode::read(const Call& call, uint64_t offset, IoVec to) {
  const uint64_t length = to.length(), end = size();
  const uint64_t inside = offset < end ? std::min(length, end - offset) : 0;
  to.fill_zero(inside, length - inside);
  if (inside == 0) return {};
  return sdk::in_one_piece(to, inside,
                           [&](Bytes bytes) { return read_bytes(call, offset, bytes); });
}

Status SshNode::write_bytes(const Call& call, uint64_t offset, ConstBytes from) {
  INSTAR_CHECK(
      sessions_.run(call, [&](Session& session) { return session.write(call, offset, from); }));
  reach(offset + from.size());
  return {};
}

void SshNode::reach(uint64_t end) {
  uint64_t before = size_.load();
  while (before < end && !size_.compare_exchange_weak(before, end)) {
  }
}

Status SshNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  const uint64_t length = from.length();
  if (length > INT64_MAX - std::min<uint64_t>(offset, INT64_MAX))
    return fail(EFBIG, sdk::errno_text(EFBIG));
  INSTAR_CHECK(
      sdk::in_one_piece(from, [&](ConstBytes bytes) { return write_bytes(call, offset, bytes); }));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status();
}

/** On any one connection: the server has the others' writes in the same file. */
Status SshNode::flush(const Call& call) {
  if (!writable_) return {};
  return sessions_.run(call, [&](Session& session) -> Status {
    INSTAR_TRY(const bool flushed, session.flush(call));
    if (!flushed && !warned_.exchange(true))
      call.warn(sdk::cat("ssh server ", sessions_.target().place.host, " does not support fsync"));
    return {};
  });
}

Status SshNode::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t,
                       const instar_progress*) {
  INSTAR_CHECK(sdk::check_no_preallocation(preallocation));
  if (size < this->size()) return fail(ENOTSUP, "ssh driver does not support shrinking files");
  if (size == this->size()) return {};
  if (size > INT64_MAX) return fail(EFBIG, "Failed to grow file");
  INSTAR_CHECK(sessions_.run(call, [&](Session& session) { return session.grow(call, size); }));
  reach(size);
  return {};
}

}  // namespace instar::ssh

INSTAR_PLUGIN("ssh", "1.0.0", instar::sdk::protocol<instar::ssh::SshNode>("ssh"))
