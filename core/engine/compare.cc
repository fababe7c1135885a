// SPDX-License-Identifier: Apache-2.0
#include "core/engine/compare.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

#include "core/engine/chain_cursor.hpp"
#include "core/engine/file_cursor.hpp"
#include "core/engine/pool.hpp"
#include "core/engine/progress.hpp"
#include "core/engine/raw_file.hpp"
#include "core/engine/read_content.hpp"
#include "core/engine/zero_detect.hpp"
#include "sdk/cpp/bytes.hpp"

namespace instar::engine {

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kWindow = 2 << 20;  // as qemu-img: the offset in a message about a read error
constexpr size_t kRead = 256 << 10;    // two of them stay in a core's cache
constexpr uint64_t kLittle = 4 << 20;  // not worth a thread

/** Or may hold some: nobody says that it reads as zeroes. */
bool holds_data(const block::ChainExtent& run) {
  return (run.flags & INSTAR_EXTENT_ZERO) == 0;
}

/** What strict mode compares: the status bits that qemu-img sees, with "ends the image" as one. */
uint32_t strict_status(const block::ChainExtent& run, uint64_t size) {
  constexpr uint32_t kSeen = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED |
                             INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_COMPRESSED;
  constexpr uint32_t kEnd = 1u << 31;
  return (run.shown_flags() & kSeen) | (run.offset + run.length == size ? kEnd : 0);
}

/** A range of which at least one image must be read. */
struct Ticket {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t skipped = 0;  ///< bytes before it that need not be read
  bool read[2] = {false, false};
  const RawFile* file[2] = {nullptr, nullptr};
  uint64_t file_offset[2] = {0, 0};
};

/** What an image says of its content. */
class Side {
 public:
  /** @param exact where runs end matters, not only what they hold. */
  Side(block::Node& node, uint64_t size, RawFiles& files, bool exact) : chain_(node, size, files) {
    if (exact) return;
    raw_ = RawFile::of(node);
    if (raw_ != nullptr && raw_->regular() && !raw_->direct()) file_.emplace(*raw_, size);
  }

  block::Node& node() const { return chain_.node(); }
  uint64_t size() const { return chain_.size(); }
  Result<block::ChainExtent> at(const Call& call, uint64_t offset) {
    if (file_) return file_->at(offset);
    return chain_.at(call, offset);
  }
  /** Where the run may be read past the driver; nullptr: through the node. */
  const RawFile* plain(const block::ChainExtent& run) {
    return file_ ? raw_.get() : chain_.plain(run);
  }

 private:
  ChainCursor chain_;
  std::unique_ptr<RawFile> raw_;
  std::optional<FileCursor> file_;
};

class Comparer {
 public:
  Comparer(const Call& call, const CompareJob& job, instar_compare_result* result)
      : call_(call),
        job_(job),
        result_(*result),
        team_(choose_workers(any_forward({job.a, job.b}) ? 1 : job.workers,
                             job.a->remote() || job.b->remote()),
              [this] { work(); }) {}

  Status run();

 private:
  /** What ends the comparison early; that at the lowest offset counts. */
  struct Finding {
    uint64_t offset = UINT64_MAX;
    instar_compare_verdict verdict = INSTAR_COMPARE_EQUAL;
    int failed_image = 0;  ///< 1 or 2: `error` holds
    Error error{};
  };

  void work();
  Status work_through(uint8_t* a, uint8_t* b);
  Result<bool> take(Ticket& ticket);
  Result<bool> plan(Ticket& ticket, Finding& finding);
  void plan_range(Ticket& ticket, const block::ChainExtent* runs, uint64_t length);
  bool same_place(const block::ChainExtent* runs);
  bool check(const Ticket& ticket, uint8_t* a, uint8_t* b);
  bool read(const Ticket& ticket, int image, uint64_t offset, uint8_t* to, size_t length);
  void found(Finding finding);

  const Call& call_;
  const CompareJob& job_;
  instar_compare_result& result_;
  RawFiles files_;
  std::unique_ptr<Side> sides_[2];
  std::unique_ptr<Progress> progress_;
  uint64_t common_ = 0;  ///< bytes that both have
  uint64_t total_ = 0;
  std::mutex plan_mutex_;
  uint64_t position_ = 0;
  uint64_t handed_out_ = 0;
  bool ended_ = false;
  std::mutex finding_mutex_;
  Finding finding_;
  JobError error_;
  Team team_;
};

Status Comparer::run() {
  block::Node* nodes[2] = {job_.a, job_.b};
  uint64_t sizes[2];
  for (int i = 0; i < 2; ++i) {
    auto size = nodes[i]->size();
    if (!size) {
      result_.failed_image = static_cast<uint32_t>(i + 1);
      return std::move(size).error();
    }
    sizes[i] = sdk::round_up(*size, kSector);
    sides_[i] = std::make_unique<Side>(*nodes[i], sizes[i], files_, job_.strict);
  }
  if (job_.strict && sizes[0] != sizes[1]) {
    result_.verdict = INSTAR_COMPARE_SIZE;
    return {};
  }
  common_ = std::min(sizes[0], sizes[1]);
  total_ = std::max(sizes[0], sizes[1]);
  progress_ = std::make_unique<Progress>(job_.progress, total_);
  team_.run();
  INSTAR_CHECK(error_.status());
  result_.size_differs = sizes[0] != sizes[1] && finding_.offset >= common_ ? 1 : 0;
  if (finding_.offset == UINT64_MAX) return {};
  result_.offset = finding_.offset;
  if (finding_.failed_image != 0) {
    result_.failed_image = static_cast<uint32_t>(finding_.failed_image);
    return std::move(finding_.error);
  }
  result_.verdict = finding_.verdict;
  return {};
}

void Comparer::found(Finding finding) {
  const std::lock_guard lock(finding_mutex_);
  if (finding.offset < finding_.offset) finding_ = std::move(finding);
}

void Comparer::work() {
  Status status;
  try {
    const auto buffers = std::make_unique_for_overwrite<uint8_t[]>(2 * kRead);
    status = work_through(buffers.get(), buffers.get() + kRead);
  } catch (const std::bad_alloc&) {
    status = fail(ENOMEM, errno_text(ENOMEM));
  }
  if (status) return;
  error_.set(0, std::move(status).error());
  const std::lock_guard lock(plan_mutex_);
  ended_ = true;
}

Status Comparer::work_through(uint8_t* a, uint8_t* b) {
  Ticket ticket;
  for (;;) {
    INSTAR_TRY(const bool more, take(ticket));
    if (!more) return {};
    const Team::Piece piece(team_);
    if (check(ticket, a, b)) {
      progress_->add(ticket.length);
      continue;
    }
    const std::lock_guard lock(plan_mutex_);
    ended_ = true;
  }
}

Result<bool> Comparer::take(Ticket& ticket) {
  Finding finding;
  bool more = false;
  bool worth_threads = false;
  {
    const std::lock_guard lock(plan_mutex_);
    if (ended_) return false;
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    auto planned = plan(ticket, finding);
    if (!planned) return planned;
    more = *planned;
    ended_ = !more;
    handed_out_ += ticket.length;
    worth_threads = more && handed_out_ > kLittle;
  }
  found(std::move(finding));
  progress_->add(ticket.skipped);
  if (worth_threads) team_.grow();
  return more;
}

/** The next range that must be read; false: there is none. */
Result<bool> Comparer::plan(Ticket& ticket, Finding& finding) {
  ticket.length = 0;
  ticket.skipped = 0;
  while (position_ < total_) {
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    const uint64_t offset = position_;
    block::ChainExtent runs[2];
    bool exists[2];
    uint64_t length = total_ - offset;
    for (int i = 0; i < 2; ++i) {
      exists[i] = offset < sides_[i]->size();
      if (!exists[i]) {
        runs[i].flags = INSTAR_EXTENT_ZERO;
        continue;
      }
      auto run = sides_[i]->at(call_, offset);
      if (!run) {
        finding = {
            offset, INSTAR_COMPARE_EQUAL, i + 1,
            fail(ENODATA, "Sector allocation test failed for ", sides_[i]->node().filename())};
        return false;
      }
      runs[i] = *run;
      length = std::min(length, runs[i].length);
    }
    if (job_.strict && strict_status(runs[0], total_) != strict_status(runs[1], total_)) {
      finding = {offset, INSTAR_COMPARE_STATUS, 0, {}};
      return false;
    }
    plan_range(ticket, runs, length);
    if (ticket.length > 0) return true;
  }
  return false;
}

void Comparer::plan_range(Ticket& ticket, const block::ChainExtent* runs, uint64_t length) {
  const bool data[2] = {holds_data(runs[0]), holds_data(runs[1])};
  if ((!data[0] && !data[1]) || (data[0] && data[1] && same_place(runs))) {
    position_ += length;
    ticket.skipped += length;
    return;
  }
  ticket.offset = position_;
  ticket.length = std::min(length, kWindow);
  for (int i = 0; i < 2; ++i) {
    ticket.read[i] = data[i];
    ticket.file[i] = data[i] ? sides_[i]->plain(runs[i]) : nullptr;
    if (ticket.file[i] != nullptr && ticket.file[i]->direct()) ticket.file[i] = nullptr;
    ticket.file_offset[i] = runs[i].file_offset;
  }
  position_ += ticket.length;
}

/** Both images take the range from the very same bytes, as overlays of one backing file do. */
bool Comparer::same_place(const block::ChainExtent* runs) {
  const RawFile* a = sides_[0]->plain(runs[0]);
  const RawFile* b = sides_[1]->plain(runs[1]);
  return a != nullptr && b != nullptr &&
         a->same_bytes(runs[0].file_offset, *b, runs[1].file_offset);
}

/** False: something was found, and later ranges do not matter any more. */
bool Comparer::check(const Ticket& ticket, uint8_t* a, uint8_t* b) {
  uint8_t* buffers[2] = {a, b};
  for (uint64_t done = 0; done < ticket.length; done += kRead) {
    const auto length = static_cast<size_t>(std::min<uint64_t>(kRead, ticket.length - done));
    for (int i = 0; i < 2; ++i)
      if (ticket.read[i] && !read(ticket, i, done, buffers[i], length)) return false;
    size_t at = 0;
    if (ticket.read[0] && ticket.read[1])
      at = first_different_sector(a, b, length);
    else
      at = first_nonzero_sector(ticket.read[0] ? a : b, length);
    if (at == length) continue;
    found({ticket.offset + done + at, INSTAR_COMPARE_CONTENT, 0, {}});
    return false;
  }
  return true;
}

bool Comparer::read(const Ticket& ticket, int image, uint64_t done, uint8_t* to, size_t length) {
  int code = 0;
  if (ticket.file[image] != nullptr) {
    code = -ticket.file[image]->read(ticket.file_offset[image] + done, to, length);
  } else {
    const auto status = sides_[image]->node().read(call_, ticket.offset + done, to, length);
    if (!status) code = status.error().code;
  }
  if (code == 0) return true;
  found({ticket.offset, INSTAR_COMPARE_EQUAL, image + 1,
         fail(EIO, "Error while reading offset ", ticket.offset, " of ",
              sides_[image]->node().filename(), ": ", errno_text(code))});
  return false;
}

}  // namespace

Status compare(const Call& call, const CompareJob& job, instar_compare_result* result) {
  const uint32_t struct_size = result->struct_size;
  *result = {};
  result->struct_size = struct_size;
  return Comparer(call, job, result).run();
}

}  // namespace instar::engine
