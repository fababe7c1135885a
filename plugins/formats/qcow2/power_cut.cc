// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/power_cut.hpp"

#include <algorithm>

namespace instar::qcow2::testing {
namespace {

constexpr size_t kSector = 512;

bool one_in(uint64_t n, std::mt19937_64& random) {
  return random() % n == 0;
}

void put(std::vector<uint8_t>& file, uint64_t offset, const uint8_t* data, size_t length) {
  file.resize(std::max<size_t>(file.size(), offset + length));
  std::copy_n(data, length, file.begin() + static_cast<int64_t>(offset));
}

}  // namespace

PowerCut::PowerCut(const Journal& journal, Files start)
    : journal_(journal), safe_(std::move(start)), pending_(safe_.size()) {}

void PowerCut::apply(const Journal::Event& event, std::vector<uint8_t>& file) const {
  if (event.kind == Journal::Kind::kResize)
    file.resize(event.offset);
  else
    put(file, event.offset, event.data.data(), event.data.size());
}

void PowerCut::apply_sectors(const Journal::Event& event, std::vector<uint8_t>& file,
                             std::mt19937_64& random) const {
  const uint64_t end = event.offset + event.data.size();
  for (uint64_t at = event.offset; at < end;) {
    const uint64_t next = std::min((at / kSector + 1) * kSector, end);
    if (one_in(2, random)) put(file, at, event.data.data() + (at - event.offset), next - at);
    at = next;
  }
}

PowerCut::Files PowerCut::at(size_t count, std::mt19937_64& random) {
  for (; done_ < count; ++done_) {
    const auto& event = journal_.events()[done_];
    auto& pending = pending_[event.file];
    pending.push_back(done_);
    if (event.kind != Journal::Kind::kFlush) continue;
    pending.pop_back();
    for (const size_t index : pending)
      apply(journal_.events()[index], safe_[event.file]);
    pending.clear();
  }
  Files files = safe_;
  size_t events = 0;
  for (const auto& pending : pending_)
    events += pending.size();
  // One alone can be torn, and little else.
  const auto loss =
      events == 1 && !one_in(4, random) ? Loss::kSectors : static_cast<Loss>(random() % 6);
  for (const auto& pending : pending_)
    for (const size_t index : pending) {
      const auto& event = journal_.events()[index];
      auto& file = files[event.file];
      const bool in_sectors = loss == Loss::kSectors && event.kind == Journal::Kind::kWrite;
      if (in_sectors)
        apply_sectors(event, file, random);
      else if (loss == Loss::kNothing || (loss == Loss::kFew && !one_in(8, random)) ||
               (loss == Loss::kMost && one_in(8, random)) ||
               ((loss == Loss::kEvents || loss == Loss::kSectors) && one_in(2, random)))
        apply(event, file);
    }
  return files;
}

}  // namespace instar::qcow2::testing
