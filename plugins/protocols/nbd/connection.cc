// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/connection.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "plugins/protocols/nbd/dial.hpp"
#include "plugins/protocols/nbd/refusal.hpp"

namespace instar::nbd {

namespace {

using sdk::Call;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Result;
using sdk::Status;

using std::chrono::milliseconds;

/** How soon a wish to cancel is seen. */
constexpr milliseconds kPatience(100);
/** How long closing waits for the socket to take the word. */
constexpr milliseconds kFarewell(200);

Error lost() {
  return fail(kLost, errno_text(EIO));
}

/** What libnbd said last, without the name of the function that said it. */
std::string library_text() {
  const char* text = nbd_get_error();
  if (text == nullptr) return errno_text(EIO);
  const std::string_view all = text;
  const size_t colon = all.find(": ");
  return std::string(colon != all.npos ? all.substr(colon + 2) : all);
}

bool is_over(nbd_handle* handle) {
  return nbd_aio_is_dead(handle) == 1 || nbd_aio_is_closed(handle) == 1;
}

uint32_t block_size(nbd_handle* handle, int type) {
  const int64_t size = nbd_get_block_size(handle, type);
  return size > 0 && size <= UINT32_MAX ? static_cast<uint32_t>(size) : 0;
}

}  // namespace

Connection::Connection()
    : handle_(nbd_create()), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Connection::~Connection() {
  if (handle_ != nullptr && !ended_ && nbd_aio_is_ready(handle_) == 1 &&
      nbd_aio_disconnect(handle_, 0) == 0) {
    Lock lock(mutex_);
    const auto until = Clock::now() + kFarewell;
    const auto unsent = [&] {
      return (nbd_aio_get_direction(handle_) & LIBNBD_AIO_DIRECTION_WRITE) != 0;
    };
    while (unsent() && Clock::now() < until)
      if (step(lock) < 0) break;
  }
  nbd_close(handle_);
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

Result<std::shared_ptr<Connection>> Connection::connect(const Call& call, const Target& target,
                                                        Clock::time_point deadline) {
  std::shared_ptr<Connection> connection(new Connection());
  if (connection->handle_ == nullptr || connection->wake_fd_ < 0)
    return fail(ENOMEM, errno_text(ENOMEM));
  INSTAR_CHECK(connection->open(call, target, deadline));
  return connection;
}

/** Tells libnbd everything that it has to know before, and lets it begin. */
Status Connection::start(const Target& target) {
  const auto refused = [] { return fail(EINVAL, library_text()); };
  // Before libnbd 1.22 the server's own words on why it refuses are in the debugging messages only.
  if (nbd_set_debug_callback(handle_, {&remember_message, this, nullptr}) < 0 ||
      nbd_set_debug(handle_, true) < 0)
    return refused();
  if (target.export_name.size() > 4096)
    return fail(EINVAL, "export name too long to send to server");
  if (nbd_set_export_name(handle_, target.export_name.c_str()) < 0 ||
      nbd_add_meta_context(handle_, target.context.c_str()) < 0 ||
      nbd_set_pread_initialize(handle_, false) < 0)
    return refused();
  return apply_tls(handle_, target.tls);
}

Status Connection::open(const Call& call, const Target& target, Clock::time_point deadline) {
  INSTAR_CHECK(start(target));
  const auto failed = [&]() -> Error {
    const int code = nbd_get_errno();
    return handshake_error(target.address, target.export_name,
                           {library_text(), code, server_message_});
  };
  INSTAR_TRY(const int dialled, dial(call, handle_, target.address, deadline));
  if (dialled < 0) return failed();
  Lock lock(mutex_);
  while (nbd_aio_is_ready(handle_) != 1) {
    if (is_over(handle_)) return failed();
    if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    if (Clock::now() >= deadline)
      return fail(ETIMEDOUT, "Failed to connect to '", target.address.text(),
                  "': ", errno_text(ETIMEDOUT));
    if (step(lock) < 0) return failed();
  }
  (void)nbd_set_debug(handle_, false);
  (void)nbd_clear_debug_callback(handle_);
  keep_alive(handle_, target.address);
  return describe(target);
}

Status Connection::describe(const Target& target) {
  const int64_t size = nbd_get_size(handle_);
  if (size < 0) return fail(EINVAL, library_text());
  const char* protocol = nbd_get_protocol(handle_);
  if (!target.export_name.empty() && protocol != nullptr &&
      std::string_view(protocol) == "oldstyle")
    return fail(EINVAL, "Server does not support non-empty export names");
  export_.size = static_cast<uint64_t>(size);
  export_.min_block = block_size(handle_, LIBNBD_SIZE_MINIMUM);
  export_.preferred_block = block_size(handle_, LIBNBD_SIZE_PREFERRED);
  export_.max_block = block_size(handle_, LIBNBD_SIZE_MAXIMUM);
  export_.read_only = nbd_is_read_only(handle_) == 1;
  export_.can_flush = nbd_can_flush(handle_) == 1;
  export_.can_fua = nbd_can_fua(handle_) == 1;
  export_.can_trim = nbd_can_trim(handle_) == 1;
  export_.can_zero = nbd_can_zero(handle_) == 1;
  export_.can_fast_zero = nbd_can_fast_zero(handle_) == 1;
  export_.multi_conn = nbd_can_multi_conn(handle_) == 1;
  export_.has_context = nbd_can_meta_context(handle_, target.context.c_str()) == 1;
  return {};
}

bool Connection::usable() const {
  const Lock lock(mutex_);
  return !ended_;
}

size_t Connection::load() const {
  const Lock lock(mutex_);
  return waiting_.size();
}

/** Waits a moment for the socket and lets libnbd go on. Unlocked while it waits. Negative: an error
 * of libnbd. */
int Connection::step(Lock& lock) {
  const unsigned wanted = nbd_aio_get_direction(handle_);
  pollfd fds[2] = {{nbd_aio_get_fd(handle_), 0, 0}, {wake_fd_, POLLIN, 0}};
  if ((wanted & LIBNBD_AIO_DIRECTION_READ) != 0) fds[0].events |= POLLIN;
  if ((wanted & LIBNBD_AIO_DIRECTION_WRITE) != 0) fds[0].events |= POLLOUT;
  lock.unlock();
  const int ready = ::poll(fds, 2, static_cast<int>(kPatience.count()));
  lock.lock();
  if (ready <= 0 || ended_) return 0;
  if (fds[1].revents != 0) {
    eventfd_t count = 0;
    (void)::eventfd_read(wake_fd_, &count);
  }
  // Somebody may have sent a request meanwhile.
  const unsigned direction = nbd_aio_get_direction(handle_);
  if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
      (direction & LIBNBD_AIO_DIRECTION_READ) != 0)
    return nbd_aio_notify_read(handle_);
  if ((fds[0].revents & (POLLOUT | POLLHUP | POLLERR)) != 0 &&
      (direction & LIBNBD_AIO_DIRECTION_WRITE) != 0)
    return nbd_aio_notify_write(handle_);
  return 0;
}

Status Connection::run(const Call& call, const Send& send, std::chrono::seconds limit) {
  Lock lock(mutex_);
  if (ended_) return lost();
  Request request;
  if (send(handle_, {&complete, &request, nullptr}) < 0) {
    if (!is_over(handle_))
      return fail(nbd_get_errno() != 0 ? nbd_get_errno() : EIO, library_text());
    end();
    return lost();
  }
  waiting_.push_back(&request);
  if (polling_ && (nbd_aio_get_direction(handle_) & LIBNBD_AIO_DIRECTION_WRITE) != 0) wake_poller();
  const auto deadline = limit.count() > 0 ? Clock::now() + limit : Clock::time_point::max();
  bool cancelled = false;
  while (!request.done && !ended_) {
    cancelled = call.cancelled();
    if (cancelled || Clock::now() >= deadline)
      end();
    else
      wait(lock, request);
  }
  std::erase(waiting_, &request);
  hand_over();
  if (!request.done) return cancelled ? fail(ECANCELED, errno_text(ECANCELED)) : lost();
  if (request.error == ENOTCONN || request.error == ESHUTDOWN) return lost();
  if (request.error != 0) return fail(request.error, errno_text(request.error));
  return {};
}

/** At the socket if nobody else is there, else for who is. */
void Connection::wait(Lock& lock, Request& request) {
  if (polling_) {
    request.changed.wait_for(lock, kPatience);
    return;
  }
  polling_ = true;
  (void)step(lock);
  polling_ = false;
  if (!ended_ && is_over(handle_)) end();
}

void Connection::wake_poller() const {
  (void)::eventfd_write(wake_fd_, 1);
}

/** Who waits for a reply and finds nobody at the socket goes there. */
void Connection::hand_over() {
  if (!polling_ && !waiting_.empty()) waiting_.front()->changed.notify_one();
}

/** After this libnbd touches nobody's memory any more. */
void Connection::end() {
  if (ended_) return;
  ended_ = true;
  nbd_close(std::exchange(handle_, nullptr));
  wake_poller();
  for (auto* request : waiting_)
    request->changed.notify_one();
}

/** Called by libnbd inside one of our own calls, with the mutex held. 1: it may forget the request. */
int Connection::complete(void* opaque, int* error) {
  auto* request = static_cast<Request*>(opaque);
  request->error = *error;
  request->done = true;
  request->changed.notify_one();
  return 1;
}

int Connection::remember_message(void* opaque, const char*, const char* message) {
  constexpr std::string_view kHead = "handshake: server error message: ";
  const std::string_view text = message;
  if (text.starts_with(kHead))
    static_cast<Connection*>(opaque)->server_message_ = text.substr(kHead.size());
  return 0;
}

}  // namespace instar::nbd
