// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/table_stream.hpp"

#include <algorithm>
#include <numeric>
#include <system_error>

namespace instar::qcow2 {
namespace {
constexpr uint64_t kBatchBytes = 4u << 20;
constexpr size_t kMaxTables = 512;
}  // namespace

TableStream::TableStream(const Call& call, const HostFile& file, uint64_t table_size, Next next)
    : call_(call),
      file_(file),
      table_size_(table_size),
      per_batch_(std::clamp<size_t>(kBatchBytes / table_size, 1, kMaxTables)),
      next_(std::move(next)) {}

TableStream::~TableStream() {
  if (loading_.valid()) loading_.wait();
}

/** Takes the next places; false when there are none. */
bool TableStream::fill(Batch& batch) {
  batch.offsets.clear();
  batch.done = 0;
  for (uint64_t offset = 0; batch.offsets.size() < per_batch_ && next_(&offset);)
    batch.offsets.push_back(offset);
  return !batch.offsets.empty();
}

void TableStream::load(Batch& batch) const {
  const size_t count = batch.offsets.size();
  if (batch.bytes == nullptr) batch.bytes.reset(new uint8_t[per_batch_ * table_size_]);
  batch.results.assign(count, {});
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return batch.offsets[a] < batch.offsets[b]; });
  std::vector<instar_iovec> pieces;
  for (size_t i = 0; i < count;) {
    const size_t first = i;
    const uint64_t offset = batch.offsets[order[first]];
    pieces.clear();
    for (; i < count && batch.offsets[order[i]] == offset + pieces.size() * table_size_; ++i)
      pieces.push_back({batch.bytes.get() + order[i] * table_size_, table_size_});
    const IoVec run(pieces.data(), pieces.size());
    const Status result = file_.read(call_, offset, run, 0, run.length());
    for (size_t k = first; k < i; ++k)
      batch.results[order[k]] = result;
  }
}

/** Beside the caller if there can be another thread. */
void TableStream::load_ahead() {
  if (!fill(ahead_)) return;
  try {
    loading_ = std::async(std::launch::async, [this] { load(ahead_); });
  } catch (const std::system_error&) {
    load(ahead_);
  }
}

Result<uint8_t*> TableStream::read() {
  if (now_.done == now_.offsets.size()) {
    if (loading_.valid()) loading_.get();
    if (now_.offsets.empty()) {
      if (fill(now_)) load(now_);
    } else {
      std::swap(now_, ahead_);
    }
    ahead_.offsets.clear();
    if (now_.offsets.empty()) return nullptr;
    if (now_.offsets.size() == per_batch_) load_ahead();
  }
  const size_t index = now_.done++;
  if (call_.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
  uint8_t* const table = now_.bytes.get() + index * table_size_;
  if (stale_)
    INSTAR_CHECK(file_.read(call_, now_.offsets[index], table, table_size_));
  else
    INSTAR_CHECK(std::move(now_.results[index]));
  return table;
}

}  // namespace instar::qcow2
