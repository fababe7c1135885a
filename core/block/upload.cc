// SPDX-License-Identifier: Apache-2.0
#include "core/block/upload.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/block/creating.hpp"

namespace instar::block {

namespace {

using sdk::OutgoingCall;

constexpr size_t kPiece = 1 << 20;

/** A file that is read from its beginning to its end. */
class Reader {
 public:
  static Result<std::unique_ptr<Reader>> open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(errno, "Could not open '", path, "': ", errno_text(errno));
    return std::unique_ptr<Reader>(new Reader(fd));
  }
  ~Reader() { ::close(fd_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  uint64_t size() const {
    struct stat info {};
    return ::fstat(fd_, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
  }
  Status read(const Call& call, const instar_content& each) const {
    std::vector<uint8_t> piece(kPiece);
    for (;;) {
      if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      const ssize_t n = ::read(fd_, piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(errno, errno_text(errno));
      if (n == 0) return {};
      const int taken = each.data(each.opaque, piece.data(), static_cast<size_t>(n));
      if (taken < 0) return fail(-taken, errno_text(-taken));
    }
  }

 private:
  explicit Reader(int fd) : fd_(fd) {}
  const int fd_;
};

int hand_over(void* opaque, instar_call* abi, const instar_content* each) noexcept {
  return static_cast<int>(sdk::guard(abi, [&](const Call& call) {
    return static_cast<const Upload*>(opaque)->write(call, *each);
  }));
}

}  // namespace

bool uploads(const Driver& protocol) {
  return protocol.provider->info().has_flag("upload");
}

Status upload(const Call& call, const Driver& protocol, const Upload& what) {
  INSTAR_TRY(const auto loaded, protocol.provider->load<instar_protocol_ops>());
  if (loaded.ops->upload == nullptr)
    return fail(ENOTSUP, "Protocol driver '", protocol.name(), "' does not support uploads");
  instar_create_args args{};
  args.struct_size = sizeof args;
  args.filename = what.file.c_str();
  args.options = {what.options.data(), what.options.size()};
  const instar_upload_source source{sizeof source, 0, const_cast<Upload*>(&what), what.size,
                                    &hand_over};
  OutgoingCall outgoing(&call);
  return outgoing.status(loaded.ops->upload(loaded.host, outgoing.abi(), &args, &source));
}

Result<std::unique_ptr<StagedUpload>> StagedUpload::make() {
  const char* parent = ::secure_getenv("TMPDIR");
  std::string folder =
      cat(parent != nullptr && *parent != '\0' ? parent : "/var/tmp", "/instar-XXXXXX");
  if (::mkdtemp(folder.data()) == nullptr)
    return fail(errno, "Could not make a temporary folder '", folder, "': ", errno_text(errno));
  return std::unique_ptr<StagedUpload>(new StagedUpload(std::move(folder)));
}

StagedUpload::~StagedUpload() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Status StagedUpload::store(const Call& call, const Driver& protocol,
                           const std::string& file) const {
  INSTAR_TRY(const auto reader, Reader::open(filename()));
  Upload what;
  what.file = file;
  if (options_) what.options = options_of(protocol, *options_);
  what.size = reader->size();
  what.write = [&](const Call& inner, const instar_content& each) {
    return reader->read(inner, each);
  };
  return upload(call, protocol, what);
}

}  // namespace instar::block
