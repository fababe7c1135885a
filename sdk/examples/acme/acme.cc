// SPDX-License-Identifier: Apache-2.0
// The format "acme", read-only: 8 bytes "ACMEDISK", the disk's size (64 bits, big-endian), and from
// byte 512 on the disk itself.
#include <instar/cpp/plugin.hpp>

using namespace instar::sdk;

namespace {

constexpr uint64_t kDataStart = 512;

struct Header {
  char magic[8];
  Be<uint64_t> size;
};

class Acme {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static Result<std::unique_ptr<Acme>> open(OpenContext& context) {
    INSTAR_TRY(const NodeRef file, context.file());
    INSTAR_TRY(const uint64_t file_size, file.size());
    Header header{};
    INSTAR_CHECK(file.read(context.call(), 0, &header, sizeof header));
    if (std::string_view(header.magic, 8) != "ACMEDISK") return fail(EINVAL, "Not an Acme disk");
    if (file_size < kDataStart || header.size > file_size - kDataStart)
      return fail(EINVAL, "Acme disk of ", uint64_t{header.size}, " bytes is truncated");
    return std::make_unique<Acme>(file, header.size);
  }
  Acme(NodeRef file, uint64_t size) : file_(file), size_(size) {}

  uint64_t size() const { return size_; }
  Status read(const Call& call, uint64_t offset, IoVec to) const {
    return file_.read(call, kDataStart + offset, to);
  }
  // Where the bytes lie: with it and map() they are copied without passing through read().
  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t) const {
    out[0] = {
        length, kDataStart + offset,
        INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_RECURSE,
        file_.id()};
    return size_t{1};
  }
  void info(JsonWriter& json) const {
    json.begin_object().key("format-specific").begin_object().field("type", "acme");
    json.key("data").begin_object().field("data-start", kDataStart);
    json.end_object().end_object().end_object();
  }

 private:
  NodeRef file_;
  uint64_t size_;
};

}  // namespace

INSTAR_PLUGIN("acme", "1.0.0", format<Acme>("acme"))
