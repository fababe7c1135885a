// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/snapshots.hpp"

#include <algorithm>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {

/** Reads the table piece by piece: its length stands nowhere. */
class TableReader {
 public:
  TableReader(const Call& call, const HostFile& file, uint64_t offset)
      : call_(call), file_(file), start_(offset), offset_(offset) {}

  Status read(void* to, size_t length) {
    if (offset_ - start_ + length > kMaxSnapshotTable)
      return fail(EFBIG, "Snapshot table too large");
    INSTAR_CHECK(file_.read(call_, offset_, to, length));
    offset_ += length;
    return {};
  }
  Result<std::string> text(size_t length) {
    std::string value(length, '\0');
    INSTAR_CHECK(read(value.data(), length));
    return value;
  }
  void align() { offset_ = sdk::round_up(offset_, 8); }

 private:
  const Call& call_;
  const HostFile& file_;
  uint64_t start_;
  uint64_t offset_;
};

Status read_extra(TableReader& reader, const Header& header, uint32_t length, Snapshot& snapshot) {
  if (length > kMaxSnapshotExtra)
    return fail(EFBIG, "Too much extra metadata in snapshot table entry");
  std::vector<uint8_t> bytes(length);
  INSTAR_CHECK(reader.read(bytes.data(), bytes.size()));
  SnapshotExtra extra{};
  std::copy_n(bytes.data(), std::min(bytes.size(), sizeof extra),
              reinterpret_cast<uint8_t*>(&extra));
  if (length >= 8) snapshot.vm_state_size = extra.vm_state_size_large;
  snapshot.disk_size = length >= 16 ? uint64_t{extra.disk_size} : header.size;
  if (length >= 24 && extra.icount != UINT64_MAX) snapshot.icount = extra.icount;
  if (length > sizeof extra)
    snapshot.unknown_extra.assign(bytes.begin() + sizeof extra, bytes.end());
  return {};
}

Result<Snapshot> read_entry(TableReader& reader, const Header& header) {
  SnapshotEntry raw;
  INSTAR_CHECK(reader.read(&raw, sizeof raw));
  Snapshot snapshot;
  snapshot.l1_offset = raw.l1_table_offset;
  snapshot.l1_entries = raw.l1_size;
  snapshot.date_sec = raw.date_sec;
  snapshot.date_nsec = raw.date_nsec;
  snapshot.vm_clock_nsec = raw.vm_clock_nsec;
  snapshot.vm_state_size = raw.vm_state_size;
  INSTAR_CHECK(read_extra(reader, header, raw.extra_data_size, snapshot));
  INSTAR_TRY(snapshot.id, reader.text(raw.id_str_size));
  INSTAR_TRY(snapshot.name, reader.text(raw.name_size));
  reader.align();
  return snapshot;
}

}  // namespace

Result<std::vector<Snapshot>> read_snapshots(const Call& call, const HostFile& file,
                                             const Header& header) {
  std::vector<Snapshot> snapshots;
  TableReader reader(call, file, header.snapshots_offset);
  for (uint32_t i = 0; i < header.snapshots_count; ++i) {
    INSTAR_TRY(Snapshot snapshot, read_entry(reader, header));
    snapshots.push_back(std::move(snapshot));
  }
  return snapshots;
}

std::string snapshots_json(const std::vector<Snapshot>& snapshots) {
  constexpr uint64_t kSecond = 1000000000;
  sdk::JsonWriter json;
  json.begin_array();
  for (const auto& snapshot : snapshots) {
    json.begin_object();
    if (snapshot.icount) json.field("icount", *snapshot.icount);
    json.field("vm-clock-nsec", snapshot.vm_clock_nsec % kSecond)
        .field("name", snapshot.name)
        .field("date-sec", snapshot.date_sec)
        .field("date-nsec", snapshot.date_nsec)
        .field("vm-clock-sec", snapshot.vm_clock_nsec / kSecond)
        .field("id", snapshot.id)
        .field("vm-state-size", snapshot.vm_state_size)
        .end_object();
  }
  return json.end_array().text();
}

const Snapshot* find_snapshot(const std::vector<Snapshot>& snapshots, std::string_view id_or_name) {
  for (const auto& snapshot : snapshots)
    if (snapshot.id == id_or_name) return &snapshot;
  for (const auto& snapshot : snapshots)
    if (snapshot.name == id_or_name) return &snapshot;
  return nullptr;
}

Result<std::string> Image::snapshot_list() {
  const std::lock_guard lock(mutex_);
  return snapshots_json(snapshots_);
}

Status Image::snapshot_create(const Call&, std::string_view, int64_t, int32_t) {
  return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
}

Status Image::snapshot_apply(const Call&, std::string_view) {
  return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
}

Status Image::snapshot_remove(const Call&, std::string_view, std::string_view) {
  return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
}

Status Image::snapshot_load(const Call& call, std::string_view id) {
  const std::lock_guard lock(mutex_);
  const Snapshot* snapshot = find_snapshot(snapshots_, id);
  if (snapshot == nullptr) return fail(ENOENT, sdk::errno_text(ENOENT));
  if (snapshot->l1_entries > kMaxL1Bytes / 8) return fail(EFBIG, "Snapshot L1 table too large");
  if (geometry_.in_cluster(snapshot->l1_offset) != 0 || snapshot->l1_offset > INT64_MAX / 2)
    return fail(EINVAL, "Snapshot L1 table offset invalid");
  return l2_.load_l1(call, snapshot->l1_offset, snapshot->l1_entries);
}

}  // namespace instar::qcow2
