// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/testing.hpp"

#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "sdk/abi/compress.h"
#include "sdk/abi/info.h"
#include "sdk/cpp/testing_cipher.hpp"

namespace instar::qcow2::testing {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestFile = uint64_t{512} << 20;

/** Raw deflate with the window that the format asks for, and inflate. */
class RawDeflate {
 public:
  static Result<std::unique_ptr<RawDeflate>> open(const instar_codec_params& params) {
    if (params.framing != INSTAR_FRAMING_RAW || params.window_bits != 12)
      return fail(EINVAL, "other parameters than qcow2's");
    return std::make_unique<RawDeflate>();
  }
  Result<int64_t> compress(ConstBytes in, Bytes out) {
    z_stream z{};
    deflateInit2(&z, 1, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY);
    const int result = run(z, in, out, &deflate);
    const auto n = static_cast<int64_t>(z.total_out);
    deflateEnd(&z);
    return result == Z_STREAM_END ? n : -ENOSPC;
  }
  Result<int64_t> decompress(ConstBytes in, Bytes out) {
    z_stream z{};
    inflateInit2(&z, -12);
    const int result = run(z, in, out, &inflate);
    const auto n = static_cast<int64_t>(z.total_out);
    inflateEnd(&z);
    if (result != Z_STREAM_END && z.avail_out != 0) return fail(EIO, "bad deflate data");
    return n;
  }
  static size_t bound(size_t n) { return n + n / 8 + 64; }

 private:
  static int run(z_stream& z, ConstBytes in, Bytes out, int (*step)(z_stream*, int)) {
    z.next_in = const_cast<uint8_t*>(in.data());
    z.avail_in = static_cast<uInt>(in.size());
    z.next_out = out.data();
    z.avail_out = static_cast<uInt>(out.size());
    return step(&z, Z_FINISH);
  }
};

const void* find(const instar_host*, instar_call* call, uint32_t kind, const char* name) {
  if (kind == INSTAR_KIND_CODEC && std::string_view(name) == "zlib")
    return sdk::CodecTable<RawDeflate>::ops();
  if (kind == INSTAR_KIND_ENCRYPTION && std::string_view(name) == "aes")
    return sdk::EncryptionTable<sdk::testing::ToyAes>::ops();
  if (kind == INSTAR_KIND_ENCRYPTION && std::string_view(name) == "luks")
    return sdk::EncryptionTable<sdk::testing::ToyLuks>::ops();
  Call(call).report(fail(ENOENT, "no such codec: ", name));
  return nullptr;
}
constexpr instar_registry_ops kRegistry{
    sizeof(instar_registry_ops), 0, &find, nullptr, nullptr, nullptr};

const void* host_interface(const instar_host*, const char* id) {
  return std::string_view(id) == INSTAR_REGISTRY_ID ? &kRegistry : nullptr;
}
constexpr instar_host kHost{sizeof(instar_host),
                            0,
                            nullptr,
                            &host_interface,
                            [](const instar_host*, int, const char*, size_t) {},
                            nullptr};

const instar_format_ops* format() {
  return sdk::FormatTable<Image>::ops();
}

/** "base.raw", or the same with detours. */
bool is_backing_name(std::string_view name) {
  while (name.starts_with("./"))
    name.remove_prefix(2);
  return name == "base.raw";
}

int open_child(const instar_opener* opener, instar_call*, const instar_child_request* request,
               instar_node** out, uint32_t* id) {
  auto& files = *static_cast<Files*>(opener->opaque);
  const std::string_view name = request->name;
  if (name != "file" && request->reference == nullptr) {
    *out = nullptr;
    return 0;
  }
  if (name == "backing" && !is_backing_name(request->reference)) return -ENOENT;
  MemoryFile* file = name == "file"      ? &files.file
                     : name == "backing" ? files.backing.get()
                                         : files.data.get();
  *out = file != nullptr ? const_cast<instar_node*>(file->node()) : nullptr;
  *id = name == "file" ? 0 : name == "backing" ? 1 : 2;
  return file != nullptr || (request->flags & INSTAR_CHILD_OPTIONAL) != 0 ? 0 : -ENOENT;
}

int create_file(const instar_creator* creator, instar_call*, const char* name, uint64_t size,
                instar_node** out) {
  auto& files = *static_cast<Files*>(creator->opaque);
  if (name != nullptr) files.data = std::make_unique<MemoryFile>();
  MemoryFile& file = name != nullptr ? *files.data : files.file;
  file.bytes.assign(size, 0);
  *out = const_cast<instar_node*>(file.node());
  return 0;
}

void save(const fs::path& path, const std::vector<uint8_t>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/** Output of a command, and its status. */
std::pair<int, std::string> run(const std::string& command) {
  std::string output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  while (const size_t n = fread(buffer, 1, sizeof buffer, pipe))
    output.append(buffer, n);
  return {pclose(pipe), output};
}

}  // namespace

int MemoryFile::write(uint64_t offset, const IoVec& from) {
  const std::lock_guard lock(mutex_);
  if (writes_until_failure == 0) return -EIO;
  if (writes_until_failure > 0) --writes_until_failure;
  const uint64_t length = from.length();
  if (offset > kLargestFile) return -EFBIG;
  if (bytes.size() < offset + length) bytes.resize(offset + length);
  from.copy_out(0, bytes.data() + offset, length);
  if (journal != nullptr)
    journal->add({Journal::Kind::kWrite,
                  number,
                  offset,
                  {bytes.begin() + static_cast<int64_t>(offset),
                   bytes.begin() + static_cast<int64_t>(offset + length)}});
  return 0;
}

int MemoryFile::resize(uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (size > kLargestFile) return -EFBIG;
  if (journal != nullptr) journal->add({Journal::Kind::kResize, number, size, {}});
  bytes.resize(size);
  return 0;
}

/** What is discarded reads as zeroes. */
int MemoryFile::discard(uint64_t offset, uint64_t length) {
  std::vector<uint8_t> zeroes(std::min(length, bytes.size() - std::min(offset, bytes.size())));
  const instar_iovec piece{zeroes.data(), zeroes.size()};
  return zeroes.empty() ? 0 : write(offset, IoVec(&piece, 1));
}

int MemoryFile::flush() {
  const std::lock_guard lock(mutex_);
  if (journal != nullptr) journal->add({Journal::Kind::kFlush, number, 0, {}});
  return 0;
}

const instar_resize_ops MemoryFile::kResize = {
    sizeof(instar_resize_ops), 0,
    [](void* self, instar_call*, uint64_t size, uint32_t, uint32_t, const instar_progress*) {
      return get(self).resize(size);
    }};

const instar_node_ops MemoryFile::kOps = {
    sizeof(instar_node_ops),
    INSTAR_THREADS_PARALLEL,
    [](void*, instar_call*) { return 0; },
    [](void* self, instar_call*) { return static_cast<int64_t>(get(self).bytes.size()); },
    [](void*, instar_call*, instar_node_limits* limits) {
      limits->flags = INSTAR_NODE_ZERO_INIT;
      return 0;
    },
    [](void* self, instar_call*, uint64_t offset, const instar_iovec* iov, size_t count) {
      auto& file = get(self);
      const IoVec to(iov, count);
      const std::lock_guard lock(file.mutex_);
      if (offset + to.length() > file.bytes.size()) return -EINVAL;
      to.copy_in(0, file.bytes.data() + offset, to.length());
      return 0;
    },
    [](void* self, instar_call*, uint64_t offset, const instar_iovec* iov, size_t count, uint32_t) {
      return get(self).write(offset, IoVec(iov, count));
    },
    [](void* self, instar_call*, uint64_t offset, uint64_t length, uint32_t) {
      std::vector<uint8_t> zeroes(length);
      const instar_iovec piece{zeroes.data(), length};
      return get(self).write(offset, IoVec(&piece, 1));
    },
    [](void* self, instar_call*, uint64_t offset, uint64_t length) {
      return get(self).discard(offset, length);
    },
    [](void* self, instar_call*) { return get(self).flush(); },
    nullptr,
    [](void* self, const char* id, void** interface_self) -> const void* {
      *interface_self = self;
      return std::string_view(id) == INSTAR_RESIZE_ID ? &kResize : nullptr;
    }};

const instar_host* host() {
  return &kHost;
}

OptionList::OptionList(std::initializer_list<std::pair<const char*, std::string>> items) {
  for (const auto& [name, text] : items)
    add(name, text);
}

void OptionList::add(const std::string& name, const std::string& text) {
  texts_[name] = text;
  options_.clear();
  for (const auto& [key, value] : texts_) {
    const bool on = value == "on";
    const uint64_t number = on ? 1 : std::strtoull(value.c_str(), nullptr, 10);
    options_.push_back({key.c_str(), value.c_str(), number, INSTAR_OPTION_STRING, 0});
  }
}

TestImage::TestImage(Files& files, uint32_t flags, const OptionList& options)
    : opener_{sizeof opener_, 0, &files, &open_child} {
  const instar_open_args args{sizeof args, flags, "test", options.abi(), &opener_, nullptr};
  sdk::OutgoingCall call;
  const int result = format()->open(host(), call.abi(), &args, &node_);
  if (result < 0) {
    node_ = {};
    error_ = call.error(result).message;
  }
}

TestImage::~TestImage() {
  if (open()) close();
}

int TestImage::close() {
  const int result = node_.ops->close(node_.self, nullptr);
  node_ = {};
  return result;
}

int TestImage::read(uint64_t offset, std::vector<uint8_t>* to) const {
  const instar_iovec piece{to->data(), to->size()};
  return node_.ops->read(node_.self, nullptr, offset, &piece, 1);
}

int TestImage::write(uint64_t offset, const std::vector<uint8_t>& from) const {
  // Two pieces, so that scattered buffers are covered.
  const size_t half = from.size() / 3;
  auto* data = const_cast<uint8_t*>(from.data());
  const instar_iovec pieces[] = {{data, half}, {data + half, from.size() - half}};
  return node_.ops->write(node_.self, nullptr, offset, pieces, 2, 0);
}

int TestImage::write_zeroes(uint64_t offset, uint64_t length, uint32_t flags) const {
  return node_.ops->write_zeroes(node_.self, nullptr, offset, length, flags);
}

int TestImage::discard(uint64_t offset, uint64_t length) const {
  return node_.ops->discard(node_.self, nullptr, offset, length);
}

int TestImage::flush() const {
  return node_.ops->flush(node_.self, nullptr);
}

int TestImage::write_packed(uint64_t offset, const std::vector<uint8_t>& from) const {
  void* self = nullptr;
  const auto* ops = node().interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &self);
  std::vector<uint8_t> packed(from.size() + 1024);
  const int64_t n =
      ops->pack(self, nullptr, from.data(), from.size(), packed.data(), packed.size());
  if (n == -ENOSPC) return write(offset, from);
  if (n < 0) return static_cast<int>(n);
  return ops->store(self, nullptr, offset, from.size(), packed.data(), static_cast<size_t>(n));
}

int TestImage::write_placed(Files& files, uint64_t offset, const std::vector<uint8_t>& from) const {
  void* self = nullptr;
  const auto* ops = node().interface<instar_map_ops>(INSTAR_MAP_ID, &self);
  for (uint64_t done = 0; done < from.size();) {
    instar_placement placements[4];
    const int64_t n =
        ops->prepare_write(self, nullptr, offset + done, from.size() - done, placements, 4);
    if (n < 0) return static_cast<int>(n);
    for (int64_t i = 0; i < n; ++i) {
      const auto& to = placements[i];
      const instar_iovec piece{const_cast<uint8_t*>(from.data()) + done, to.length};
      const auto* child = to.child == 2 ? files.data->node() : files.file.node();
      const int result = child->ops->write(child->self, nullptr, to.child_offset, &piece, 1, 0);
      if (result < 0) {
        ops->abort_write(self, placements, static_cast<size_t>(n));
        return result;
      }
      done += to.length;
    }
    const int result = ops->commit_write(self, nullptr, placements, static_cast<size_t>(n));
    if (result < 0) return result;
  }
  return 0;
}

std::string TestImage::info() const {
  void* self = nullptr;
  const auto* ops = node().interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  sdk::StringSink sink;
  sdk::OutgoingCall call;
  const int result = ops->describe(self, call.abi(), sink.abi());
  return result < 0 ? call.error(result).message : sink.text;
}

std::string create(Files& files, const OptionList& options) {
  const instar_creator creator{sizeof creator, 0, &files, &create_file, nullptr};
  const instar_create_args args{sizeof args, 0, "test", options.abi(), &creator};
  sdk::OutgoingCall call;
  const int result = format()->create(host(), call.abi(), &args);
  return result < 0 ? call.error(result).message : "";
}

std::optional<std::string> reference_verdict(const Files& files,
                                             const std::vector<uint8_t>* content,
                                             Tolerance tolerance) {
  const char* reference = std::getenv("INSTAR_REFERENCE");
  if (reference == nullptr || *reference == '\0') return std::nullopt;
  const std::string tool = std::string(reference) + "/bin/qemu-img";
  const fs::path folder = fs::path(::testing::TempDir()) / ("qcow2-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const std::string image = (folder / "image.qcow2").string();
  save(image, files.file.bytes);
  if (files.backing) save(folder / "base.raw", files.backing->bytes);
  if (files.data) save(folder / "data.raw", files.data->bytes);
  std::string verdict;
  // A data file's name is relative to where the tool runs.
  const std::string at = "cd " + folder.string() + " && ";
  const char* const repair = tolerance == Tolerance::kRepair ? "-r all " : "";
  const auto [status, text] = run(at + tool + " check -f qcow2 " + repair + image);
  constexpr int kLeaks = 3;
  const int code = WEXITSTATUS(status);
  if (code != 0 && !(tolerance == Tolerance::kLeaks && code == kLeaks)) verdict = text;
  if (verdict.empty() && content != nullptr) {
    save(folder / "content.raw", *content);
    const auto compared = run(at + tool + " compare -f qcow2 -F raw " + image + " " +
                              (folder / "content.raw").string());
    if (compared.first != 0) verdict = compared.second;
  }
  fs::remove_all(folder);
  return verdict;
}

}  // namespace instar::qcow2::testing
