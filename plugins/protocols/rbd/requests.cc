// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/rbd/requests.hpp"

#include <sys/uio.h>

#include <vector>

#include "plugins/protocols/rbd/waiting.hpp"

namespace instar::rbd {

using sdk::Call;
using sdk::IoVec;
using sdk::Status;

namespace {

/** A request under way: owns what librbd works with, since whoever waits for it may leave. */
struct Pending {
  std::shared_ptr<void> memory;
  std::promise<int64_t> result = {};

  static void done(rbd_completion_t completion, void* opaque) {
    const std::unique_ptr<Pending> self(static_cast<Pending*>(opaque));
    const int64_t result = rbd_aio_get_return_value(completion);
    rbd_aio_release(completion);
    self->result.set_value(result);
  }
};

/** A read's memory, which goes back to where it came from. */
struct ReadBuffer {
  std::shared_ptr<sdk::BufferPool> pool;
  sdk::BufferPool::Buffer bytes = pool->take();
};

}  // namespace

/** @param start begins the request with the completion that it is given; negative errno: it could not */
template <class Start>
Status Requests::run(const Call& call, std::shared_ptr<void> memory, Start start) {
  auto pending = std::make_unique<Pending>(Pending{std::move(memory)});
  auto result = pending->result.get_future();
  rbd_completion_t completion = nullptr;
  int begun = rbd_aio_create_completion(pending.get(), &Pending::done, &completion);
  if (begun < 0) return sdk::fail(-begun, sdk::errno_text(begun));
  begun = start(image_->handle(), completion);
  if (begun < 0) {
    rbd_aio_release(completion);
    return sdk::fail(-begun, sdk::errno_text(begun));
  }
  (void)pending.release();  // its end deletes it
  if (!wait_for(call, result)) {
    abandon(image_);
    return cancelled();
  }
  const int64_t done = result.get();
  if (done < 0) return sdk::fail(static_cast<int>(-done), sdk::errno_text(static_cast<int>(done)));
  return {};
}

Status Requests::read(const Call& call, uint64_t offset, IoVec to) {
  const auto buffer = std::shared_ptr<ReadBuffer>(new ReadBuffer{buffers_});
  char* bytes = reinterpret_cast<char*>(buffer->bytes.data());
  const size_t length = to.length();
  INSTAR_CHECK(run(call, buffer, [&](rbd_image_t image, rbd_completion_t completion) {
    return rbd_aio_read(image, offset, length, bytes, completion);
  }));
  to.copy_in(0, bytes, length);
  return {};
}

Status Requests::write(const Call& call, uint64_t offset, IoVec from) {
  std::vector<iovec> pieces;
  for (const auto& piece : from)
    pieces.push_back({piece.base, piece.len});
  return run(call, nullptr, [&](rbd_image_t image, rbd_completion_t completion) {
    return rbd_aio_writev(image, pieces.data(), static_cast<int>(pieces.size()), offset,
                          completion);
  });
}

Status Requests::write_zeroes(const Call& call, uint64_t offset, uint64_t length) {
  return run(call, nullptr, [&](rbd_image_t image, rbd_completion_t completion) {
    return rbd_aio_write_zeroes(image, offset, length, completion, 0, 0);
  });
}

Status Requests::discard(const Call& call, uint64_t offset, uint64_t length) {
  return run(call, nullptr, [&](rbd_image_t image, rbd_completion_t completion) {
    return rbd_aio_discard(image, offset, length, completion);
  });
}

Status Requests::flush(const Call& call) {
  return run(call, nullptr, [](rbd_image_t image, rbd_completion_t completion) {
    return rbd_aio_flush(image, completion);
  });
}

}  // namespace instar::rbd
