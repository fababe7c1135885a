// SPDX-License-Identifier: Apache-2.0
// The snapshot table, read in a way that repairs what it can.
#include <algorithm>
#include <cstddef>

#include "plugins/formats/qcow2/checker.hpp"

namespace instar::qcow2 {
namespace {

constexpr uint64_t kNeededExtra = 16;  // of version 3: VM state size and disk size
constexpr uint64_t kCache = 1u << 20;
constexpr uint64_t kSlice = 64u << 10;

Error unreadable(const Error& error) {
  return fail(error.code, "Failed to read snapshot table: ", sdk::errno_text(error.code));
}

/** Reads one entry behind another. */
class Reader {
 public:
  Reader(const Call& call, const HostFile& file, uint64_t offset)
      : call_(call), file_(file), start_(offset), offset_(offset) {}

  uint64_t length() const { return offset_ - start_; }
  void align() { offset_ = sdk::round_up(offset_, 8); }
  void skip(uint64_t length) { offset_ += length; }
  Status read(void* to, uint64_t length) {
    if (auto done = file_.read(call_, offset_, to, length); !done) return unreadable(done.error());
    offset_ += length;
    return {};
  }
  Status read(std::string& to, uint64_t length) {
    to.resize(length);
    return read(to.data(), length);
  }

 private:
  const Call& call_;
  const HostFile& file_;
  uint64_t start_;
  uint64_t offset_;
};

}  // namespace

/** Fills in image_.snapshots. *dropped: entries and extra data that are too much and are left out. */
Status Checker::read_snapshots_repairing(uint64_t* dropped) {
  const uint32_t count = image_.header.snapshots_count;
  Reader reader(call_, image_.file, image_.header.snapshots_offset);
  uint64_t table_length = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t before = reader.length();
    reader.align();
    SnapshotEntry raw;
    INSTAR_CHECK(reader.read(&raw, sizeof raw));
    Snapshot snapshot(raw);
    uint32_t extra_size = raw.extra_data_size;
    const uint32_t too_much = extra_size > kMaxSnapshotExtra ? extra_size - kMaxSnapshotExtra : 0;
    if (too_much != 0 && !fixes_errors()) {
      Error error = fail(EFBIG, "Too much extra metadata in snapshot table entry ", i);
      error.hint = "You can force-remove this extra metadata with qemu-img check -r all";
      return error;
    }
    if (too_much != 0) {
      say("Discarding too much extra metadata in snapshot table entry ", i, " (", extra_size, " > ",
          kMaxSnapshotExtra, ")\n");
      ++*dropped;
      extra_size = kMaxSnapshotExtra;
    }
    std::vector<uint8_t> extra(extra_size);
    INSTAR_CHECK(reader.read(extra.data(), extra.size()));
    reader.skip(too_much);
    snapshot.set_extra(extra, image_.header.size);
    INSTAR_CHECK(reader.read(snapshot.id, raw.id_str_size));
    INSTAR_CHECK(reader.read(snapshot.name, raw.name_size));
    table_length =
        sdk::round_up(table_length, 8) + sizeof raw + extra_size + raw.id_str_size + raw.name_size;
    if (table_length > kMaxSnapshotTable || reader.length() > INT32_MAX) {
      if (!fixes_errors()) {
        Error error = fail(EFBIG, "Snapshot table is too big");
        error.hint = sdk::cat("You can force-remove all ", count - i,
                              " overhanging snapshots with qemu-img check -r all");
        return error;
      }
      say("Discarding ", count - i, " overhanging snapshots (snapshot table is too big)\n");
      *dropped += count - i;
      image_.header.snapshots_count = i;
      image_.snapshots_bytes = before;
      return {};
    }
    snapshot.extra_length = extra_size;
    image_.snapshots.push_back(std::move(snapshot));
  }
  image_.snapshots_bytes = reader.length();
  return {};
}

Status Checker::read_snapshot_table() {
  Header& header = image_.header;
  const uint32_t given = header.snapshots_count;
  image_.snapshots.clear();
  uint64_t dropped = 0;
  if (given > kMaxSnapshots && fixes_errors()) {
    say("Discarding ", given - kMaxSnapshots, " overhanging snapshots\n");
    dropped = given - kMaxSnapshots;
    header.snapshots_count = kMaxSnapshots;
  }
  auto status = check_snapshot_pointer(header, "snapshot table");
  if (!status) {
    say_as_program(status.error(), "ERROR ");
    if (header.snapshots_count > kMaxSnapshots)
      say("You can force-remove all ", header.snapshots_count - kMaxSnapshots,
          " overhanging snapshots with qemu-img check -r all\n");
  } else if (status = read_snapshots_repairing(&dropped); !status) {
    say_as_program(status.error(), "ERROR failed to read the snapshot table: ");
  }
  if (!status) {
    ++snapshots_.check_errors;
    header.snapshots_offset = header.snapshots_count = 0;
    image_.snapshots.clear();
    return status;
  }
  snapshots_.corruptions += static_cast<int64_t>(dropped);
  if (header.snapshots_count != given) {
    const Be<uint32_t> count = header.snapshots_count;
    status = image_.file.write(call_, offsetof(HeaderV2, nb_snapshots), &count, sizeof count);
    if (status) status = image_.file.flush(call_);
    if (!status) {
      ++snapshots_.check_errors;
      say("ERROR failed to update the snapshot count in the image header: ",
          sdk::errno_text(status.error().code), "\n");
      return status;
    }
    const int64_t reduced = given - header.snapshots_count;
    snapshots_.corruptions_fixed += reduced;
    snapshots_.corruptions -= reduced;
  }
  if (header.version < 3) return {};
  for (size_t i = 0; i < image_.snapshots.size(); ++i) {
    if (image_.snapshots[i].extra_length >= kNeededExtra) continue;
    ++snapshots_.corruptions;
    say(error_or_repairing(), " snapshot table entry ", i, " is incomplete\n");
  }
  return {};
}

/** Writes the table anew, as it was read. */
Status Checker::repair_snapshot_table() {
  fix_ = asked_fix_;
  if (snapshots_.corruptions == 0 || !fixes_errors()) return {};
  const auto write_table = [&]() -> Status {
    Header& header = image_.header;
    const std::vector<uint8_t> bytes = serialize_snapshots(image_.snapshots);
    Refcounts refcounts(geometry_, image_.file, std::min(geometry_.cluster_size, kSlice), kCache);
    INSTAR_CHECK(
        refcounts.load(call_, header.refcount_table_offset, header.refcount_table_clusters));
    uint64_t offset = 0;
    if (!bytes.empty()) {
      INSTAR_TRY(const uint64_t first,
                 refcounts.allocate_run(call_, geometry_.clusters(bytes.size())));
      offset = first << geometry_.cluster_bits;
    }
    if (refcounts.moved()) return fail(EFBIG, sdk::errno_text(EFBIG));
    INSTAR_CHECK(write_checked(offset, bytes.data(), bytes.size(), 0));
    INSTAR_CHECK(refcounts.write_blocks(call_));
    INSTAR_CHECK(image_.file.flush(call_));
    INSTAR_CHECK(refcounts.write_table(call_));
    INSTAR_CHECK(image_.file.flush(call_));
    const ClusterRange old{geometry_.cluster_of(header.snapshots_offset),
                           geometry_.clusters(image_.snapshots_bytes)};
    const Be<uint64_t> pointer = offset;
    INSTAR_CHECK(
        image_.file.write(call_, offsetof(HeaderV2, snapshots_offset), &pointer, sizeof pointer));
    INSTAR_CHECK(image_.file.flush(call_));
    header.snapshots_offset = offset;
    image_.snapshots_bytes = bytes.size();
    std::vector<ClusterRange> unused;
    INSTAR_CHECK(refcounts.decrease(call_, old, &unused));
    return refcounts.write_blocks(call_);
  };
  if (auto written = write_table(); !written) {
    ++snapshots_.check_errors;
    say("ERROR failed to update snapshot table: ", sdk::errno_text(written.error().code), "\n");
    return written;
  }
  snapshots_.corruptions_fixed += snapshots_.corruptions;
  snapshots_.corruptions = 0;
  return {};
}

}  // namespace instar::qcow2
