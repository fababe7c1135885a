// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/packed_writer.hpp"

#include <algorithm>

namespace instar::qcow2 {
namespace {
constexpr size_t kChunkBytes = 1u << 20;
}

Status PackedWriter::write_out(const Call& call, Lock& lock, Chunk chunk) {
  if (chunk.bytes.empty()) return {};
  writing_.push_back(&chunk);
  lock.unlock();
  file_.say("write_compressed");
  auto result = file_.write(call, chunk.offset, chunk.bytes.data(), chunk.bytes.size());
  lock.lock();
  writing_.erase(std::find(writing_.begin(), writing_.end(), &chunk));
  chunk.bytes.clear();
  spare_.push_back(std::move(chunk.bytes));
  if (!result && failure_) failure_ = result;
  written_.notify_all();
  return result;
}

PackedWriter::Chunk PackedWriter::take_filling() {
  Chunk chunk = std::move(filling_);
  filling_ = {};
  if (!spare_.empty()) {
    filling_.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  return chunk;
}

Status PackedWriter::append(const Call& call, Lock& lock, uint64_t offset, ConstBytes bytes) {
  if (!failure_) return failure_;
  const bool follows = filling_.offset + filling_.bytes.size() == offset;
  Chunk full;
  if (!filling_.bytes.empty() && (!follows || filling_.bytes.size() + bytes.size() > kChunkBytes))
    full = take_filling();
  if (filling_.bytes.empty()) {
    filling_.offset = offset;
    filling_.bytes.reserve(std::max(kChunkBytes, bytes.size()));
  }
  filling_.bytes.insert(filling_.bytes.end(), bytes.begin(), bytes.end());
  return write_out(call, lock, std::move(full));
}

Status PackedWriter::drain(const Call& call, Lock& lock) {
  while (failure_ && (!filling_.bytes.empty() || !writing_.empty())) {
    INSTAR_CHECK(write_out(call, lock, take_filling()));
    written_.wait(lock, [&] { return writing_.empty(); });
  }
  return failure_;
}

bool PackedWriter::holds(uint64_t offset, uint64_t length) const {
  const auto overlaps = [&](const Chunk& chunk) {
    return chunk.offset < offset + length && offset < chunk.offset + chunk.bytes.size();
  };
  return overlaps(filling_) || std::any_of(writing_.begin(), writing_.end(),
                                           [&](const Chunk* chunk) { return overlaps(*chunk); });
}

}  // namespace instar::qcow2
