// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/iscsi/lun.hpp"

#include <algorithm>
#include <thread>

namespace instar::iscsi {

namespace {

using sdk::Call;
using sdk::cat;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Host;
using sdk::Result;
using sdk::Status;

using std::chrono::milliseconds;
using std::chrono::seconds;

/** A flush may have much to write. */
constexpr int kFlushPatience = 10;
/** Conditions that a target tells once each before it does something. */
constexpr int kMostAttentions = 10;
/** Between the attempts of a command that the target is too busy for. */
constexpr milliseconds kBusyPauses[] = {milliseconds(8), milliseconds(32), milliseconds(128),
                                        milliseconds(512), milliseconds(2048)};
/** How often a command is given again over a new connection. */
constexpr int kMostLosses = 5;
constexpr seconds kBetweenLogins(1);

/** Peripheral device types. */
constexpr uint8_t kDisk = 0;
constexpr uint8_t kCdRom = 5;
constexpr uint8_t kModeAnswer = 255;
constexpr int kInquiryAnswer = 255;

/** False: the call was cancelled. */
bool pause(const Call& call, milliseconds time) {
  constexpr milliseconds kLook(50);
  for (const auto until = Clock::now() + time; Clock::now() < until;) {
    if (call.cancelled()) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(kLook, until - Clock::now()));
  }
  return !call.cancelled();
}

/** Until the target has said all that it wanted to say first, and has time. */
Result<Answer> ask(const Call& call, Session& session, const Lun::Make& make, seconds limit) {
  int attentions = 0;
  size_t pauses = 0;
  for (;;) {
    INSTAR_TRY(Answer answer, session.run(call, make(), limit));
    const int status = answer.task->status;
    if (answer.refused() && answer.task->sense.key == SCSI_SENSE_UNIT_ATTENTION &&
        attentions++ < kMostAttentions)
      continue;
    const bool busy = status == SCSI_STATUS_BUSY || status == SCSI_STATUS_TASK_SET_FULL;
    if (!busy || pauses == std::size(kBusyPauses)) return answer;
    if (!pause(call, kBusyPauses[pauses++])) return fail(ECANCELED, errno_text(ECANCELED));
  }
}

/** Asks a new connection what there is at its other end. */
class Questions {
 public:
  Questions(const Call& call, const Host& host, Session& session, const Place& place)
      : call_(call), host_(host), session_(session), place_(place) {}

  Result<About> all() {
    About about;
    INSTAR_TRY(const uint8_t type, device_type());
    if (type != kDisk && type != kCdRom)
      return fail(ENOTSUP, "LUN ", place_.lun, " is no disk (device type ", type, ")");
    about.cd = type == kCdRom;
    INSTAR_TRY(about.mode, mode());
    about.mode.write_protected |= about.cd;
    INSTAR_TRY(about.capacity, capacity(about.cd));
    INSTAR_TRY(const Answer limits, page(kBlockLimitsPage));
    if (limits.good()) about.limits = parse_block_limits(limits.data());
    if (!about.capacity.thin) return about;
    INSTAR_TRY(const Answer provisioning, page(kProvisioningPage));
    if (provisioning.good()) about.provisioning = parse_provisioning(provisioning.data());
    return about;
  }

 private:
  Result<Answer> ask_for(const Lun::Make& make) const {
    return ask(call_, session_, make, place_.limit);
  }

  Result<uint8_t> device_type() const {
    INSTAR_TRY(const Answer answer,
               ask_for([] { return Task(scsi_cdb_inquiry(0, 0, kInquiryAnswer)); }));
    if (!answer.good()) return fail(answer.code(), "iSCSI: Inquiry command failed : ", answer.text);
    if (answer.data().empty())
      return fail(EINVAL, "iSCSI: failed to unmarshall inquiry datain blob");
    return static_cast<uint8_t>(answer.data()[0] & 0x1f);
  }

  Result<Mode> mode() const {
    INSTAR_TRY(const Answer answer, ask_for([] {
                 return Task(scsi_cdb_modesense6(1, SCSI_MODESENSE_PC_CURRENT,
                                                 SCSI_MODEPAGE_RETURN_ALL_PAGES, 0, kModeAnswer));
               }));
    if (answer.good()) return parse_mode(answer.data());
    (void)host_.print_error("iSCSI: Failed MODE_SENSE(6), LUN assumed writable");
    return Mode();
  }

  Result<Capacity> capacity(bool cd) const {
    if (!cd) {
      INSTAR_TRY(const Answer answer, ask_for([] { return Task(scsi_cdb_readcapacity16()); }));
      if (answer.good()) return parse_capacity_16(answer.data());
    }
    INSTAR_TRY(const Answer answer, ask_for([] { return Task(scsi_cdb_readcapacity10(0, 0)); }));
    if (answer.good()) return parse_capacity_10(answer.data());
    return fail(answer.code(), "iSCSI: failed to send readcapacity10/16 command");
  }

  /** Of vital product data; not every target has it. */
  Result<Answer> page(uint8_t code) const {
    return ask_for([code] { return Task(scsi_cdb_inquiry(1, code, kInquiryAnswer)); });
  }

  const Call& call_;
  const Host& host_;
  Session& session_;
  const Place& place_;
};

}  // namespace

Result<std::unique_ptr<Lun>> Lun::open(const Call& call, const Host& host, const Place& place) {
  std::unique_ptr<Lun> lun(new Lun(host, place));
  INSTAR_TRY(lun->session_, lun->connect(call, lun->about_));
  return lun;
}

Result<Lun::SessionPtr> Lun::connect(const Call& call, About& about) const {
  INSTAR_TRY(SessionPtr session, Session::open(call, place_));
  INSTAR_TRY(about, Questions(call, host_, *session, place_).all());
  return session;
}

/** The connection, or a new one for one that was lost, if nothing can have been lost with it. */
Result<Lun::SessionPtr> Lun::current(const Call& call) {
  const std::lock_guard lock(mutex_);
  if (!session_->lost()) return session_;
  if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
  if (unflushed()) return fail(EIO, errno_text(EIO));
  const bool forever = place_.limit.count() == 0;
  lost_since_ = std::min(lost_since_, Clock::now());
  while (forever || Clock::now() < lost_since_ + place_.limit) {
    About about;
    auto session = connect(call, about);
    if (session) {
      if (about.capacity != about_.capacity)
        return fail(EIO, "The LUN is not what it was before the connection was lost");
      session_ = *std::move(session);
      lost_since_ = Clock::time_point::max();
      return session_;
    }
    if (!pause(call, kBetweenLogins)) return fail(ECANCELED, errno_text(ECANCELED));
  }
  return fail(EIO, errno_text(EIO));
}

Result<Answer> Lun::run(const Call& call, const Make& make, int patience) {
  for (int losses = 0;; ++losses) {
    INSTAR_TRY(const SessionPtr session, current(call));
    auto answer = ask(call, *session, make, place_.limit * patience);
    if (answer || answer.error().code != kLost) return answer;
    if (losses == kMostLosses || unflushed()) return fail(EIO, errno_text(EIO));
  }
}

Result<Answer> Lun::demand(const Call& call, const Make& make, std::string_view what,
                           int patience) {
  INSTAR_TRY(Answer answer, run(call, make, patience));
  if (!answer.good()) return failed(answer, what);
  return answer;
}

Error Lun::failed(const Answer& answer, std::string_view what) const {
  (void)host_.print_error(cat("iSCSI ", what, ": ", answer.text));
  return fail(answer.code(), errno_text(answer.code()));
}

Status Lun::flush(const Call& call) {
  const uint64_t before = written_;
  INSTAR_CHECK(demand(
      call, [] { return Task(scsi_cdb_synchronizecache10(0, 0, 0, 0)); },
      "SYNCHRONIZECACHE10 failed", kFlushPatience));
  uint64_t known = flushed_;
  while (known < before && !flushed_.compare_exchange_weak(known, before)) {
  }
  return {};
}

}  // namespace instar::iscsi
