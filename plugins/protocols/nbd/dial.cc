// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/dial.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <thread>

namespace instar::nbd {

namespace {

using sdk::Call;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Result;

Error not_connected(const Address& address, int code) {
  return fail(code, "Failed to connect to '", address.text(), "': ", errno_text(code));
}

/** The host as libnbd is to look it up: a number where only one family is wanted, which libnbd cannot
 * be told. */
Result<std::string> resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG;
  hints.ai_socktype = SOCK_STREAM;
  const bool only_4 =
      address.ipv4.value_or(false) ? !address.ipv6.value_or(false) : !address.ipv6.value_or(true);
  const bool only_6 =
      address.ipv6.value_or(false) ? !address.ipv4.value_or(false) : !address.ipv4.value_or(true);
  if (only_4) hints.ai_family = AF_INET;
  if (only_6) hints.ai_family = AF_INET6;
  addrinfo* list = nullptr;
  const int result = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
  if (result != 0)
    return fail(EINVAL, "address resolution failed for ", address.text(), ": ",
                ::gai_strerror(result));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  if (only_4 == only_6) return address.host;
  char number[NI_MAXHOST];
  if (::getnameinfo(list->ai_addr, list->ai_addrlen, number, sizeof number, nullptr, 0,
                    NI_NUMERICHOST) != 0)
    return address.host;
  return std::string(number);
}

Result<socklen_t> fill(sockaddr_un& name, const Address& address) {
  const size_t room = sizeof name.sun_path - (address.abstract ? 1 : 0);
  if (address.path.size() > room)
    return Error{EINVAL, sdk::cat("UNIX socket path '", address.path, "' is too long"),
                 sdk::cat("Path must be less than ", room, " bytes")};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path + (address.abstract ? 1 : 0), address.path.data(), address.path.size());
  if (!address.abstract || !address.tight) return static_cast<socklen_t>(sizeof name);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + address.path.size());
}

/** A server that has too many callers at the door is tried again. */
Result<int> connect_unix(const Call& call, const Address& address, Clock::time_point deadline) {
  sockaddr_un name{};
  INSTAR_TRY(const socklen_t length, fill(name, address));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(errno, "Failed to create Unix socket: ", errno_text(errno));
  // An empty path is refused by the kernel as one that nobody listens on is.
  while (::connect(fd, reinterpret_cast<const sockaddr*>(&name), length) != 0) {
    const int code = errno;
    const bool busy = (code == EAGAIN || code == EINTR) && Clock::now() < deadline;
    if (busy && !call.cancelled()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    ::close(fd);
    return not_connected(address, call.cancelled() ? ECANCELED : code);
  }
  return fd;
}

Result<int> take_over(const Address& address) {
  struct stat status {};
  if (::fstat(address.fd, &status) != 0 || !S_ISSOCK(status.st_mode))
    return fail(EINVAL, "File descriptor '", address.path, "' is not a socket");
  const int fd = ::fcntl(address.fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return not_connected(address, errno);
  return fd;
}

Result<uint32_t> number(const Address& address, const std::string& text) {
  uint32_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    return fail(EINVAL, "Failed to parse '", text, "' of the address '", address.text(), "'");
  return value;
}

}  // namespace

Result<int> dial(const Call& call, nbd_handle* handle, const Address& address,
                 Clock::time_point deadline) {
  switch (address.kind) {
    case Address::Kind::kTcp: {
      INSTAR_TRY(const std::string host, resolve(address));
      return nbd_aio_connect_tcp(handle, host.c_str(), address.port.c_str());
    }
    case Address::Kind::kUnix: {
      INSTAR_TRY(const int fd, connect_unix(call, address, deadline));
      return nbd_aio_connect_socket(handle, fd);
    }
    case Address::Kind::kVsock: {
      INSTAR_TRY(const uint32_t cid, number(address, address.host));
      INSTAR_TRY(const uint32_t port, number(address, address.port));
      return nbd_aio_connect_vsock(handle, cid, port);
    }
    case Address::Kind::kFd:
      break;
  }
  INSTAR_TRY(const int fd, take_over(address));
  return nbd_aio_connect_socket(handle, fd);
}

void keep_alive(nbd_handle* handle, const Address& address) {
  if (address.kind != Address::Kind::kTcp) return;
  const int fd = nbd_aio_get_fd(handle);
  const auto set = [fd](int level, int option, int value) {
    (void)::setsockopt(fd, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

}  // namespace instar::nbd
