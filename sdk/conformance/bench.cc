// SPDX-License-Identifier: Apache-2.0
#include "sdk/conformance/bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/block/graph_private.hpp"
#include "core/host/services.hpp"
#include "sdk/abi/check.h"
#include "sdk/abi/filter.h"
#include "sdk/abi/format.h"
#include "sdk/abi/objects.h"
#include "sdk/abi/protocol.h"
#include "sdk/conformance/store_host.hpp"
#include "sdk/cpp/json_reader.hpp"

namespace instar::conformance {
namespace {

constexpr uint64_t kFilledSize = (uint64_t{3} << 20) + 2560;
constexpr unsigned kFillRequests = 120;
constexpr size_t kPiece = 1 << 20;

registry::Settings registry_settings(const Settings& settings) {
  registry::Settings own;
  own.search = settings.search;
  return own;
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/** A call whose error is what the plugin said, and nothing else: an OutgoingCall would make up a
 * message where there is none. */
class BareCall {
 public:
  BareCall() {
    abi_.struct_size = sizeof abi_;
    abi_.opaque = this;
    abi_.fail = [](instar_call* call, int err, const char* message, size_t length, const char*,
                   size_t) noexcept {
      static_cast<BareCall*>(call->opaque)->error_ = Error{err, std::string(message, length)};
    };
  }
  BareCall(const BareCall&) = delete;
  BareCall& operator=(const BareCall&) = delete;
  instar_call* abi() { return &abi_; }
  Error error(int result) {
    error_.code = -result;
    return error_;
  }

 private:
  instar_call abi_{};
  Error error_{0, {}};
};

/** The option table's defaults and the text's values. */
Result<options::BoundOptions> bind_options(const std::vector<loader::OptionSpec>& specs,
                                           const std::string& text) {
  options::BoundOptions bound(block::table_of(specs));
  if (!text.empty()) INSTAR_CHECK(bound.set_all(text));
  return bound;
}

}  // namespace

void Opened::close() const {
  need(node->close(Call(nullptr)), "closing");
}

Bench::Bench(const Settings& settings, const Subject& subject, std::string folder, int note_fd)
    : settings_(settings),
      subject_(subject),
      folder_(std::move(folder)),
      registry_(registry_settings(settings)),
      plugin_(*subject.manifest, loader::Tier::kArgument),
      random_(settings.seed),
      note_fd_(note_fd) {
  registry_.register_service(INSTAR_OBJECTS_ID, host::objects_service());
}

const void* Bench::load_table() {
  need(plugin_.load(host()), "loading");
  const auto& all = subject_.manifest->provides;
  return plugin_.table(static_cast<size_t>(subject_.provide - all.data())).clamped.get();
}

bool Bench::creates() {
  if (subject_.provide->has_flag("read-only") || subject_.provide->has_flag("device")) return false;
  if (kind() == INSTAR_KIND_FORMAT) return table<instar_format_ops>().create != nullptr;
  if (kind() == INSTAR_KIND_PROTOCOL) return table<instar_protocol_ops>().create != nullptr;
  return kind() == INSTAR_KIND_FILTER;
}

std::string Bench::file_name(std::string_view name) const {
  const auto& target = settings_.target;
  if (!target.ends_with('/')) return sdk::cat(target, folder_, "/", name);
  return sdk::cat(target, folder_.substr(folder_.rfind('/') + 1), "-", name);
}

Status Bench::try_create(uint64_t size, Store& store) {
  store.name = kind() == INSTAR_KIND_PROTOCOL ? file_name(sdk::cat(names_given_++, ".img"))
                                              : "conformance.img";
  if (kind() == INSTAR_KIND_FILTER) {
    store.disks[""] = std::make_shared<Disk>(Bytes(size));
    return {};
  }
  INSTAR_TRY(auto bound, bind_options(subject_.provide->create_options, subject_.options));
  INSTAR_CHECK(bound.set("size", std::to_string(size)));
  const auto items = bound.to_abi();
  StoreHost files(store, INSTAR_OPEN_WRITE);
  const bool makes_files = kind() == INSTAR_KIND_FORMAT;
  const instar_create_args args{sizeof args,
                                0,
                                store.name.c_str(),
                                {items.data(), items.size()},
                                makes_files ? files.creator() : nullptr};
  sdk::OutgoingCall call;
  const int result = makes_files ? table<instar_format_ops>().create(host(), call.abi(), &args)
                                 : table<instar_protocol_ops>().create(host(), call.abi(), &args);
  return call.status(result);
}

Store Bench::create(uint64_t size) {
  if (!creates()) skip("the plugin creates no images");
  Store store;
  need(try_create(size, store), "creating an image of ", size, " bytes");
  return store;
}

Result<instar_node> Bench::open_driver(const Store& store, uint32_t flags,
                                       std::vector<block::Child>& children,
                                       std::shared_ptr<void>& companion) {
  const bool filter = kind() == INSTAR_KIND_FILTER;
  INSTAR_TRY(auto bound,
             bind_options(subject_.provide->open_options, filter ? subject_.options : ""));
  for (const auto& [name, text] : open_options())
    INSTAR_CHECK(bound.set(name, text));
  Members members;
  if (kind() == INSTAR_KIND_PROTOCOL) INSTAR_CHECK(name_file(store.name, bound, members));
  auto items = bound.to_abi();
  for (const auto& [name, text] : members)
    items.push_back({name.c_str(), text.c_str(), 0, INSTAR_OPTION_STRING, 0});
  auto files = std::make_shared<StoreHost>(store, flags);
  companion = files;
  const instar_open_args args{sizeof args,        flags,
                              store.name.c_str(), {items.data(), items.size()},
                              files->opener(),    nullptr};
  instar_node node{};
  BareCall call;
  int result = 0;
  if (kind() == INSTAR_KIND_FORMAT)
    result = table<instar_format_ops>().open(host(), call.abi(), &args, &node);
  else if (kind() == INSTAR_KIND_PROTOCOL)
    result = table<instar_protocol_ops>().open(host(), call.abi(), &args, &node);
  else
    result = table<instar_filter_ops>().open(host(), call.abi(), &args, &node);
  if (result < 0) return call.error(result);
  if (node.ops == nullptr) return sdk::fail(EPROTO, "open succeeded without a node");
  children = files->children();
  return node;
}

std::vector<std::pair<std::string, std::string>> Bench::open_options() {
  std::vector<std::pair<std::string, std::string>> out;
  if (kind() != INSTAR_KIND_FORMAT) return out;
  const auto created = bind_options(subject_.provide->create_options, subject_.options);
  if (!created) return out;
  for (const auto& spec : subject_.provide->open_options)
    if (created->has(spec.name)) out.emplace_back(spec.name, created->text(spec.name));
  return out;
}

/** A protocol's open options for a plain name, as the host finds them. */
Status Bench::name_file(const std::string& name, options::BoundOptions& bound, Members& members) {
  const auto parse = table<instar_protocol_ops>().parse_filename;
  if (parse == nullptr) return bound.set("filename", name);
  sdk::StringSink sink;
  sdk::OutgoingCall call;
  INSTAR_CHECK(call.status(parse(host(), call.abi(), name.c_str(), sink.abi())));
  Status status;
  sdk::JsonObject(sink.text).each_member([&](const std::string& option, std::string_view value) {
    const std::string text = sdk::JsonObject::text_of(value);
    if (option.find('.') != option.npos)
      members.emplace_back(option, text);
    else
      status = bound.set(option, text);
    return !status;
  });
  return status;
}

Result<Opened> Bench::try_open(const Store& store, uint32_t flags) {
  Opened opened;
  std::vector<block::Child> children;
  std::shared_ptr<void> companion;
  INSTAR_TRY(opened.driver, open_driver(store, flags, children, companion));
  const auto node_kind = kind() == INSTAR_KIND_FORMAT     ? block::NodeKind::kFormat
                         : kind() == INSTAR_KIND_PROTOCOL ? block::NodeKind::kProtocol
                                                          : block::NodeKind::kFilter;
  block::NodeNames names;
  names.filename = names.exact_filename = store.name;
  INSTAR_TRY(opened.node, block::Node::make(node_kind, subject_.provide->name, std::move(names),
                                            flags, opened.driver, std::move(children)));
  opened.node->keep(std::move(companion));
  return opened;
}

Opened Bench::open(const Store& store, uint32_t flags) {
  return need(try_open(store, flags), "opening ", store.name);
}

std::vector<Store> Bench::given_images() {
  std::vector<Store> stores;
  if (kind() == INSTAR_KIND_PROTOCOL && !settings_.target.empty() && !creates())
    stores.push_back({{}, settings_.target});
  if (kind() == INSTAR_KIND_PROTOCOL || settings_.images.empty()) return stores;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(settings_.images))
    if (entry.is_regular_file() && entry.file_size() <= Disk::kMaxSize)
      paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    Store store;
    store.name = path.string();
    store.disks[""] = std::make_shared<Disk>(read_file(path));
    stores.push_back(std::move(store));
  }
  return stores;
}

std::vector<Store> Bench::filled_images() {
  auto stores = given_images();
  if (creates()) stores.push_back(filled_image(kFilledSize).first);
  if (stores.empty())
    skip("the plugin creates no images: give some with --images (a protocol: --target)");
  return stores;
}

std::pair<Store, Bytes> Bench::filled_image(uint64_t size) {
  auto store = create(size);
  const auto opened = open(store, INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP);
  Bytes model = new_content(*this, *opened.node);
  fill(*this, *opened.node, model, kFillRequests);
  opened.close();
  return {std::move(store), std::move(model)};
}

void Bench::note(const std::string& text) const {
  const std::string line = "@" + text + "\n";
  if (note_fd_ >= 0 && ::write(note_fd_, line.data(), line.size()) < 0) return;
}

Bytes Bench::random_bytes(size_t size) {
  Bytes bytes(size);
  for (auto& byte : bytes)
    byte = static_cast<uint8_t>(random_() >> 7);
  return bytes;
}

bool unwritten_is_noise(block::Node& node) {
  if ((node.limits().flags & INSTAR_NODE_ZERO_INIT) != 0) return false;
  instar_extent extent{};
  const uint64_t size = need(node.size(), "size");
  return size != 0 && node.extents(Call(nullptr), 0, size, &extent, 1) &&
         (extent.flags & INSTAR_EXTENT_ENCRYPTED) != 0;
}

Bytes new_content(Bench& bench, block::Node& node) {
  return unwritten_is_noise(node) ? read_all(bench, node) : Bytes(need(node.size(), "size"));
}

Bytes read_all(Bench& bench, block::Node& node) {
  Bytes bytes(need(node.size(), "size"));
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const size_t n = std::min(kPiece, bytes.size() - at);
    need(node.read(bench.call(), at, bytes.data() + at, n), "reading ", n, " bytes at ", at);
  }
  return bytes;
}

size_t first_difference(const Bytes& a, const Bytes& b) {
  const size_t common = std::min(a.size(), b.size());
  const auto at = std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(common), b.begin());
  return static_cast<size_t>(at.first - a.begin());
}

void require_equal(const Bytes& got, const Bytes& expected, const std::string& what) {
  require(got.size() == expected.size(), what, ": ", got.size(), " bytes instead of ",
          expected.size());
  const size_t at = first_difference(got, expected);
  if (at == expected.size()) return;
  broken(what, ": at offset ", at, " stands ", sdk::hex(got[at]), " instead of ",
         sdk::hex(expected[at]));
}

namespace {

struct Range {
  uint64_t offset;
  uint64_t length;
};

/** Mostly small and unaligned, sometimes whole clusters. */
Range pick_range(Bench& bench, uint64_t size) {
  const uint64_t unit = bench.pick(3) == 0 ? 65536 : bench.pick(2) == 0 ? 512 : 1;
  const uint64_t most = unit == 65536 ? 4 * unit : 40000;
  Range range{sdk::round_down(bench.pick(size), unit), 0};
  range.length = sdk::round_up(1 + bench.pick(most), unit);
  range.length = std::min(range.length, size - range.offset);
  return range;
}

void write_randomly(Bench& bench, block::Node& node, Bytes& model, Range range) {
  const auto data = bench.random_bytes(range.length);
  const uint32_t flags = bench.pick(16) == 0 ? static_cast<uint32_t>(INSTAR_WRITE_FUA) : 0u;
  need(node.write(bench.call(), range.offset, data.data(), data.size(), flags), "writing ",
       range.length, " bytes at ", range.offset);
  std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(range.offset));
}

void zero(Bench& bench, block::Node& node, Bytes& model, Range range) {
  const uint32_t flags = bench.pick(2) == 0 ? static_cast<uint32_t>(INSTAR_WRITE_MAY_UNMAP) : 0u;
  need(node.write_zeroes(bench.call(), range.offset, range.length, flags), "zeroing ", range.length,
       " bytes at ", range.offset);
  std::fill_n(model.begin() + static_cast<ptrdiff_t>(range.offset), range.length, uint8_t{0});
}

/** What a discarded range reads as is open, but it has to stay so. */
void discard(Bench& bench, block::Node& node, Bytes& model, Range range) {
  need(node.discard(bench.call(), range.offset, range.length), "discarding ", range.length,
       " bytes at ", range.offset);
  need(node.read(bench.call(), range.offset, model.data() + range.offset, range.length),
       "reading a discarded range of ", range.length, " bytes at ", range.offset);
}

void check_range(Bench& bench, block::Node& node, const Bytes& model, Range range) {
  Bytes got(range.length);
  need(node.read(bench.call(), range.offset, got.data(), got.size()), "reading ", range.length,
       " bytes at ", range.offset);
  const auto from = model.begin() + static_cast<ptrdiff_t>(range.offset);
  const Bytes expected(from, from + static_cast<ptrdiff_t>(range.length));
  require_equal(got, expected, sdk::cat("reading ", range.length, " bytes at ", range.offset));
}

}  // namespace

bool require_sound(Bench& bench, const Store& store, const std::string& what) {
  const auto opened = bench.open(store);
  void* self = nullptr;
  const auto* ops = opened.node->interface<instar_check_ops>(INSTAR_CHECK_ID, &self);
  if (ops == nullptr) {
    opened.close();
    return false;
  }
  instar_check_result result{};
  result.struct_size = sizeof result;
  sdk::StringSink messages;
  sdk::OutgoingCall call;
  need(call.status(ops->check(self, call.abi(), 0, &result, messages.abi(), nullptr)), "check");
  require(result.corruptions == 0 && result.leaks == 0 && result.check_errors == 0, what,
          ": check finds ", result.corruptions, " errors and ", result.leaks,
          " leaks: ", messages.text);
  opened.close();
  return true;
}

void fill(Bench& bench, block::Node& node, Bytes& model, unsigned requests) {
  if (model.empty()) return;
  for (unsigned i = 0; i < requests; ++i) {
    const Range range = pick_range(bench, model.size());
    const uint64_t roll = bench.pick(20);
    if (roll < 9)
      write_randomly(bench, node, model, range);
    else if (roll < 12)
      zero(bench, node, model, range);
    else if (roll < 14)
      discard(bench, node, model, range);
    else if (roll < 15)
      need(node.flush(bench.call()), "flushing");
    else
      check_range(bench, node, model, range);
  }
}

}  // namespace instar::conformance
