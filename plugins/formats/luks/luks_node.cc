// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/luks/luks_node.hpp"

#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::luks_format {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Options;
using sdk::Result;
using sdk::Status;

namespace {

constexpr const char* kNotRead = "Unable to read encryption header";

/** A message as the kernel's errors are told. */
Status told(Status result, const char* what) {
  if (result) return result;
  return fail(result.error().code, what, ": ", sdk::errno_text(result.error().code));
}

/** The header at the beginning of a file, which has room for it. */
class HeaderFile final : public sdk::HeaderStore {
 public:
  explicit HeaderFile(HostFile& file) : file_(file) {}

  Status read(const Call& call, uint64_t offset, sdk::Bytes to) override {
    return told(file_.read(call, offset, to.data(), to.size()), kNotRead);
  }
  Status write(const Call& call, uint64_t offset, sdk::ConstBytes from) override {
    return told(file_.write(call, offset, from.data(), from.size()),
                "Unable to write encryption header");
  }
  Status allocate(const Call&, uint64_t) override { return {}; }
  Status flush(const Call& call) override { return file_.flush(call); }

 private:
  HostFile& file_;
};

/** The scheme of a header, by its first or, with version 2, its second copy. */
Result<const char*> find_scheme(const Call& call, const HostFile& file) {
  constexpr uint64_t kMinSecond = 16 << 10, kMaxSecond = 4 << 20;
  for (uint64_t offset = 0; offset <= kMaxSecond; offset = std::max(2 * offset, kMinSecond)) {
    char start[8] = {};
    INSTAR_CHECK(told(file.read(call, offset, start, sizeof start), kNotRead));
    const std::string_view magic = offset == 0 ? "LUKS\xba\xbe" : "SKUL\xba\xbe";
    if (std::string_view(start, magic.size()) != magic) continue;
    return sdk::load_be<uint16_t>(start + magic.size()) == 2 ? "luks2" : "luks";
  }
  return "luks";
}

/** The scheme of a new image. */
Result<const char*> choose_scheme(const Options& options) {
  const uint64_t version = options.number("version", 1);
  if (version != 1 && version != 2)
    return fail(EINVAL, "Parameter 'version' does not accept value '", version, "'");
  for (const char* name : {"pbkdf", "pbkdf-memory", "sector-size"})
    if (version == 1 && options.has(name))
      return fail(EINVAL, "Parameter '", name, "' needs version=2");
  return version == 2 ? "luks2" : "luks";
}

sdk::EncryptionRequest request_of(const char* scheme, const Options& options, bool detached) {
  sdk::EncryptionRequest request;
  request.scheme = scheme;
  request.options = options.abi();
  if (detached) request.flags = INSTAR_ENCRYPTION_DETACHED;
  return request;
}

/** EINVAL, since the host has a text of its own for EFBIG. */
sdk::Error too_large() {
  return fail(EINVAL, "The requested file size is too large");
}

/** Of a disk, in whole sectors that are encrypted at once. The host makes sectors of 512 bytes whole
 * itself. */
uint64_t whole_sectors(uint64_t size, uint64_t sector) {
  return sector > 512 && size <= INT64_MAX ? sdk::round_up(size, sector) : size;
}

/** LUKS has no metadata of its own to preallocate. */
Result<instar_preallocation> preallocation_of(const Options& options) {
  INSTAR_TRY(const auto mode, sdk::parse_preallocation(options.text("preallocation", "off")));
  return mode == INSTAR_PREALLOCATION_METADATA ? INSTAR_PREALLOCATION_OFF : mode;
}

/** A file with room for a header and a disk behind it. */
Result<HostFile> create_file(const sdk::CreateContext& context, uint64_t header, uint64_t disk) {
  INSTAR_TRY(const auto mode, preallocation_of(context.options()));
  if (disk > INT64_MAX - header) return too_large();
  auto node = context.create_file(nullptr, mode == INSTAR_PREALLOCATION_OFF ? header + disk : 0);
  if (!node) return node.error().code == EFBIG ? too_large() : std::move(node).error();
  INSTAR_TRY(HostFile file, HostFile::open(*node, true));
  if (mode == INSTAR_PREALLOCATION_OFF) return file;
  if (auto grown = file.resize(context.call(), header + disk, mode); !grown)
    return grown.error().code == EFBIG ? too_large() : std::move(grown).error();
  return file;
}

}  // namespace

Result<std::unique_ptr<LuksNode>> LuksNode::open(sdk::OpenContext& context) {
  const bool flushes = !context.has_flag(INSTAR_OPEN_NO_FLUSH);
  INSTAR_TRY(const NodeRef file_node, context.file());
  INSTAR_TRY(HostFile file, HostFile::open(file_node, flushes));
  INSTAR_TRY(const NodeRef header_node,
             context.child("header", INSTAR_CHILD_FILE, nullptr, nullptr,
                           INSTAR_CHILD_OPTIONAL | INSTAR_CHILD_PROTOCOL));
  HostFile header;
  if (header_node) {
    INSTAR_TRY(header, HostFile::open(header_node, flushes));
  }
  const Options options = context.options();
  INSTAR_TRY(const char* scheme_name, find_scheme(context.call(), header ? header : file));
  auto request = request_of(scheme_name, options, static_cast<bool>(header));
  HeaderFile store(header ? header : file);
  request.header = &store;
  if (context.has_flag(INSTAR_OPEN_NO_IO)) request.flags |= INSTAR_ENCRYPTION_DESCRIBE;
  INSTAR_TRY(auto scheme, sdk::Encryption::open(context.host(), context.call(), request));
  if (scheme.payload_offset() > file.size())
    return fail(EIO, "Could not refresh total sector count: ", sdk::errno_text(EIO));
  return std::unique_ptr<LuksNode>(
      new LuksNode(std::move(file), std::move(header), std::move(scheme)));
}

Status LuksNode::create(sdk::CreateContext& context) {
  const Options options = context.options();
  const bool detached = options.flag("detached-header");
  INSTAR_TRY(const char* scheme_name, choose_scheme(options));
  auto request = request_of(scheme_name, options, detached);
  INSTAR_TRY(const uint64_t header,
             sdk::Encryption::measure(context.host(), context.call(), request));
  INSTAR_TRY(HostFile file, create_file(context, header,
                                        detached ? 0
                                                 : whole_sectors(options.number("size"),
                                                                 options.number("sector-size"))));
  HeaderFile store(file);
  request.header = &store;
  INSTAR_TRY([[maybe_unused]] const auto scheme,
             sdk::Encryption::create(context.host(), context.call(), request));
  return {};
}

Result<instar_measure_result> LuksNode::measure(sdk::Host host, const Options& options,
                                                NodeRef source) {
  const bool detached = options.flag("detached-header");
  INSTAR_TRY(const char* scheme, choose_scheme(options));
  INSTAR_TRY(const uint64_t header,
             sdk::Encryption::measure(host, Call(nullptr), request_of(scheme, options, detached)));
  INSTAR_TRY(uint64_t size, sdk::size_to_measure(options, source));
  size = header + (detached ? 0 : whole_sectors(size, options.number("sector-size")));
  return sdk::measured(size, size);
}

Result<uint64_t> LuksNode::size() const {
  const uint64_t size = file_.size() - payload();
  const uint32_t sector = cipher_.scheme().sector_size();
  return sector > 512 ? sdk::round_down(size, sector) : size;
}

void LuksNode::limits(instar_node_limits& limits) const {
  limits.request_alignment = cipher_.scheme().sector_size();
  limits.optimal_transfer = sdk::ContentCipher::kChunk;
}

Status LuksNode::read(const Call& call, uint64_t offset, IoVec to) {
  const uint64_t length = to.length();
  for (uint64_t done = 0; done < length; done += sdk::ContentCipher::kChunk) {
    const uint64_t n = std::min<uint64_t>(length - done, sdk::ContentCipher::kChunk);
    INSTAR_CHECK(file_.read(call, payload() + offset + done, to, done, n));
    INSTAR_CHECK(cipher_.decrypt(offset + done, to, done, n));
  }
  return {};
}

Status LuksNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  INSTAR_CHECK(cipher_.encrypt(offset, from, 0, from.length(),
                               [&](uint64_t done, const uint8_t* bytes, size_t n) {
                                 return file_.write(call, payload() + offset + done, bytes, n);
                               }));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status{};
}

/** A hole of the file reads as noise: all of it is content. */
Result<size_t> LuksNode::extents(const Call&, uint64_t, uint64_t length, instar_extent* out,
                                 size_t) const {
  out[0] = {length, 0, INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ENCRYPTED, 0};
  return size_t{1};
}

Status LuksNode::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t,
                        const instar_progress*) {
  size = whole_sectors(size, cipher_.scheme().sector_size());
  if (size > INT64_MAX - payload()) return too_large();
  return file_.resize(call, payload() + size, preallocation);
}

Status LuksNode::amend(const Call& call, const Options& options, bool force,
                       const instar_progress*) {
  HeaderFile store(header_ ? header_ : file_);
  return cipher_.scheme().amend(call, options.abi(), store, force);
}

Result<std::string> LuksNode::info() const {
  INSTAR_TRY(const std::string data, cipher_.scheme().describe(false));
  sdk::JsonWriter json;
  json.begin_object().field("encrypted", true).field("dirty-flag", false);
  json.key("format-specific").begin_object().field("type", "luks").key("data").raw(data);
  return json.end_object().end_object().text();
}

}  // namespace instar::luks_format

INSTAR_PLUGIN("luks", "1.0.0", instar::sdk::format<instar::luks_format::LuksNode>("luks"))
