// SPDX-License-Identifier: Apache-2.0
// Opening, creating and removing, as the host asks for it.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/protocols/file/file_node.hpp"
#include "plugins/protocols/file/locks.hpp"
#include "plugins/protocols/file/resizing.hpp"
#include "plugins/protocols/file/staging.hpp"
#include "plugins/protocols/file/transfer.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::file {

namespace {

using sdk::Call;
using sdk::cat;
using sdk::CreateContext;
using sdk::fail;
using sdk::OpenContext;
using sdk::Options;
using sdk::Result;
using sdk::Status;

constexpr uint64_t kDefaultExtentSizeHint = 1 << 20;

sdk::Error invalid_value(const std::string& value) {
  return fail(EINVAL, "invalid parameter value: ", value);
}

Result<Locking> parse_locking(const Options& options) {
  const std::string text = options.text("locking", "auto");
  if (text == "auto") return Locking::kAuto;
  if (text == "on") return Locking::kOn;
  if (text == "off") return Locking::kOff;
  return invalid_value(text);
}

/** The engine chooses how requests are carried out, but a wrong value is a mistake all the same. */
Status check_aio(const Options& options, uint32_t flags) {
  const std::string aio = options.text("aio", "threads");
  if (aio != "threads" && aio != "native" && aio != "io_uring") return invalid_value(aio);
  if (aio == "native" && (flags & INSTAR_OPEN_NO_CACHE) == 0)
    return fail(EINVAL,
                "aio=native was specified, but it requires cache.direct=on, which was not "
                "specified.");
  return {};
}

Status check_options(const Options& options, uint32_t flags) {
  INSTAR_CHECK(check_aio(options, flags));
  if (options.has("pr-manager"))
    return fail(ENOENT, "No persistent reservation manager with id '", options.text("pr-manager"),
                "'");
  return {};
}

/** As qemu-img nothing may be added to messages. */
bool names_holders(const sdk::Host& host) {
  return host.service<instar_output_ops>(INSTAR_OUTPUT_ID) != nullptr && !host.strict();
}

/** While a file is made, only its size is nobody else's business. */
constexpr Permissions kCreating = {INSTAR_PERMISSION_WRITE | INSTAR_PERMISSION_RESIZE,
                                   INSTAR_PERMISSION_ALL & ~INSTAR_PERMISSION_RESIZE};

/** Copy-on-write is turned off before the file has data; a file system without it does not care. */
void turn_off_cow(int fd) {
  int attributes = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &attributes) != 0) return;
  attributes |= FS_NOCOW_FL;
  (void)::ioctl(fd, FS_IOC_SETFLAGS, &attributes);
}

void set_extent_size_hint(const Call& call, int fd, const Options& options) {
  const auto hint = options.number("extent_size_hint", kDefaultExtentSizeHint);
  if (hint == 0) return;
  struct fsxattr attributes {};
  const bool known = ::ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0;
  attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
  attributes.fsx_extsize = static_cast<uint32_t>(hint);
  if (known && ::ioctl(fd, FS_IOC_FSSETXATTR, &attributes) == 0) return;
  if (!options.has("extent_size_hint")) return;
  call.warn(cat("Failed to set extent size hint: ", sdk::errno_text(errno)));
}

Status remove_file(const std::string& filename) {
  struct stat st {};
  if (::lstat(filename.c_str(), &st) != 0 || !S_ISREG(st.st_mode))
    return fail(ENOENT, filename, " is not a regular file");
  if (::unlink(filename.c_str()) != 0)
    return fail(errno, "Error when deleting file ", filename, ": ", sdk::errno_text(errno));
  return {};
}

Status create_file(const CreateContext& context, const std::string& filename) {
  const Call& call = context.call();
  const Options options = context.options();
  if (options.number("extent_size_hint") > UINT32_MAX)
    return fail(EINVAL, "Extent size hint is too large");
  INSTAR_TRY(const auto mode, sdk::parse_preallocation(options.text("preallocation", "off")));
  const uint64_t size = options.number("size");
  if (size > INT64_MAX - 511) return fail(EFBIG, "Could not resize file: File too large");

  int raw_fd;
  do
    raw_fd = ::open(filename.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  while (raw_fd < 0 && errno == EINTR);
  const Descriptor fd(raw_fd);
  if (!fd) return fail(errno, "Could not create '", filename, "': ", sdk::errno_text(errno));
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode))
    return fail(EINVAL, "'file' driver requires '", filename, "' to be a regular file");
  // Locked before it is truncated: another process may be using it.
  INSTAR_CHECK(
      ImageLocks(fd.get(), filename, Locking::kAuto, names_holders(context.host())).set(kCreating));
  if (::ftruncate(fd.get(), 0) != 0)
    return fail(errno, "Could not resize file: ", sdk::errno_text(errno));
  if (options.flag("nocow")) turn_off_cow(fd.get());
  set_extent_size_hint(call, fd.get(), options);
  Status sized = resize_file(call, fd.get(), sdk::round_up(size, 512), mode, nullptr);
  // A file that is not as long as it was asked for is of no use to anybody.
  if (!sized) (void)remove_file(filename);
  return sized;
}

/** A device exists already: it has to be large enough, and loses its first sector, so that what
 * stood there is not taken for an image. */
Status create_device(const CreateContext& context, Kind kind, const std::string& filename) {
  const Options options = context.options();
  INSTAR_TRY(const auto mode, sdk::parse_preallocation(options.text("preallocation", "off")));
  INSTAR_CHECK(sdk::check_no_preallocation(mode));
  auto opened = open_file(kind, filename, INSTAR_OPEN_WRITE);
  if (!opened) return sdk::creates_nothing(kind_name(kind), opened.error());
  const int fd = opened->fd.get();
  INSTAR_CHECK(ImageLocks(fd, filename, Locking::kAuto, names_holders(context.host()))
                   .set({kCreating.used, INSTAR_PERMISSION_ALL}));
  INSTAR_CHECK(resize_device(fd, options.number("size"), mode, false));
  INSTAR_TRY(const uint64_t length, length_of(fd));
  uint8_t zeroes[512] = {};
  const instar_iovec piece{zeroes, static_cast<size_t>(std::min<uint64_t>(sizeof zeroes, length))};
  return write_all(fd, 0, sdk::IoVec(&piece, 1), false);
}

}  // namespace

template <Kind kind>
Result<std::unique_ptr<Driver<kind>>> Driver<kind>::open(OpenContext& context) {
  const Options options = context.options();
  const uint32_t flags = context.flags();
  const std::string filename =
      options.has("filename") ? options.text("filename") : strip_scheme(kind, context.filename());
  INSTAR_TRY(const Locking locking, parse_locking(options));
  INSTAR_CHECK(check_options(options, flags));
  INSTAR_TRY(OpenFile file, open_file(kind, filename, flags));
  ImageLocks locks(file.fd.get(), filename, locking, names_holders(context.host()));
  if ((flags & INSTAR_OPEN_DEFER_LOCKS) == 0) INSTAR_CHECK(locks.set(permissions_of(flags)));
  if (auto length = length_of(file.fd.get()); !length)
    return fail(length.error().code,
                "Could not refresh total sector count: ", length.error().message);
  INSTAR_TRY(const Alignment alignment, find_alignment(file));
  return std::make_unique<Driver<kind>>(kind, std::move(file), std::move(locks), alignment, flags);
}

template <Kind kind>
Status Driver<kind>::create(CreateContext& context) {
  const std::string filename = strip_scheme(kind, context.filename());
  if constexpr (kind == Kind::kFile) return create_file(context, filename);
  return create_device(context, kind, filename);
}

template <Kind kind>
Status Driver<kind>::remove(sdk::Host, const std::string& name) {
  return remove_file(strip_scheme(kind, name));
}

template <Kind kind>
Result<std::string> Driver<kind>::stage(const std::string& filename, uint32_t flags) {
  if (kind != Kind::kFile) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  return stage_file(strip_scheme(kind, filename), flags);
}

template <Kind kind>
Status Driver<kind>::settle(const std::string& staged, const std::string& filename,
                            uint32_t flags) {
  return settle_file(staged, strip_scheme(kind, filename), flags);
}

template class Driver<Kind::kFile>;
template class Driver<Kind::kHostDevice>;
template class Driver<Kind::kHostCdrom>;

}  // namespace instar::file

INSTAR_PLUGIN("file", "1.0.0", instar::sdk::protocol<instar::file::FileDriver>("file"),
              instar::sdk::protocol<instar::file::HostDeviceDriver>("host_device"),
              instar::sdk::protocol<instar::file::HostCdromDriver>("host_cdrom"))
