// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/session.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <deque>
#include <vector>

#include "plugins/protocols/ssh/dial.hpp"

namespace instar::ssh {

namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::ConstBytes;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Result;
using sdk::Status;

/** What every server takes (draft-ietf-secsh-filexfer-02, section 3); OpenSSH takes more writes. */
constexpr size_t kReadPiece = 32 << 10;
constexpr size_t kWritePiece = 128 << 10;
constexpr size_t kReadsInFlight = 64;
constexpr mode_t kNewFile = 0644;
/** A flush may have much to write. */
constexpr int kFlushPatience = 10;
constexpr std::chrono::seconds kFarewell(1);
constexpr std::chrono::milliseconds kCreation(500);

/** libssh's writes to a connection that is gone would end the program. */
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~NoSigpipe() {
    const timespec now{};
    if (!was_pending_) (void)sigtimedwait(&set_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t set_{}, before_{};
  bool was_pending_ = false;
};

struct KeyDeleter {
  void operator()(ssh_key key) const { ssh_key_free(key); }
};
using KeyPtr = std::unique_ptr<ssh_key_struct, KeyDeleter>;

std::string hex_text(const unsigned char* bytes, size_t length) {
  std::string out;
  for (size_t i = 0; i < length; ++i)
    out += sdk::hex_digits(bytes[i], 2);
  return out;
}

ssh_publickey_hash_type hash_type(std::string_view name) {
  if (name == "md5") return SSH_PUBLICKEY_HASH_MD5;
  return name == "sha1" ? SSH_PUBLICKEY_HASH_SHA1 : SSH_PUBLICKEY_HASH_SHA256;
}

}  // namespace

/** Around everything that libssh does with the connection. */
class Session::Work {
 public:
  Work(Session& session, const Call& call, std::chrono::seconds limit)
      : watch_(session.dog_, call, session.socket_, limit) {}
  void progress() const { watch_.progress(); }
  void wait_still(Clock::duration grace) const { watch_.wait_still(grace); }
  int fired() const { return watch_.fired(); }

 private:
  NoSigpipe quiet_;
  mutable Watchdog::Watch watch_;
};

Result<std::unique_ptr<Session>> Session::open(const Call& call, Watchdog& dog,
                                               const Target& target, int access) {
  std::unique_ptr<Session> session(new Session(dog, target));
  INSTAR_CHECK(session->connect(call, access));
  return session;
}

Session::~Session() {
  if (ssh_ != nullptr) {
    const Work work(*this, Call(nullptr), kFarewell);
    if (broken_) (void)::shutdown(socket_, SHUT_RDWR);
    if (file_ != nullptr) (void)sftp_close(file_);
    if (sftp_ != nullptr) sftp_free(sftp_);
    ssh_disconnect(ssh_);
    ssh_free(ssh_);
  }
  if (socket_ >= 0) ::close(socket_);
}

Error Session::session_error(std::string_view what) {
  broken_ = true;
  return fail(EINVAL, what, ": ", ssh_get_error(ssh_),
              " (libssh error code: ", ssh_get_error_code(ssh_), ")");
}

Error Session::sftp_error(std::string_view what) {
  const int said = sftp_ != nullptr ? sftp_get_error(sftp_) : SSH_FX_OK;
  const int code = said == SSH_FX_NO_SUCH_FILE        ? ENOENT
                   : said == SSH_FX_PERMISSION_DENIED ? EACCES
                                                      : EINVAL;
  return fail(code, what, ": ", ssh_get_error(ssh_),
              " (libssh error code: ", ssh_get_error_code(ssh_), ", sftp error code: ", said, ")");
}

Status Session::connect(const Call& call, int access) {
  const auto deadline =
      target_.limit.count() > 0 ? Clock::now() + target_.limit : Clock::time_point::max();
  INSTAR_TRY(socket_, dial(call, target_.place, deadline));
  ssh_ = ssh_new();
  if (ssh_ == nullptr) return fail(ENOMEM, "failed to initialize libssh session");
  const Work work(*this, call, target_.limit);
  Status status = handshake();
  // A file that the server makes for nobody could not be removed again.
  if ((access & O_CREAT) != 0) work.wait_still(kCreation);
  if (status && call.cancelled()) status = fail(ECANCELED, errno_text(ECANCELED));
  if (status) status = open_file(access);
  if (status) return status;
  broken_ = true;
  if (work.fired() == ECANCELED) return fail(ECANCELED, errno_text(ECANCELED));
  if (work.fired() != 0)
    return fail(work.fired(), "Failed to connect to '", target_.place.server(),
                "': ", errno_text(work.fired()));
  return status;
}

/** Until the user is logged in. */
Status Session::handshake() {
  const auto set = [&](ssh_options_e option, const void* value) {
    return ssh_options_set(ssh_, option, value) >= 0;
  };
  const auto port = static_cast<unsigned>(std::strtoul(target_.place.port.c_str(), nullptr, 10));
  if (!set(SSH_OPTIONS_USER, target_.user.c_str()))
    return session_error("failed to set the user in the libssh session");
  if (!set(SSH_OPTIONS_HOST, target_.place.host.c_str()))
    return session_error("failed to set the host in the libssh session");
  if (port > 0 && !set(SSH_OPTIONS_PORT, &port))
    return session_error("failed to set the port in the libssh session");
  if (!set(SSH_OPTIONS_COMPRESSION, "none"))
    return session_error("failed to disable the compression in the libssh session");
  if (ssh_options_parse_config(ssh_, nullptr) != 0)
    return session_error("failed to parse ~/.ssh/config");
  const int fd = ::fcntl(socket_, F_DUPFD_CLOEXEC, 0);
  if (fd < 0 || !set(SSH_OPTIONS_FD, &fd))
    return session_error("failed to set the socket in the libssh session");
  if (ssh_connect(ssh_) != SSH_OK) return session_error("failed to establish SSH session");
  INSTAR_CHECK(check_key());
  return log_in();
}

Status Session::check_key() {
  if (target_.place.check.mode == HostKeyCheck::Mode::kNone) return {};
  ssh_key found = nullptr;
  if (ssh_get_server_publickey(ssh_, &found) != SSH_OK)
    return session_error("failed to read remote host key");
  const KeyPtr key(found);
  return target_.place.check.mode == HostKeyCheck::Mode::kHash ? check_hash(key.get())
                                                               : check_known_hosts(key.get());
}

Status Session::check_hash(ssh_key key) {
  const auto& check = target_.place.check;
  unsigned char* bytes = nullptr;
  size_t length = 0;
  if (ssh_get_publickey_hash(key, hash_type(check.type), &bytes, &length) != 0)
    return session_error("failed reading the hash of the server SSH key");
  const std::string hash = hex_text(bytes, length);
  ssh_clean_pubkey_hash(&bytes);
  if (same_hash(check.hash, hash)) return {};
  return fail(EPERM, "remote host ", ssh_key_type_to_char(ssh_key_type(key)), " key fingerprint '",
              check.type, ":", hash, "' does not match host_key_check '", check.type, ":",
              check.hash, "'");
}

Status Session::check_known_hosts(ssh_key key) {
  const auto state = ssh_session_is_known_server(ssh_);
  switch (state) {
    case SSH_KNOWN_HOSTS_OK:
      return {};
    case SSH_KNOWN_HOSTS_CHANGED:
      break;
    case SSH_KNOWN_HOSTS_OTHER:
      return fail(EINVAL, "host key for this server not found, another type exists");
    case SSH_KNOWN_HOSTS_UNKNOWN:
      return fail(EINVAL, "no host key was found in known_hosts");
    case SSH_KNOWN_HOSTS_NOT_FOUND:
      return fail(ENOENT, "known_hosts file not found");
    case SSH_KNOWN_HOSTS_ERROR:
      return fail(EINVAL, "error while checking the host");
    default:
      return fail(EINVAL, "error while checking for known server (", static_cast<int>(state), ")");
  }
  constexpr const char* kEnd =
      "does not match the one in known_hosts; this may be a possible attack";
  unsigned char* bytes = nullptr;
  size_t length = 0;
  if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &bytes, &length) != 0)
    return fail(EINVAL, "host key ", kEnd);
  char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, bytes, length);
  const std::string fingerprint = text != nullptr ? text : "";
  ssh_string_free_char(text);
  ssh_clean_pubkey_hash(&bytes);
  return fail(EINVAL, "host key (", ssh_key_type_to_char(ssh_key_type(key)),
              " key with fingerprint ", fingerprint, ") ", kEnd);
}

/** By the agent's keys and those in ~/.ssh. */
Status Session::log_in() {
  const int none = ssh_userauth_none(ssh_, nullptr);
  if (none == SSH_AUTH_ERROR)
    return session_error("failed to authenticate using none authentication");
  if (none == SSH_AUTH_SUCCESS) return {};
  if ((ssh_userauth_list(ssh_, nullptr) & SSH_AUTH_METHOD_PUBLICKEY) != 0) {
    const int keys = ssh_userauth_publickey_auto(ssh_, nullptr, nullptr);
    if (keys == SSH_AUTH_ERROR)
      return session_error("failed to authenticate using publickey authentication");
    if (keys == SSH_AUTH_SUCCESS) return {};
  }
  return fail(EPERM,
              "failed to authenticate using publickey authentication and the identities held by "
              "your ssh-agent");
}

Status Session::open_file(int access) {
  sftp_ = sftp_new(ssh_);
  if (sftp_ == nullptr) return session_error("failed to create sftp handle");
  if (sftp_init(sftp_) < 0) return sftp_error("failed to initialize sftp handle");
  file_ = sftp_open(sftp_, target_.place.path.c_str(), access, kNewFile);
  if (file_ == nullptr)
    return sftp_error(sdk::cat("failed to open remote file '", target_.place.path, "'"));
  sftp_attributes attributes = sftp_fstat(file_);
  if (attributes == nullptr) return sftp_error("failed to read file attributes");
  size_ = attributes->size;
  regular_ =
      (attributes->flags & SSH_FILEXFER_ATTR_PERMISSIONS) == 0 || S_ISREG(attributes->permissions);
  sftp_attributes_free(attributes);
  if (size_ > INT64_MAX) return fail(EFBIG, "the server gives an impossible size");
  return {};
}

/** The server said no, or does not say anything any more. */
Error Session::request_error(const Work& work) {
  const int fired = work.fired();
  const int said = sftp_get_error(sftp_);
  const bool refused = said == SSH_FX_PERMISSION_DENIED || said == SSH_FX_FAILURE ||
                       said == SSH_FX_OP_UNSUPPORTED || said == SSH_FX_WRITE_PROTECT;
  broken_ = fired != 0 || !refused || ssh_is_connected(ssh_) == 0;
  const int code = fired != 0 ? fired : EIO;
  return fail(code, errno_text(code));
}

Status Session::read(const Call& call, uint64_t offset, Bytes to) {
  const Work work(*this, call, target_.limit);
  Status status = read_pieces(work, offset, to);
  if (!status) broken_ = true;  // answers that nobody took are still on their way
  return status;
}

Status Session::read_pieces(const Work& work, uint64_t offset, Bytes to) {
  struct Piece {
    uint32_t id;
    size_t at, length;
  };
  std::deque<Piece> in_flight;
  std::vector<Piece> rests;
  if (sftp_seek64(file_, offset) < 0) return request_error(work);
  for (size_t asked = 0; asked < to.size() || !in_flight.empty();) {
    if (asked < to.size() && in_flight.size() < kReadsInFlight) {
      const size_t n = std::min(kReadPiece, to.size() - asked);
      const int id = sftp_async_read_begin(file_, static_cast<uint32_t>(n));
      if (id < 0) return request_error(work);
      in_flight.push_back({static_cast<uint32_t>(id), asked, n});
      asked += n;
      continue;
    }
    const Piece piece = in_flight.front();
    in_flight.pop_front();
    const int got =
        sftp_async_read(file_, to.data() + piece.at, static_cast<uint32_t>(piece.length), piece.id);
    if (got <= 0) return request_error(work);
    work.progress();
    const auto n = static_cast<size_t>(got);
    if (n < piece.length) rests.push_back({0, piece.at + n, piece.length - n});
  }
  for (const auto& piece : rests)
    INSTAR_CHECK(read_rest(work, offset + piece.at, to.subspan(piece.at, piece.length)));
  return {};
}

/** What a server left out that gives less at a time than it is asked for. */
Status Session::read_rest(const Work& work, uint64_t offset, Bytes to) {
  if (sftp_seek64(file_, offset) < 0) return request_error(work);
  while (!to.empty()) {
    const ssize_t got = sftp_read(file_, to.data(), std::min(kReadPiece, to.size()));
    if (got <= 0) return request_error(work);
    work.progress();
    to = to.subspan(static_cast<size_t>(got));
  }
  return {};
}

Status Session::write(const Call& call, uint64_t offset, ConstBytes from) {
  const Work work(*this, call, target_.limit);
  if (sftp_seek64(file_, offset) < 0) return request_error(work);
  while (!from.empty()) {
    const ssize_t done = sftp_write(file_, from.data(), std::min(kWritePiece, from.size()));
    if (done <= 0) return request_error(work);
    work.progress();
    from = from.subspan(static_cast<size_t>(done));
  }
  return {};
}

Status Session::grow(const Call& call, uint64_t size) {
  const uint8_t zero = 0;
  Status status = write(call, size - 1, ConstBytes(&zero, 1));
  if (status || broken_) return status;
  return sftp_error("Failed to grow file");
}

Result<bool> Session::flush(const Call& call) {
  if (sftp_extension_supported(sftp_, "fsync@openssh.com", "1") == 0) return false;
  const Work work(*this, call, target_.limit * kFlushPatience);
  if (sftp_fsync(file_) < 0) return request_error(work);
  return true;
}

Status Session::remove(const Call& call) {
  const Work work(*this, call, target_.limit);
  const char* const path = target_.place.path.c_str();
  sftp_attributes attributes = sftp_lstat(sftp_, path);
  if (attributes == nullptr) return request_error(work);
  const bool plain = attributes->type == SSH_FILEXFER_TYPE_REGULAR;
  sftp_attributes_free(attributes);
  if (plain && sftp_unlink(sftp_, path) < 0) return request_error(work);
  return {};
}

}  // namespace instar::ssh
