// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/iscsi/iscsi_node.hpp"

#include <algorithm>

#include "sdk/cpp/one_piece.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::iscsi {

namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::cat;
using sdk::ConstBytes;
using sdk::errno_text;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

constexpr size_t kSector = 512;
constexpr uint64_t kMostTransfer = 32 << 20;
/** So that one command does not take longer than a target may be silent. */
constexpr uint64_t kMostZeroes = 128 << 20;
constexpr uint64_t kMostDiscard = 1 << 30;
/** Granularities that are worth telling. */
constexpr uint64_t kSmallestCluster = 4 << 10;
constexpr uint64_t kLargestCluster = 16 << 20;
/** Descriptors that a target is asked for at once. */
constexpr size_t kMostDescriptors = 256;

/** SBC-3: the parameters of UNMAP with one descriptor. */
struct UnmapList {
  sdk::Be<uint16_t> length = 22;
  sdk::Be<uint16_t> descriptors_length = 16;
  sdk::Be<uint32_t> reserved = 0;
  sdk::Be<uint64_t> first = 0;
  sdk::Be<uint32_t> blocks = 0;
  sdk::Be<uint32_t> reserved_too = 0;
};
static_assert(sizeof(UnmapList) == 24);

/** A command with data for the target, which it does not own; neither does it own `data`. */
Task with_data(scsi_task* task, scsi_iovec* data) {
  if (task != nullptr) scsi_task_set_iov_out(task, data, 1);
  return Task(task);
}

scsi_iovec piece_of(const void* data, size_t size) {
  return {const_cast<void*>(data), size};
}

}  // namespace

Result<std::unique_ptr<IscsiNode>> IscsiNode::connect(const Call& call, const sdk::Host& host,
                                                      const Place& place, bool writable) {
  INSTAR_TRY(auto lun, Lun::open(call, host, place));
  if (writable && lun->about().mode.write_protected) return fail(EACCES, "LUN is write protected");
  return std::unique_ptr<IscsiNode>(new IscsiNode(std::move(lun)));
}

Result<std::unique_ptr<IscsiNode>> IscsiNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const Place place, read_place(context.host(), context.call(), context.options()));
  return connect(context.call(), context.host(), place, context.writable());
}

Status IscsiNode::create(sdk::CreateContext& context) {
  const std::string filename = context.filename();
  const std::string driver = filename.substr(0, filename.find(':'));
  const auto& call = context.call();
  const auto place = read_place(context.host(), call, filename);
  if (!place) return sdk::creates_nothing(driver, place.error());
  const auto node = connect(call, context.host(), *place, true);
  if (!node) return sdk::creates_nothing(driver, node.error());
  INSTAR_TRY(const auto mode,
             sdk::parse_preallocation(context.options().text("preallocation", "off")));
  INSTAR_CHECK((*node)->resize(call, context.options().number("size"), mode, 0, nullptr));
  return (*node)->clear_head(call);
}

/** The first sector, of a block that may be larger. */
Status IscsiNode::clear_head(const Call& call) {
  std::vector<uint8_t> block(block_size());
  const instar_iovec piece{block.data(), block.size()};
  INSTAR_CHECK(read(call, 0, IoVec(&piece, 1)));
  std::fill_n(block.begin(), kSector, uint8_t{0});
  return write_bytes(call, 0, ConstBytes(block), false);
}

Result<std::string> IscsiNode::parse_filename(std::string_view filename) {
  INSTAR_TRY(const Settings settings, parse_name(std::string(filename)));
  sdk::JsonWriter json;
  json.begin_object();
  for (const auto& [name, text] : settings)
    json.field(name, text);
  json.end_object();
  return json.text();
}

uint32_t IscsiNode::cluster_size() const {
  const uint64_t size = uint64_t{about().limits.unmap_granularity} * block_size();
  return size >= kSmallestCluster && size <= kLargestCluster ? static_cast<uint32_t>(size) : 0;
}

void IscsiNode::limits(instar_node_limits& limits) const {
  const auto& [capacity, mode, most, provisioning, cd] = about();
  const uint64_t block = capacity.block_size;
  const auto bytes = [&](uint64_t blocks, uint64_t least) {
    return blocks != 0 && blocks < least / block ? blocks * block : least;
  };
  limits.request_alignment = limits.write_zeroes_alignment = limits.discard_alignment =
      capacity.block_size;
  // The shorter commands count blocks with two bytes.
  const uint64_t countable = is_large() ? kMostTransfer : bytes(UINT16_MAX, kMostTransfer);
  limits.max_transfer = static_cast<uint32_t>(bytes(most.max_transfer, countable));
  limits.max_write_zeroes = bytes(most.max_write_same, kMostZeroes);
  limits.max_discard = bytes(most.max_unmap, kMostDiscard);
  limits.cluster_size = cluster_size();
  limits.flags |= INSTAR_NODE_REMOTE;
  if (provisioning.write_same_unmap) limits.flags |= INSTAR_NODE_SPARSE_ZERO;
  constexpr auto none = static_cast<uint8_t>(INSTAR_ABILITY_NONE);
  if (!provisioning.unmap) limits.can_discard = none;
  if (!capacity.thin) limits.can_extents = none;
  if (!mode.write_protected) return;
  limits.flags |= INSTAR_NODE_READ_ONLY;
  limits.can_write = none;
}

Status IscsiNode::read(const Call& call, uint64_t offset, IoVec to) {
  const uint64_t length = to.length(), first = offset / block_size();
  if (length == 0) return {};
  return sdk::in_one_piece(to, length, [&](Bytes bytes) -> Status {
    scsi_iovec piece = piece_of(bytes.data(), bytes.size());
    const auto size = static_cast<uint32_t>(bytes.size());
    const auto block = static_cast<int>(block_size());
    const auto make = [&] {
      scsi_task* task =
          is_large() ? scsi_cdb_read16(first, size, block, 0, 0, 0, 0, 0)
                     : scsi_cdb_read10(static_cast<uint32_t>(first), size, block, 0, 0, 0, 0, 0);
      if (task != nullptr) scsi_task_set_iov_in(task, &piece, 1);
      return Task(task);
    };
    INSTAR_TRY(const Answer answer,
               lun_->demand(call, make, cat("READ10/16 failed at lba ", first)));
    const bool whole = answer.task->residual_status == SCSI_RESIDUAL_NO_RESIDUAL;
    return whole ? Status() : fail(EIO, errno_text(EIO));
  });
}

Status IscsiNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  if (from.length() == 0) return {};
  const bool stable = (flags & INSTAR_WRITE_FUA) != 0, fua = stable && about().mode.fua;
  INSTAR_CHECK(sdk::in_one_piece(
      from, [&](ConstBytes bytes) { return write_bytes(call, offset, bytes, fua); }));
  return stable && !fua ? flush(call) : Status();
}

Status IscsiNode::write_bytes(const Call& call, uint64_t offset, ConstBytes from, bool fua) {
  const uint64_t first = offset / block_size();
  scsi_iovec piece = piece_of(from.data(), from.size());
  const auto size = static_cast<uint32_t>(from.size());
  const auto block = static_cast<int>(block_size());
  const auto make = [&] {
    return with_data(
        is_large() ? scsi_cdb_write16(first, size, block, 0, 0, fua, 0, 0)
                   : scsi_cdb_write10(static_cast<uint32_t>(first), size, block, 0, 0, fua, 0, 0),
        &piece);
  };
  INSTAR_CHECK(lun_->demand(call, make, cat("WRITE10/16 failed at lba ", first)));
  if (!fua) lun_->note_write();
  return {};
}

Status IscsiNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  const bool unmap = (flags & INSTAR_WRITE_MAY_UNMAP) != 0 && about().provisioning.write_same_unmap;
  if (!can_write_same_) return fail(ENOTSUP, errno_text(ENOTSUP));
  const uint64_t first = offset / block_size();
  scsi_iovec piece = piece_of(zero_block_.data(), zero_block_.size());
  const auto make = [&] {
    return with_data(
        scsi_cdb_writesame16(0, 0, unmap, first, 0, static_cast<uint32_t>(length / block_size()),
                             block_size()),
        &piece);
  };
  INSTAR_TRY(const Answer answer, lun_->run(call, make));
  if (answer.refused() && answer.code() == EINVAL) {
    can_write_same_ = false;
    return fail(ENOTSUP, errno_text(ENOTSUP));
  }
  if (!answer.good()) return lun_->failed(answer, cat("WRITESAME10/16 failed at lba ", first));
  lun_->note_write();
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status();
}

/** A target that does not like the range does nothing, which is no error. */
Status IscsiNode::discard(const Call& call, uint64_t offset, uint64_t length) {
  UnmapList list;
  list.first = offset / block_size();
  list.blocks = static_cast<uint32_t>(length / block_size());
  scsi_iovec piece = piece_of(&list, sizeof list);
  const auto make = [&] { return with_data(scsi_cdb_unmap(0, 0, sizeof list), &piece); };
  INSTAR_TRY(const Answer answer, lun_->run(call, make));
  if (!answer.good() && !answer.refused())
    return lun_->failed(answer, cat("UNMAP failed at lba ", uint64_t{list.first}));
  lun_->note_write();
  return {};
}

Status IscsiNode::flush(const Call& call) {
  return about().mode.write_protected ? Status() : lun_->flush(call);
}

Result<size_t> IscsiNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                  instar_extent* out, size_t max) {
  const uint64_t first = offset / block_size();
  const uint32_t size = lba_status_size(static_cast<uint32_t>(std::min(max, kMostDescriptors)));
  INSTAR_TRY(const Answer answer,
             lun_->run(call, [&] { return Task(scsi_cdb_get_lba_status(first, size)); }));
  if (answer.refused()) {  // not every target that is thin can tell
    out[0] = {length, offset, INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET,
              0};
    return size_t{1};
  }
  if (!answer.good()) return lun_->failed(answer, cat("GET_LBA_STATUS failed at lba ", first));
  return parse_lba_status(answer.data(), about().capacity, first, length / block_size(), out, max);
}

Status IscsiNode::resize(const Call&, uint64_t size, uint32_t preallocation, uint32_t flags,
                         const instar_progress*) {
  INSTAR_CHECK(sdk::check_no_preallocation(preallocation));
  if ((flags & INSTAR_RESIZE_EXACT) != 0 && size != this->size())
    return fail(ENOTSUP, "Cannot resize iSCSI devices");
  if (size > this->size()) return fail(EINVAL, "Cannot grow iSCSI devices");
  return {};
}

void IscsiNode::info(sdk::JsonWriter& json) const {
  json.begin_object();
  if (cluster_size() != 0) json.field("cluster-size", cluster_size());
  json.field("dirty-flag", false).end_object();
}

}  // namespace instar::iscsi

INSTAR_PLUGIN("iscsi", "1.0.0", instar::sdk::protocol<instar::iscsi::IscsiNode>("iscsi"),
              instar::sdk::protocol<instar::iscsi::IscsiNode>("iser"))
