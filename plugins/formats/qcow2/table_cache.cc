// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/table_cache.hpp"

#include <algorithm>

namespace instar::qcow2 {
namespace {
constexpr size_t kMaxPieces = 512;  // of one request
}

TableCache::TableCache(HostFile& file, Events events, uint64_t slice_size, uint64_t capacity)
    : file_(file),
      events_(events),
      slice_size_(slice_size),
      max_slices_(static_cast<size_t>(std::max<uint64_t>(capacity / slice_size, 4))) {}

TableCache::Slice* TableCache::find(uint64_t offset) {
  if (last_ < slices_.size() && slices_[last_].offset == offset) return &slices_[last_];
  const auto found = index_.find(offset);
  if (found == index_.end()) return nullptr;
  last_ = found->second;
  return &slices_[last_];
}

/** A free slice: a clean one that was not used lately, or one more. */
TableCache::Slice& TableCache::victim() {
  if (slices_.size() < max_slices_) return slices_.emplace_back();
  for (size_t step = 0; step < 2 * slices_.size(); ++step) {
    Slice& slice = slices_[hand_];
    hand_ = (hand_ + 1) % slices_.size();
    if (slice.dirty) continue;
    if (!slice.used) return slice;
    slice.used = false;
  }
  return slices_.emplace_back();
}

void TableCache::drop(Slice& slice) {
  if (slice.offset != kNone) index_.erase(slice.offset);
  if (slice.dirty) --dirty_count_;
  slice.offset = kNone;
  slice.dirty = slice.used = false;
}

TableCache::Slice& TableCache::take(uint64_t offset) {
  Slice& slice = victim();
  drop(slice);
  if (slice.data == nullptr) slice.data.reset(new uint8_t[slice_size_]);
  last_ = static_cast<size_t>(&slice - slices_.data());
  index_[offset] = last_;
  slice.offset = offset;
  slice.used = true;
  return slice;
}

Result<uint8_t*> TableCache::get(const Call& call, uint64_t offset) {
  offset = sdk::round_down(offset, slice_size_);
  if (Slice* present = find(offset)) {
    present->used = true;
    return present->data.get();
  }
  Slice& slice = take(offset);
  file_.say(events_.load);
  auto loaded = file_.read(call, offset, slice.data.get(), slice_size_);
  if (!loaded) {
    drop(slice);
    return std::move(loaded).error();
  }
  return slice.data.get();
}

Result<uint8_t*> TableCache::get_new(uint64_t offset) {
  offset = sdk::round_down(offset, slice_size_);
  Slice* slice = find(offset);
  if (slice == nullptr) slice = &take(offset);
  std::memset(slice->data.get(), 0, slice_size_);
  if (!slice->dirty) ++dirty_count_;
  slice->dirty = slice->used = true;
  return slice->data.get();
}

void TableCache::mark_dirty(uint64_t offset) {
  Slice* slice = find(sdk::round_down(offset, slice_size_));
  if (slice == nullptr || slice->dirty) return;
  slice->dirty = true;
  ++dirty_count_;
}

Status TableCache::write_back(const Call& call, const Guard& guard) {
  if (dirty_count_ == 0) return {};
  std::vector<Slice*> dirty;
  dirty.reserve(dirty_count_);
  for (auto& slice : slices_)
    if (slice.dirty) dirty.push_back(&slice);
  std::sort(dirty.begin(), dirty.end(),
            [](const Slice* a, const Slice* b) { return a->offset < b->offset; });
  std::vector<instar_iovec> pieces;
  for (size_t i = 0; i < dirty.size();) {
    pieces.clear();
    const uint64_t begin = dirty[i]->offset;
    const size_t first = i;
    while (i < dirty.size() && pieces.size() < kMaxPieces &&
           dirty[i]->offset == begin + pieces.size() * slice_size_)
      pieces.push_back({dirty[i++]->data.get(), slice_size_});
    const IoVec run(pieces.data(), pieces.size());
    if (guard) INSTAR_CHECK(guard(begin, pieces.size() * slice_size_));
    file_.say(events_.update);
    INSTAR_CHECK(file_.write(call, begin, run, 0, pieces.size() * slice_size_));
    for (size_t done = first; done < i; ++done)
      dirty[done]->dirty = false;
    dirty_count_ -= i - first;
  }
  return {};
}

void TableCache::forget(uint64_t offset, uint64_t length) {
  for (uint64_t at = sdk::round_down(offset, slice_size_); at < offset + length; at += slice_size_)
    if (Slice* slice = find(at)) drop(*slice);
}

void TableCache::clear() {
  slices_.clear();
  index_.clear();
  hand_ = last_ = 0;
  dirty_count_ = 0;
}

}  // namespace instar::qcow2
