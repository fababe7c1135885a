// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/snapshots.hpp"

#include <algorithm>
#include <cstdlib>

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
  /** A name: it ends at the first NUL. */
  Result<std::string> text(size_t length) {
    std::string value(length, '\0');
    INSTAR_CHECK(read(value.data(), length));
    value.resize(std::min(value.find('\0'), length));
    return value;
  }
  uint64_t position() const { return offset_ - start_; }
  void align() { offset_ = sdk::round_up(offset_, 8); }

 private:
  const Call& call_;
  const HostFile& file_;
  uint64_t start_;
  uint64_t offset_;
};

Status read_extra(TableReader& reader, const Header& header, uint32_t length, Snapshot& snapshot) {
  std::vector<uint8_t> bytes(length);
  INSTAR_CHECK(reader.read(bytes.data(), bytes.size()));
  snapshot.set_extra(bytes, header.size);
  return {};
}

Result<Snapshot> read_entry(TableReader& reader, const Header& header, uint32_t index) {
  SnapshotEntry raw;
  INSTAR_CHECK(reader.read(&raw, sizeof raw));
  if (raw.extra_data_size > kMaxSnapshotExtra) {
    Error error = fail(EFBIG, "Too much extra metadata in snapshot table entry ", index);
    error.hint = "You can force-remove this extra metadata with qemu-img check -r all";
    return error;
  }
  Snapshot snapshot(raw);
  INSTAR_CHECK(read_extra(reader, header, raw.extra_data_size, snapshot));
  INSTAR_TRY(snapshot.id, reader.text(raw.id_str_size));
  INSTAR_TRY(snapshot.name, reader.text(raw.name_size));
  reader.align();
  return snapshot;
}

}  // namespace

Snapshot::Snapshot(const SnapshotEntry& raw)
    : l1_offset(raw.l1_table_offset),
      l1_entries(raw.l1_size),
      date_sec(raw.date_sec),
      date_nsec(raw.date_nsec),
      vm_clock_nsec(raw.vm_clock_nsec),
      vm_state_size(raw.vm_state_size) {}

void Snapshot::set_extra(const std::vector<uint8_t>& bytes, uint64_t image_size) {
  SnapshotExtra extra{};
  std::copy_n(bytes.data(), std::min(bytes.size(), sizeof extra),
              reinterpret_cast<uint8_t*>(&extra));
  if (bytes.size() >= 8) vm_state_size = extra.vm_state_size_large;
  disk_size = bytes.size() >= 16 ? uint64_t{extra.disk_size} : image_size;
  if (bytes.size() >= 24 && extra.icount != UINT64_MAX) icount = extra.icount;
  if (bytes.size() > sizeof extra) unknown_extra.assign(bytes.begin() + sizeof extra, bytes.end());
}

Result<std::vector<Snapshot>> read_snapshots(const Call& call, const HostFile& file,
                                             const Header& header, uint64_t* bytes) {
  std::vector<Snapshot> snapshots;
  TableReader reader(call, file, header.snapshots_offset);
  for (uint32_t i = 0; i < header.snapshots_count; ++i) {
    INSTAR_TRY(Snapshot snapshot, read_entry(reader, header, i));
    snapshots.push_back(std::move(snapshot));
  }
  *bytes = reader.position();
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

Status check_snapshot(const Geometry& geometry, const Snapshot& snapshot) {
  if (snapshot.l1_entries > kMaxL1Bytes / 8) return fail(EFBIG, "Snapshot L1 table too large");
  if (geometry.in_cluster(snapshot.l1_offset) != 0 || snapshot.l1_offset > INT64_MAX / 2)
    return fail(EINVAL, "Snapshot L1 table offset invalid");
  return {};
}

std::string new_snapshot_id(const std::vector<Snapshot>& snapshots) {
  uint64_t largest = 0;
  for (const auto& snapshot : snapshots)
    largest = std::max<uint64_t>(largest, std::strtoull(snapshot.id.c_str(), nullptr, 10));
  return std::to_string(largest + 1);
}

std::vector<uint8_t> serialize_snapshots(const std::vector<Snapshot>& snapshots) {
  std::vector<uint8_t> out;
  const auto append = [&](const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    out.insert(out.end(), bytes, bytes + size);
  };
  for (const auto& snapshot : snapshots) {
    SnapshotEntry entry{};
    entry.l1_table_offset = snapshot.l1_offset;
    entry.l1_size = snapshot.l1_entries;
    entry.id_str_size = static_cast<uint16_t>(snapshot.id.size());
    entry.name_size = static_cast<uint16_t>(snapshot.name.size());
    entry.date_sec = snapshot.date_sec;
    entry.date_nsec = snapshot.date_nsec;
    entry.vm_clock_nsec = snapshot.vm_clock_nsec;
    const bool small = snapshot.vm_state_size <= UINT32_MAX;
    entry.vm_state_size = small ? static_cast<uint32_t>(snapshot.vm_state_size) : 0;
    entry.extra_data_size =
        static_cast<uint32_t>(sizeof(SnapshotExtra) + snapshot.unknown_extra.size());
    const SnapshotExtra extra{snapshot.vm_state_size, snapshot.disk_size,
                              snapshot.icount.value_or(UINT64_MAX)};
    append(&entry, sizeof entry);
    append(&extra, sizeof extra);
    append(snapshot.unknown_extra.data(), snapshot.unknown_extra.size());
    append(snapshot.id.data(), snapshot.id.size());
    append(snapshot.name.data(), snapshot.name.size());
    out.resize(sdk::round_up(out.size(), 8));
  }
  return out;
}

Result<std::string> Image::snapshot_list() {
  const std::lock_guard lock(mutex_);
  return snapshots_json(snapshots_);
}

Status Image::snapshot_load(const Call& call, std::string_view id) {
  const std::lock_guard lock(mutex_);
  const Snapshot* snapshot = find_snapshot(snapshots_, id);
  if (snapshot == nullptr) return fail(ENOENT, sdk::errno_text(ENOENT));
  INSTAR_CHECK(check_snapshot(geometry_, *snapshot));
  return l2_.load_l1(call, snapshot->l1_offset, snapshot->l1_entries);
}

}  // namespace instar::qcow2
