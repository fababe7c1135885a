// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/dmg/unpacked_chunks.hpp"

#include <algorithm>

namespace instar::dmg {

std::list<UnpackedChunks::Entry>::iterator UnpackedChunks::find(size_t index) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.index == index; });
}

void UnpackedChunks::make_room(size_t size) {
  for (auto at = entries_.end(); at != entries_.begin() && kept_ + size > capacity_;) {
    --at;
    if (at->content == nullptr) continue;
    kept_ -= at->content->size();
    at = entries_.erase(at);
  }
}

sdk::Result<UnpackedChunks::Content> UnpackedChunks::get(size_t index, size_t size,
                                                         const Unpack& unpack) {
  Lock lock(mutex_);
  for (auto at = find(index); at != entries_.end(); at = find(index)) {
    if (at->content != nullptr) {
      entries_.splice(entries_.begin(), entries_, at);
      return at->content;
    }
    ready_.wait(lock);
  }
  make_room(size);
  kept_ += size;
  const auto own = entries_.insert(entries_.begin(), {index, nullptr});
  lock.unlock();
  sdk::Status status;
  std::shared_ptr<std::vector<uint8_t>> content;
  try {
    content = std::make_shared<std::vector<uint8_t>>(size);
    status = unpack(*content);
  } catch (const std::bad_alloc&) {
    status = sdk::fail(ENOMEM, sdk::errno_text(ENOMEM));
  }
  lock.lock();
  if (status) {
    own->content = content;
  } else {
    kept_ -= size;
    entries_.erase(own);
  }
  ready_.notify_all();
  if (!status) return std::move(status).error();
  return Content(content);
}

}  // namespace instar::dmg
