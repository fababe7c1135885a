// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/checker.hpp"

namespace instar::qcow2 {

Checker::Checker(sdk::Host host, const Call& call, CheckedImage image, uint32_t fix,
                 const instar_sink* messages)
    : host_(host),
      call_(call),
      image_(image),
      geometry_(image.geometry),
      asked_fix_(fix),
      fix_(fix),
      messages_(messages),
      counts_(image.geometry.refcount_order) {}

void Checker::say_text(std::string_view line) const {
  if (messages_ != nullptr) (void)messages_->write(messages_->opaque, line.data(), line.size());
}

void Checker::say_as_program(const Error& error, std::string_view before) const {
  if (!qcow2::say_as_program(host_, error, before)) say(before, error.message, "\n");
}

/** As QEMU counts it: in sectors. */
uint64_t Checker::file_length() const {
  return sdk::round_up(image_.file.size(), kSector);
}

MetadataView Checker::metadata() const {
  return {geometry_,
          image_.header,
          image_.file,
          image_.l1,
          image_.header.l1_offset,
          reftable_,
          image_.header.refcount_table_offset,
          image_.snapshots,
          image_.snapshots_bytes};
}

Status Checker::refuse_overlap(uint64_t offset, uint64_t length, uint32_t except) {
  INSTAR_TRY(const uint32_t kind,
             find_overlap(call_, metadata(), image_.overlap_checks & ~except, offset, length));
  if (kind == 0) return {};
  return image_.corruption.report(call_, true, overlap_message(kind));
}

Status Checker::write_checked(uint64_t offset, const void* bytes, size_t length, uint32_t except) {
  INSTAR_CHECK(refuse_overlap(offset, length, except));
  return image_.file.write(call_, offset, bytes, length);
}

Status Checker::run(instar_check_result* result) {
  const auto add = [&](const instar_check_result& part) {
    result->corruptions += part.corruptions;
    result->leaks += part.leaks;
    result->check_errors += part.check_errors;
    result->corruptions_fixed += part.corruptions_fixed;
    result->leaks_fixed += part.leaks_fixed;
  };
  Status status = read_snapshot_table();
  if (status) {
    status = check_refcounts();
    add(result_);
    result->image_end_offset = result_.image_end_offset;
    result->total_clusters = result_.total_clusters;
    result->allocated_clusters = result_.allocated_clusters;
    result->fragmented_clusters = result_.fragmented_clusters;
    result->compressed_clusters = result_.compressed_clusters;
  }
  if (status) status = repair_snapshot_table();
  add(snapshots_);
  INSTAR_CHECK(std::move(status));
  if (asked_fix_ == 0) return {};
  if (result->check_errors == 0 && result->corruptions == 0) return clear_flags();
  return image_.file.flush(call_);
}

/** The image is good now: neither dirty nor corrupt. */
Status Checker::clear_flags() {
  INSTAR_CHECK(image_.file.flush(call_));
  const uint64_t flags = kIncompatDirty | kIncompatCorrupt;
  if ((image_.header.incompatible & flags) == 0) return {};
  image_.header.incompatible &= ~flags;
  return write_incompatible_features(call_, image_.file, image_.header);
}

Status Checker::check_refcounts() {
  const uint64_t clusters = geometry_.clusters(file_length());
  if (clusters > INT32_MAX) {
    ++result_.check_errors;
    return fail(EFBIG, sdk::errno_text(EFBIG));
  }
  result_.total_clusters =
      static_cast<int64_t>(geometry_.clusters(sdk::round_down(image_.header.size, kSector)));
  counts_.grow(clusters);
  reftable_.resize((uint64_t{image_.header.refcount_table_clusters} << geometry_.cluster_bits) / 8);
  INSTAR_CHECK(image_.file.read(call_, image_.header.refcount_table_offset, reftable_.data(),
                                reftable_.size() * 8));
  for (auto& entry : reftable_)
    entry = load_be<uint64_t>(&entry);

  INSTAR_CHECK(count_all());
  const instar_check_result counted = result_;
  INSTAR_CHECK(compare(0));
  INSTAR_CHECK(repair_refcounts(counted));
  INSTAR_CHECK(check_copied());
  result_.image_end_offset = static_cast<int64_t>((highest_cluster_ + 1) << geometry_.cluster_bits);
  return {};
}

Status Checker::repair_refcounts(const instar_check_result& before_comparison) {
  if (must_rebuild_ && fixes_errors()) return rebuild_and_recount();
  if (fix_ == 0) return {};
  if (must_rebuild_) {
    say("ERROR need to rebuild refcount structures\n");
    ++result_.check_errors;
    return fail(EIO, sdk::errno_text(EIO));
  }
  if (result_.leaks == 0 && result_.corruptions == 0) return {};
  result_ = before_comparison;
  INSTAR_CHECK(compare(fix_));
  // Flags must not say before the counts do that a cluster is used once.
  return image_.file.flush(call_);
}

}  // namespace instar::qcow2
