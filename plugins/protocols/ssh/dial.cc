// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/dial.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

namespace instar::ssh {

namespace {

using sdk::Call;
using sdk::errno_text;
using sdk::fail;
using sdk::Result;

constexpr int kPatience = 100;  // milliseconds

int family(const Place& place) {
  const bool only_4 =
      place.ipv4.value_or(false) ? !place.ipv6.value_or(false) : !place.ipv6.value_or(true);
  const bool only_6 =
      place.ipv6.value_or(false) ? !place.ipv4.value_or(false) : !place.ipv4.value_or(true);
  if (only_4 == only_6) return AF_UNSPEC;
  return only_4 ? AF_INET : AF_INET6;
}

/** 0, or why there is no connection. */
int finish(const Call& call, int fd, Clock::time_point deadline) {
  for (;;) {
    pollfd ready{fd, POLLOUT, 0};
    if (::poll(&ready, 1, kPatience) > 0) break;
    if (call.cancelled()) return ECANCELED;
    if (Clock::now() >= deadline) return ETIMEDOUT;
  }
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 ? errno : error;
}

/** A socket, or a negative errno. */
int connect_to(const Call& call, const addrinfo& address, Clock::time_point deadline) {
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int error = ::connect(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) error = finish(call, fd, deadline);
  if (error == 0 && ::fcntl(fd, F_SETFL, 0) != 0) error = errno;
  if (error != 0) {
    ::close(fd);
    return -error;
  }
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // A host that has vanished is noticed after half a minute, also where there is no other limit.
  const int idle = 15, between = 5, times = 3;
  (void)::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
  return fd;
}

}  // namespace

Result<int> dial(const Call& call, const Place& place, Clock::time_point deadline) {
  addrinfo hints{};
  hints.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = family(place);
  addrinfo* list = nullptr;
  const int result = ::getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &list);
  if (result != 0)
    return fail(EINVAL, "address resolution failed for ", place.server(), ": ",
                ::gai_strerror(result));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  int fd = -EINVAL;
  for (const auto* address = list; address != nullptr; address = address->ai_next) {
    fd = connect_to(call, *address, deadline);
    if (fd >= 0) return fd;
    if (fd == -ECANCELED) return fail(ECANCELED, errno_text(ECANCELED));
  }
  return fail(-fd, "Failed to connect to '", place.server(), "': ", errno_text(fd));
}

}  // namespace instar::ssh
