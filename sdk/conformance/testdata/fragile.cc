// SPDX-License-Identifier: Apache-2.0
// A format that breaks one rule at a time, for the kit's own test: $FRAGILE says which fault it has.
// A file is a header of 4 KiB (magic, size), then the data as it is.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>
#include <thread>

#include "sdk/cpp/plugin.hpp"

namespace {

using instar::sdk::Call;
using instar::sdk::fail;
using instar::sdk::IoVec;
using instar::sdk::NodeRef;
using instar::sdk::Result;
using instar::sdk::Status;

constexpr uint64_t kHeader = 4096;
constexpr uint64_t kMagic = 0x656c696761726620;
constexpr uint64_t kMaxSize = uint64_t{1} << 40;

bool has_fault(std::string_view name) {
  const char* fault = std::getenv("FRAGILE");
  return fault != nullptr && name == fault;
}

struct Header {
  uint64_t magic;
  uint64_t size;
};

class Fragile {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static Result<std::unique_ptr<Fragile>> open(instar::sdk::OpenContext& context) {
    INSTAR_TRY(const NodeRef file, context.file());
    INSTAR_TRY(const uint64_t length, file.size());
    if (has_fault("crash") && length < 200) std::abort();
    Header header{};
    if (length < kHeader) return fail(EINVAL, "too short");
    INSTAR_CHECK(file.read(context.call(), 0, &header, sizeof header));
    if (header.magic != kMagic) return fail(EINVAL, "wrong magic");
    const bool absurd = header.size > kMaxSize || header.size % 512 != 0;
    while (absurd && has_fault("hang"))
      std::this_thread::yield();
    if (absurd && has_fault("memory") && scratch()->empty()) scratch()->assign(1200u << 20, 1);
    if (absurd && has_fault("silent")) return fail(EINVAL, "");
    if (absurd) return fail(EINVAL, "wrong size");
    return std::unique_ptr<Fragile>(new Fragile(file, header, context.writable()));
  }

  static std::vector<uint8_t>* scratch() {
    static std::vector<uint8_t> bytes;
    return &bytes;
  }

  static Status create(instar::sdk::CreateContext& context) {
    const uint64_t size = context.options().number("size");
    INSTAR_TRY(const NodeRef file, context.create_file(nullptr, kHeader + size));
    const Header header{kMagic, size};
    const char rubbish[] = "what was here before";
    if (has_fault("rubbish") && size > 0)
      INSTAR_CHECK(file.write(context.call(), kHeader, rubbish, sizeof rubbish));
    return file.write(context.call(), 0, &header, sizeof header);
  }

  uint64_t size() {
    return has_fault("size") ? header_.size + 512 * uint64_t{calls_++ % 2} : header_.size;
  }

  Status read(const Call& call, uint64_t offset, IoVec to) {
    if (call.cancelled() && has_fault("cancel")) return fail(EBADMSG, "cancelled");
    if (has_fault("tail") && offset + to.length() == header_.size) return fail(EIO, "the tail");
    if (has_fault("pieces") && to.count() > 1) to = IoVec(to.data(), 1);
    if (has_fault("race")) return read_racily(call, offset, to);
    Status done = read_file(call, offset, to);
    if (!done && has_fault("deaf")) {
      to.fill_zero(0, to.length());
      return {};
    }
    return done;
  }

  Status write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
    if (!writable_) return has_fault("read-only") ? Status() : fail(EACCES, "read-only");
    if (has_fault("hoarder") && places_ > 0) return fail(EBUSY, "places are taken");
    if (has_fault("lost") && ++calls_ % 50 == 0) return {};
    if (has_fault("cache")) return keep(offset, from);
    const Header zeroes{};
    if (has_fault("header")) INSTAR_CHECK(file_.write(call, 0, &zeroes, sizeof zeroes));
    Status done = file_.write(call, kHeader + offset, from, flags);
    if (has_fault("header")) INSTAR_CHECK(file_.write(call, 0, &header_, sizeof header_));
    if (!done && has_fault("optimist")) return {};
    return done;
  }

  Status flush(const Call& call) {
    if (has_fault("cache")) return {};
    Status done = file_.flush(call);
    return has_fault("no-flush") ? Status() : done;
  }

  Status close(const Call& call) {
    for (const auto& [offset, bytes] : kept_)
      INSTAR_CHECK(file_.write(call, kHeader + offset, bytes.data(), bytes.size()));
    return {};
  }

  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t) {
    if (has_fault("no-extent")) return size_t{0};
    if (has_fault("beyond")) ++length;
    if (has_fault("moody") && ++calls_ % 3 == 0) {
      out[0] = {length, 0, INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ZERO, 0};
      return size_t{1};
    }
    uint32_t flags = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_DATA;
    if (has_fault("false-zero")) flags = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ZERO;
    const bool caching = has_fault("cache") || has_fault("lost");
    if (!caching) flags |= INSTAR_EXTENT_OFFSET;
    const uint64_t shift = has_fault("false-offset") ? 512 : 0;
    out[0] = {has_fault("empty-extent") ? 0 : length, kHeader + offset + shift, flags, file_.id()};
    return size_t{1};
  }

  Result<size_t> prepare_write(const Call& call, uint64_t offset, uint64_t length,
                               instar_placement* out, size_t) {
    const Status noted = file_.write(call, 0, &header_, sizeof header_);
    if (noted || has_fault("hoarder")) ++places_;
    if (!noted) return noted.error();
    out[0] = {offset, length, kHeader + offset, 0, file_.id(), 0};
    return size_t{1};
  }
  Status commit_write(const Call&, const instar_placement*, size_t count) {
    places_ -= static_cast<unsigned>(count);
    return {};
  }
  void abort_write(const instar_placement*, size_t count) {
    places_ -= static_cast<unsigned>(count);
  }

  Result<std::string> info() { return std::string(has_fault("no-json") ? "{\"a\"" : "{}"); }

 private:
  Fragile(NodeRef file, Header header, bool writable)
      : file_(file), header_(header), writable_(writable) {}

  Status read_file(const Call& call, uint64_t offset, IoVec to) {
    INSTAR_CHECK(file_.read(call, kHeader + offset, to));
    for (const auto& [at, bytes] : kept_) {
      const uint64_t begin = std::max(at, offset);
      const uint64_t end = std::min(at + bytes.size(), offset + to.length());
      if (begin < end) to.copy_in(begin - offset, bytes.data() + (begin - at), end - begin);
    }
    return {};
  }
  /** Several threads share one buffer. */
  Status read_racily(const Call& call, uint64_t offset, IoVec to) {
    shared_.resize(1 << 20);
    const uint64_t length = std::min<uint64_t>(to.length(), shared_.size());
    INSTAR_CHECK(file_.read(call, kHeader + offset, shared_.data(), length));
    std::this_thread::yield();
    to.copy_in(0, shared_.data(), length);
    if (length == to.length()) return {};
    std::vector<uint8_t> rest(to.length() - length);
    INSTAR_CHECK(file_.read(call, kHeader + offset + length, rest.data(), rest.size()));
    to.copy_in(length, rest.data(), rest.size());
    return {};
  }
  Status keep(uint64_t offset, IoVec from) {
    std::vector<uint8_t> bytes(from.length());
    from.copy_out(0, bytes.data(), bytes.size());
    kept_.emplace_back(offset, std::move(bytes));
    return {};
  }

  NodeRef file_;
  Header header_;
  bool writable_;
  std::atomic<unsigned> calls_{0};
  std::atomic<unsigned> places_{0};
  std::vector<uint8_t> shared_;
  std::vector<std::pair<uint64_t, std::vector<uint8_t>>> kept_;
};

/** The SDK's table, with a slot that answers for interfaces that do not exist. */
const instar_format_ops* table() {
  static const instar_format_ops ops = [] {
    instar_format_ops copy = *instar::sdk::FormatTable<Fragile>::ops();
    if (has_fault("any-interface"))
      copy.get_interface = [](const char*) noexcept -> const void* { return &ops; };
    if (has_fault("no-open")) copy.open = nullptr;
    return copy;
  }();
  return &ops;
}

}  // namespace

extern "C" INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host* host, instar_plugin* plugin);
extern "C" INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host* host,
                                                    instar_plugin* plugin) {
  if (has_fault("needs-registry") && host->get_interface(host, INSTAR_REGISTRY_ID) == nullptr)
    return -ENOTSUP;
  static const instar_provide provides[] = {
      {INSTAR_KIND_FORMAT, 0, has_fault("other-name") ? "sturdy" : "fragile", table()}};
  const uint32_t known = plugin->struct_size;
  instar::sdk::fill_plugin(plugin, "fragile", "1.0.0", provides, 1);
  if (has_fault("overwrite")) std::memset(reinterpret_cast<char*>(plugin) + known, 0, 8);
  return 0;
}
