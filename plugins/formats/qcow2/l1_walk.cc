// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/l1_walk.hpp"

#include <algorithm>

namespace instar::qcow2 {
namespace {
constexpr uint64_t kBatchBytes = 4u << 20;
}

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

L1Walk::L1Walk(const Geometry& geometry, HostFile& file) : geometry_(geometry), file_(file) {
  memory_.resize(std::max(kBatchBytes, geometry_.cluster_size));
}

size_t L1Walk::run(size_t first, bool changed) const {
  size_t n = 1;
  while (first + n < batch_.size() && batch_[first + n].changed == changed &&
         batch_[first + n].offset == batch_[first].offset + n * geometry_.cluster_size)
    ++n;
  return n;
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
    batch_.push_back({next, offset, memory, false});
    memory += geometry_.cluster_size;
  }
  for (size_t i = 0; i < batch_.size();) {
    const size_t n = run(i, false);
    INSTAR_CHECK(file_.read(call, batch_[i].offset, batch_[i].entries, n * geometry_.cluster_size));
    i += n;
  }
  return next;
}

Status L1Walk::store(const Call& call) {
  for (size_t i = 0; i < batch_.size();) {
    if (!batch_[i].changed) {
      ++i;
      continue;
    }
    const size_t n = run(i, true);
    INSTAR_CHECK(
        file_.write(call, batch_[i].offset, batch_[i].entries, n * geometry_.cluster_size));
    i += n;
  }
  return {};
}

}  // namespace instar::qcow2
