// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/iscsi/session.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "plugins/protocols/iscsi/scsi.hpp"

namespace instar::iscsi {

namespace {

using sdk::Call;
using sdk::ConstBytes;
using sdk::errno_text;
using sdk::fail;
using sdk::Result;
using sdk::Status;

using std::chrono::milliseconds;
using std::chrono::seconds;

/** How soon a wish to cancel is seen. */
constexpr milliseconds kPatience(100);
/** How long closing waits for the target to take notice. */
constexpr seconds kFarewell(1);
constexpr const char* kNoConnection = "iSCSI: Failed to connect to LUN : ";

/** Without the line's end that some of them have. */
std::string text_of(iscsi_context* context) {
  const char* said = iscsi_get_error(context);
  std::string text = said != nullptr ? said : "";
  while (text.ends_with('\n'))
    text.pop_back();
  return text;
}

/** None may come to the thread that starts with this mask: it writes to sockets that nobody reads any more. */
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

ConstBytes Answer::data() const {
  const bool all = task->residual_status != SCSI_RESIDUAL_UNDERFLOW;
  const size_t missing = all ? 0 : std::min(buffer.size(), task->residual);
  return ConstBytes(buffer).first(buffer.size() - missing);
}

int Answer::code() const {
  if (refused()) return errno_of_sense(task->sense.key, task->sense.ascq);
  const bool busy = task->status == SCSI_STATUS_BUSY || task->status == SCSI_STATUS_TASK_SET_FULL;
  return busy ? EBUSY : EIO;
}

Result<std::shared_ptr<Session>> Session::open(const Call& call, const Place& place) {
  std::shared_ptr<Session> session(new Session(place.lun));
  INSTAR_CHECK(session->set_up(place));
  INSTAR_CHECK(session->connect(call, place));
  return session;
}

Status Session::set_up(const Place& place) {
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  context_ = iscsi_create_context(place.initiator.c_str());
  if (context_ == nullptr || wake_fd_ < 0)
    return fail(ENOMEM, "iSCSI: Failed to create iSCSI context.");
  if (iscsi_init_transport(context_, place.transport) != 0)
    return fail(EINVAL, "Error initializing transport.");
  if (iscsi_set_targetname(context_, place.target.c_str()) != 0)
    return fail(EINVAL, "iSCSI: Failed to set target name.");
  if (!place.user.empty() &&
      iscsi_set_initiator_username_pwd(context_, place.user.c_str(), place.password.c_str()) != 0)
    return fail(EINVAL, "Failed to set initiator username and password");
  if (iscsi_set_session_type(context_, ISCSI_SESSION_NORMAL) != 0)
    return fail(EINVAL, "iSCSI: Failed to set session type to normal.");
  iscsi_set_header_digest(context_, place.digest);
  // Who calls has to know of it: what a cache had may be gone.
  iscsi_set_noautoreconnect(context_, 1);
  return {};
}

Status Session::connect(const Call& call, const Place& place) {
  Lock lock(mutex_);
  Request request;
  if (iscsi_full_connect_async(context_, place.portal.c_str(), place.lun, &complete, &request) != 0)
    return fail(EINVAL, kNoConnection, "Failed to start full connect ", text_of(context_));
  {
    const NoSignals inherited;
    server_ = std::thread([this] { serve(); });
  }
  if (auto waited = wait(lock, call, request, place.limit); !waited) {
    if (waited.error().code == ECANCELED) return waited;
    return fail(
        waited.error().code, kNoConnection,
        waited.error().code == kLost ? "the target closed the connection" : waited.error().message);
  }
  if (request.status != SCSI_STATUS_GOOD) return fail(EINVAL, kNoConnection, request.text);
  return {};
}

Session::~Session() {
  if (server_.joinable()) {
    Lock lock(mutex_);
    Request request;
    if (ended_ == 0 && iscsi_is_logged_in(context_) != 0 &&
        iscsi_logout_async(context_, &complete, &request) == 0)
      (void)static_cast<bool>(wait(lock, Call(nullptr), request, kFarewell));
    end(kLost);
    lock.unlock();
    server_.join();
  }
  if (context_ != nullptr) iscsi_destroy_context(context_);
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

bool Session::lost() {
  const Lock lock(mutex_);
  return ended_ != 0;
}

Result<Answer> Session::run(const Call& call, Task task, seconds limit) {
  if (task == nullptr) return fail(ENOMEM, errno_text(ENOMEM));
  Answer answer{std::move(task)};
  scsi_iovec piece{};
  if (answer.task->xfer_dir == SCSI_XFER_READ && answer.task->iovector_in.iov == nullptr) {
    // Without a buffer libiscsi would take as much as the target sends.
    answer.buffer.resize(static_cast<size_t>(answer.task->expxferlen));
    piece = {answer.buffer.data(), answer.buffer.size()};
    scsi_task_set_iov_in(answer.task.get(), &piece, 1);
  }
  Lock lock(mutex_);
  if (ended_ != 0) return fail(kLost, errno_text(EIO));
  Request request;
  if (iscsi_scsi_command_async(context_, lun_, answer.task.get(), &complete, nullptr, &request) !=
      0)
    return fail(EIO, text_of(context_));
  INSTAR_CHECK(wait(lock, call, request, limit));
  answer.text = std::move(request.text);
  return answer;
}

Status Session::wait(Lock& lock, const Call& call, Request& request, seconds limit) {
  wake();
  const auto deadline = limit.count() > 0 ? Clock::now() + limit : Clock::time_point::max();
  while (!request.done && ended_ == 0) {
    if (call.cancelled())
      end(ECANCELED);
    else if (Clock::now() >= deadline)
      end(ETIMEDOUT);
    else
      request.changed.wait_for(lock, kPatience);
  }
  if (request.done && request.status != SCSI_STATUS_CANCELLED) return {};
  end(kLost);
  return fail(ended_, errno_text(ended_ == kLost ? EIO : ended_));
}

void Session::serve() {
  Lock lock(mutex_);
  while (ended_ == 0) {
    pollfd fds[2] = {{iscsi_get_fd(context_), static_cast<short>(iscsi_which_events(context_)), 0},
                     {wake_fd_, POLLIN, 0}};
    lock.unlock();
    const int ready = ::poll(fds, 2, -1);
    lock.lock();
    if (ready <= 0 || ended_ != 0) continue;
    if (fds[1].revents != 0) {
      eventfd_t count = 0;
      (void)::eventfd_read(wake_fd_, &count);
    }
    if (fds[0].revents != 0 && iscsi_service(context_, fds[0].revents) < 0) end(kLost);
  }
}

void Session::wake() const {
  (void)::eventfd_write(wake_fd_, 1);
}

/** After this libiscsi touches nobody's memory any more. */
void Session::end(int why) {
  if (ended_ != 0) return;
  ended_ = why;
  iscsi_destroy_context(std::exchange(context_, nullptr));
  wake();
}

/** Called by libiscsi inside one of our own calls, with the mutex held. */
void Session::complete(iscsi_context* context, int status, void*, void* opaque) {
  auto* request = static_cast<Request*>(opaque);
  request->status = status;
  request->done = true;
  if (status != SCSI_STATUS_GOOD) request->text = text_of(context);
  request->changed.notify_one();
}

}  // namespace instar::iscsi
