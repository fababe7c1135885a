// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/l1_walk.hpp"

#include <algorithm>

namespace instar::qcow2 {
namespace {
constexpr uint64_t kBatchBytes = 4u << 20;
constexpr uint64_t kBlockBytes = 4096;  // files have no smaller holes
}  // namespace

Result<L1Table> read_l1(const Call& call, const HostFile& file, uint64_t offset, uint32_t entries) {
  L1Table table(entries);
  INSTAR_CHECK(file.read(call, offset, table.data(), table.size() * 8));
  for (auto& entry : table)
    entry = load_be<uint64_t>(&entry);
  return table;
}

std::vector<uint8_t> l1_bytes(const L1Table& table) {
  std::vector<uint8_t> bytes(table.size() * 8);
  for (size_t i = 0; i < table.size(); ++i)
    store_be(bytes.data() + i * 8, table[i]);
  return bytes;
}

Status write_l1(const Call& call, HostFile& file, uint64_t offset, const L1Table& table) {
  const auto bytes = l1_bytes(table);
  return file.write(call, offset, bytes.data(), bytes.size());
}

L1Walk::L1Walk(const Geometry& geometry, HostFile& file)
    : geometry_(geometry),
      file_(file),
      block_(static_cast<size_t>(std::min(kBlockBytes, geometry.cluster_size))),
      memory_(static_cast<size_t>(std::max(kBatchBytes, geometry.cluster_size))),
      changed_(memory_.size() / block_) {}

uint64_t L1Walk::place(size_t block) const {
  const uint64_t at = uint64_t{block} * block_;
  return batch_[static_cast<size_t>(at >> geometry_.cluster_bits)].offset +
         geometry_.in_cluster(at);
}

Result<uint64_t> L1Walk::load(const Call& call, const L1Table& l1, uint64_t next) {
  batch_.clear();
  uint8_t* memory = memory_.data();
  for (; next < l1.size() && memory < memory_.data() + memory_.size(); ++next) {
    const uint64_t offset = l1[next] & kL1OffsetMask;
    if (offset == 0) continue;
    if (geometry_.in_cluster(offset) != 0)
      return fail(EIO, "L2 table offset ", hex(offset),
                  " unaligned (L1 index: ", next == 0 ? "0" : hex(next), ")");
    batch_.push_back({next, offset, memory});
    memory += geometry_.cluster_size;
  }
  for (size_t i = 0; i < batch_.size();) {
    size_t n = 1;
    while (i + n < batch_.size() &&
           batch_[i + n].offset == batch_[i].offset + n * geometry_.cluster_size)
      ++n;
    INSTAR_CHECK(file_.read(call, batch_[i].offset, batch_[i].entries, n * geometry_.cluster_size));
    i += n;
  }
  return next;
}

Status L1Walk::store(const Call& call) {
  for (size_t i = 0; i < changed_.size(); ++i) {
    if (!changed_[i]) continue;
    const size_t first = i;
    while (i + 1 < changed_.size() && changed_[i + 1] && place(i + 1) == place(i) + block_)
      ++i;
    INSTAR_CHECK(
        file_.write(call, place(first), &memory_[first * block_], (i + 1 - first) * block_));
  }
  std::fill(changed_.begin(), changed_.end(), false);
  return {};
}

}  // namespace instar::qcow2
