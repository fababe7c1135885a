// SPDX-License-Identifier: Apache-2.0
/** @file unpacker.hpp Packed files (gzip and the like) read from their first byte to their last. */
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bytes.hpp"
#include "call.hpp"
#include "node_ref.hpp"
#include "result.hpp"

namespace instar::sdk {

/** A library's unpacker. One thread at a time. */
class Unpacker {
 public:
  struct Step {
    size_t taken = 0;
    size_t made = 0;
    bool ended = false;  ///< a whole stream ended with the last byte taken; another may follow
  };
  virtual ~Unpacker() = default;
  /** Takes some of `in` and fills some of `out`. Neither means: it needs more of `in`. EIO, with
   * what is wrong, for damage. */
  virtual Result<Step> step(ConstBytes in, Bytes out) = 0;
};

/** Refuses what unpacks to far more than was packed. Zeroes cost nobody space, but time: much more of
 * them is let through. The first GiB of data, and 16 GiB of all, don't count. Thread-safe. */
class PackingRatio {
 public:
  /** @param most bytes for each packed one; 0: no limit. */
  explicit PackingRatio(uint64_t most) : most_(most) {}

  Status count(uint64_t packed, ConstBytes unpacked) {
    if (most_ == 0) return {};
    uint64_t data = 0;
    for (size_t at = 0; at < unpacked.size(); at += kBlock) {
      const size_t n = std::min(kBlock, unpacked.size() - at);
      if (!is_zero(unpacked.data() + at, n)) data += n;
    }
    packed_ += packed;
    data_ += data;
    all_ += unpacked.size();
    const uint64_t most_of_all =
        most_ < UINT64_MAX / kZeroesPerByte ? most_ * kZeroesPerByte : UINT64_MAX;
    if (within(data_, kFree, most_) && within(all_, kFreeZeroes, most_of_all)) return {};
    return fail(EFBIG, "it unpacks to more than ", most_,
                " times its size; the option max-ratio allows more");
  }

 private:
  static constexpr size_t kBlock = 4096;
  static constexpr uint64_t kFree = 1u << 30;
  static constexpr uint64_t kFreeZeroes = 16 * kFree;
  static constexpr uint64_t kZeroesPerByte = 160;  ///< 40000 by default; zstd can pack 32768

  bool within(uint64_t sum, uint64_t free, uint64_t most) const {
    return sum <= free || (sum - free) / most <= packed_;
  }

  const uint64_t most_;
  std::atomic<uint64_t> packed_{0};
  std::atomic<uint64_t> data_{0};
  std::atomic<uint64_t> all_{0};
};

/** A packed file as messages call it, and where it ends. Cheap to copy. */
struct PackedFile {
  NodeRef node;
  uint64_t size = 0;  ///< bytes, whole sectors: zeroes may follow the packing's end
  std::string packing;

  /** With the name of the packing and a place in the file. */
  Error wrong(uint64_t offset, const Error& why) const {
    const std::string text =
        cat("the ", packing, " data is wrong at byte ", offset, ": ", why.message);
    return Error{why.code, text, why.hint};
  }
};

/** What a packed file holds, in order. One thread at a time. */
class PackedStream {
 public:
  /** @param packed where a stream begins in the file
   * @param position what is in front of that, unpacked */
  PackedStream(PackedFile file, std::unique_ptr<Unpacker> unpacker, PackingRatio& ratio,
               uint64_t packed = 0, uint64_t position = 0)
      : file_(std::move(file)),
        unpacker_(std::move(unpacker)),
        ratio_(ratio),
        next_(packed),
        position_(position),
        between_(packed != 0) {}

  /** Of the next unpacked byte. */
  uint64_t position() const { return position_; }

  /** All of it was handed out, and found to be whole. */
  bool ended() const { return ended_; }
  /** What it holds is damaged, or not what it should be: no use to try again. */
  bool broken() const { return broken_; }

  /** Fills `to`; less only at the end, which is that of a whole stream. After an error in reading the
   * file it goes on where it was: *done, to which is added, tells what is in `to`. */
  Status read(const Call& call, Bytes to, size_t* done) {
    while (*done < to.size() && !ended_) {
      if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      INSTAR_CHECK(refill(call));
      if (between_ && skip_padding()) continue;
      auto status = step(to, done);
      if (status) continue;
      broken_ = true;
      return file_.wrong(packed_position(), status.error());
    }
    return {};
  }

 private:
  static constexpr size_t kInput = 1u << 20;

  uint64_t packed_position() const { return next_ - left_.size(); }

  Status refill(const Call& call) {
    if (!left_.empty() || next_ == file_.size) return {};
    input_.resize(static_cast<size_t>(std::min<uint64_t>(kInput, file_.size - next_)));
    INSTAR_CHECK(file_.node.read(call, next_, input_.data(), input_.size()));
    next_ += input_.size();
    left_ = input_;
    return {};
  }
  /** Between two streams and after the last one there may be zeroes. True: no stream yet. */
  bool skip_padding() {
    const auto begin = std::find_if(left_.begin(), left_.end(), [](uint8_t b) { return b != 0; });
    left_ = left_.subspan(static_cast<size_t>(begin - left_.begin()));
    ended_ = left_.empty() && next_ == file_.size;
    return left_.empty();
  }
  Status step(Bytes to, size_t* done) {
    INSTAR_TRY(const auto step, unpacker_->step(left_, to.subspan(*done)));
    INSTAR_CHECK(ratio_.count(step.taken, to.subspan(*done, step.made)));
    left_ = left_.subspan(step.taken);
    *done += step.made;
    position_ += step.made;
    between_ = step.ended;
    if (step.taken != 0 || step.made != 0 || step.ended) return {};
    if (left_.empty() && next_ != file_.size) return {};
    return fail(EIO, left_.empty() ? "it is cut off" : "damaged");
  }

  const PackedFile file_;
  const std::unique_ptr<Unpacker> unpacker_;
  PackingRatio& ratio_;
  std::vector<uint8_t> input_;
  ConstBytes left_;  ///< of input_
  uint64_t next_;    ///< behind the packed bytes that were read
  uint64_t position_;
  bool between_;  ///< streams
  bool ended_ = false;
  bool broken_ = false;
};

}  // namespace instar::sdk
