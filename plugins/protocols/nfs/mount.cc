// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nfs/mount.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace instar::nfs {

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
/** How long closing waits for the server to take notice. */
constexpr std::chrono::seconds kFarewell(1);
constexpr int kNewFile = 0600;

std::string text_of(nfs_context* nfs) {
  const char* text = nfs_get_error(nfs);
  return text != nullptr ? text : "";
}

}  // namespace

Result<std::unique_ptr<Mount>> Mount::open(const Call& call, const Place& place, Access access,
                                           std::chrono::seconds limit) {
  std::unique_ptr<Mount> mount(new Mount(limit));
  mount->nfs_ = nfs_init_context();
  mount->wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (mount->nfs_ == nullptr || mount->wake_fd_ < 0)
    return fail(ENOMEM, "Failed to init NFS context");
  mount->set_up(place);
  INSTAR_CHECK(mount->connect(call, place, access));
  return mount;
}

void Mount::set_up(const Place& place) {
  if (place.user != 0) nfs_set_uid(nfs_, static_cast<int>(place.user));
  if (place.group != 0) nfs_set_gid(nfs_, static_cast<int>(place.group));
  if (place.syn_count != 0) nfs_set_tcp_syncnt(nfs_, static_cast<int>(place.syn_count));
  if (place.read_ahead != 0) {
    nfs_set_readahead(nfs_, static_cast<uint32_t>(place.read_ahead));
    nfs_set_pagecache_ttl(nfs_, 0);
  }
  if (place.page_cache != 0) {
    nfs_set_pagecache(nfs_, static_cast<uint32_t>(place.page_cache));
    nfs_set_pagecache_ttl(nfs_, 0);
  }
  if (place.debug != 0) nfs_set_debug(nfs_, static_cast<int>(place.debug));
  // A server that comes back may have lost what it had not yet stored: who calls has to know.
  nfs_set_autoreconnect(nfs_, 0);
}

/** In the words of libnfs' synchronous functions, which the genuine tool calls. */
Status Mount::connect(const Call& call, const Place& place, Access access) {
  const std::string folder(place.folder()), file(place.file());
  auto mounted = run(call, [&](nfs_context* nfs, nfsfh*, nfs_cb done, void* opaque) {
    return nfs_mount_async(nfs, place.host.c_str(), folder.c_str(), done, opaque);
  });
  if (!mounted) return library_error(mounted.error(), "Failed to mount nfs share: ", "");
  const bool creates = access == Access::kCreate;
  const auto opened = run(
      call,
      [&](nfs_context* nfs, nfsfh*, nfs_cb done, void* opaque) {
        if (creates) return nfs_creat_async(nfs, file.c_str(), kNewFile, done, opaque);
        const int flags = access == Access::kRead ? O_RDONLY : O_RDWR;
        return nfs_open_async(nfs, file.c_str(), flags, done, opaque);
      },
      [&](int, const void* data) { file_ = static_cast<nfsfh*>(const_cast<void*>(data)); });
  if (opened) return {};
  return creates ? library_error(opened.error(), "Failed to create file: ", "creat")
                 : library_error(opened.error(), "Failed to open file : ", "open");
}

/** @param name of the function that failed, or "" for a mount. */
Error Mount::library_error(const Error& error, std::string_view what, std::string_view name) {
  if (ended_ == ECANCELED) return error;
  if (ended_ != 0) return fail(error.code, what, errno_text(ended_));
  if (!name.empty())
    return fail(error.code, what, name, " call failed with \"", error.message, "\"");
  return fail(error.code, what, error.hint.empty() ? "mount_cb: " : "nfs_mount_async failed. ",
              text_of(nfs_));
}

Mount::~Mount() {
  if (file_ != nullptr && ended_ == 0) {
    Request request;
    Lock lock(mutex_);
    if (nfs_close_async(nfs_, file_, &complete, &request) == 0) {
      waiting_.push_back(&request);
      const auto until = Clock::now() + kFarewell;
      while (!request.done && ended_ == 0 && Clock::now() < until)
        wait(lock, request);
      end(ESHUTDOWN);
    }
  }
  if (nfs_ != nullptr) nfs_destroy_context(nfs_);
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

Result<int> Mount::run(const Call& call, const Send& send, const Take& take, int patience) {
  Lock lock(mutex_);
  if (ended_ != 0) return fail(EIO, errno_text(EIO));
  Request request;
  if (take) request.take = &take;
  if (send(nfs_, file_, &complete, &request) < 0)
    return Error{EIO, text_of(nfs_), "the request could not be sent"};
  waiting_.push_back(&request);
  if (polling_) wake_poller();
  const auto deadline =
      limit_.count() > 0 ? Clock::now() + limit_ * patience : Clock::time_point::max();
  while (!request.done && ended_ == 0) {
    if (call.cancelled())
      end(ECANCELED);
    else if (Clock::now() >= deadline)
      end(ETIMEDOUT);
    else
      wait(lock, request);
  }
  std::erase(waiting_, &request);
  hand_over();
  if (ended_ != 0 && (!request.done || request.number < 0)) return fail(ended_, errno_text(ended_));
  if (request.number < 0) return fail(-request.number, request.text);
  return request.number;
}

bool Mount::lost() {
  const Lock lock(mutex_);
  return ended_ != 0;
}

/** Waits a moment for the socket and lets libnfs go on. Unlocked while it waits. */
void Mount::step(Lock& lock) {
  pollfd fds[2] = {{nfs_get_fd(nfs_), static_cast<short>(nfs_which_events(nfs_)), 0},
                   {wake_fd_, POLLIN, 0}};
  lock.unlock();
  const int ready = ::poll(fds, 2, static_cast<int>(kPatience.count()));
  lock.lock();
  if (ready <= 0 || ended_ != 0) return;
  if (fds[1].revents != 0) {
    eventfd_t count = 0;
    (void)::eventfd_read(wake_fd_, &count);
  }
  if (fds[0].revents != 0 && nfs_service(nfs_, fds[0].revents) < 0) end(EIO);
}

/** At the socket if nobody else is there, else for who is. */
void Mount::wait(Lock& lock, Request& request) {
  if (polling_) {
    request.changed.wait_for(lock, kPatience);
    return;
  }
  polling_ = true;
  step(lock);
  polling_ = false;
}

void Mount::wake_poller() const {
  (void)::eventfd_write(wake_fd_, 1);
}

/** Who waits for an answer and finds nobody at the socket goes there. */
void Mount::hand_over() {
  if (!polling_ && !waiting_.empty()) waiting_.front()->changed.notify_one();
}

/** After this libnfs touches nobody's memory any more. */
void Mount::end(int why) {
  if (ended_ != 0) return;
  ended_ = why;
  nfs_destroy_context(std::exchange(nfs_, nullptr));
  wake_poller();
  for (auto* request : waiting_)
    request->changed.notify_one();
}

/** Called by libnfs inside one of our own calls, with the mutex held. */
void Mount::complete(int number, nfs_context* nfs, void* data, void* opaque) {
  auto* request = static_cast<Request*>(opaque);
  request->number = number;
  request->done = true;
  if (number < 0)
    request->text = text_of(nfs);  // the data are sometimes no text
  else if (request->take != nullptr)
    (*request->take)(number, data);
  request->changed.notify_one();
}

}  // namespace instar::nfs
