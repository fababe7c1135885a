// SPDX-License-Identifier: Apache-2.0
/**
 * @file packed_node.hpp
 * The content of a packed file as a node that can be read anywhere. A packing P has
 *     static constexpr const char* kName
 *     static Result<std::unique_ptr<Unpacker>> unpacker()
 *     static Result<PackedLayout> layout(const Call&, const PackedFile&)
 *     static Result<size_t> unpack(const Piece&, ConstBytes packed, Bytes out)   where there are pieces
 *     static Result<PackedUnit> unit(const Call&, PackedReader&, uint64_t offset)   or none
 * With an index, or with units that can be found without one, pieces are unpacked as they are asked
 * for. Otherwise, and behind the last piece that was found, the content is unpacked while it is read
 * in order; once somebody goes back there, or wants its length for reading anywhere, all of it is
 * unpacked into a temporary file. Who reads forward needs no length (instar.forward/1).
 */
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "driver.hpp"
#include "packed_window.hpp"
#include "piece_cache.hpp"
#include "spool.hpp"
#include "unpacker.hpp"

namespace instar::sdk {

/** What is known of a packed file's content before it is unpacked. */
struct PackedLayout {
  std::optional<uint64_t> size;
  std::vector<Piece> pieces;  ///< none: it can only be unpacked from its beginning on
};

/** Thread-safe. */
template <class P>
class PackedNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static Result<std::unique_ptr<PackedNode>> open(OpenContext& context) {
    if (context.writable()) return fail(EACCES, "Image is read-only");
    INSTAR_TRY(const NodeRef file, context.file());
    INSTAR_TRY(const uint64_t size, file.size());
    PackedFile packed{file, size, P::kName};
    INSTAR_TRY(PackedLayout layout, P::layout(context.call(), packed));
    std::unique_ptr<PackedNode> node(
        new PackedNode(std::move(packed), context.filename(), context.options()));
    INSTAR_CHECK(node->begin(context.call(), std::move(layout), context.options().flag("spool")));
    return node;
  }

  Result<uint64_t> size() {
    INSTAR_CHECK(find_size(Call(nullptr), true));
    return size_.load();
  }
  void limits(instar_node_limits& limits) const { limits.max_transfer = kMostTransfer; }
  Status read(const Call& call, uint64_t offset, IoVec to) {
    INSTAR_TRY(const uint64_t size, this->size());
    const uint64_t length = to.length();
    const uint64_t inside = offset < size ? std::min(length, size - offset) : 0;
    to.fill_zero(inside, length - inside);
    if (inside == 0) return {};
    return told(read_inside(call, offset, to, inside));
  }

  /** instar.forward/1 is for those whose size was not known when they were opened. */
  bool offers(std::string_view id) const { return forward_ || id != INSTAR_FORWARD_ID; }
  /** Bytes read: fewer than asked for only at the end. */
  Result<size_t> read_forward(const Call& call, uint64_t offset, Bytes to) {
    size_t done = 0;
    for (size_t part = 1; part != 0 && done < to.size(); done += part) {
      const Bytes piece = to.subspan(done, std::min<size_t>(kMostTransfer, to.size() - done));
      auto read = read_part(call, offset + done, piece);
      if (!read) return told(read.error()).error();
      part = *read;
    }
    return done;
  }
  Status find_size(const Call& call, bool keep) {
    if (size_ != kUnknown) return {};
    const std::lock_guard lock(mutex_);
    if (size_ != kUnknown) return {};
    return told(find_end(call, keep));
  }

  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    const Spool* spool = spool_.load();
    size_t count = 0;
    while (length > 0 && count < max) {
      const auto [run, data] = spool != nullptr ? spool->extent(offset) : std::pair(length, true);
      const uint64_t n = std::min(length, run);
      const uint32_t content =
          data ? INSTAR_EXTENT_DATA | INSTAR_EXTENT_COMPRESSED : uint32_t{INSTAR_EXTENT_ZERO};
      out[count++] = {n, 0, content | INSTAR_EXTENT_ALLOCATED, 0};
      offset += n;
      length -= n;
    }
    return count;
  }

 private:
  static constexpr uint64_t kMostRatio = 250;
  static constexpr uint64_t kUnknown = UINT64_MAX;
  static constexpr uint32_t kMostTransfer = 8u << 20;  ///< far less than a window holds

  PackedNode(PackedFile file, std::string filename, const Options& options)
      : file_(std::move(file)),
        filename_(std::move(filename)),
        ratio_(options.number("max-ratio", kMostRatio)) {}

  Status begin(const Call& call, PackedLayout layout, bool spool) {
    if (spool) return unpack_all(call);
    INSTAR_CHECK(find_pieces(call, layout));
    forward_ = !layout.size;
    if (layout.size && *layout.size > INT64_MAX) return fail(EFBIG, "its content is too large");
    size_ = layout.size.value_or(kUnknown);
    return {};
  }
  Status find_pieces(const Call& call, PackedLayout& layout) {
    if constexpr (requires { &P::unpack; }) {
      auto& pieces = layout.pieces;
      if (!pieces.empty() && std::all_of(pieces.begin(), pieces.end(), PieceCache::admits))
        pieces_ = std::make_unique<PieceCache>(file_, std::move(pieces), &P::unpack, ratio_);
    }
    if constexpr (requires { &P::unit; }) {
      if (pieces_ == nullptr) return find_first_piece(call, layout);
    }
    return {};
  }
  /** A file may hold more than its beginning tells of: its size is known once all was seen. */
  Status find_first_piece(const Call& call, PackedLayout& layout) {
    PieceWalk walk(file_, &P::unit);
    Piece piece;
    std::vector<uint8_t> packed;
    INSTAR_TRY(const auto found, walk.next(call, piece, packed));
    if (found != PieceWalk::Found::kPiece) return {};
    INSTAR_TRY(const bool all, walk.at_end(call));
    layout.size.reset();
    if (all && piece.sized) layout.size = piece.length;
    pieces_ = std::make_unique<PieceCache>(file_, std::move(walk), piece, &P::unpack, ratio_);
    return {};
  }
  Result<std::unique_ptr<PackedStream>> make_stream(const PieceCache::End& from) {
    INSTAR_TRY(auto unpacker, P::unpacker());
    return std::make_unique<PackedStream>(file_, std::move(unpacker), ratio_, from.packed_offset,
                                          from.offset);
  }
  /** From where the pieces end on. */
  Status make_window(const Call& call) {
    PieceCache::End from;
    if (pieces_ != nullptr) {
      INSTAR_TRY(from, pieces_->find_end(call));
    }
    INSTAR_TRY(auto stream, make_stream(from));
    window_begin_ = from.offset;
    window_ = std::make_unique<PackedWindow>(std::move(stream));
    return {};
  }
  /** Whoever asked says where it was in the content; a hint says what is wrong with the file. */
  Status told(Status status) const {
    if (!status && status.error().message != errno_text(status.error().code))
      status.error().hint = cat("'", filename_, "': ", status.error().message);
    return status;
  }

  Status read_inside(const Call& call, uint64_t offset, const IoVec& to, uint64_t length) {
    INSTAR_TRY(const uint64_t done, read_pieces(call, offset, to, length));
    if (done == length) return {};
    offset += done;
    length -= done;
    if (spool_.load() == nullptr) {
      const std::lock_guard lock(mutex_);
      INSTAR_CHECK(approach(call, offset));
      if (spool_.load() == nullptr) {
        INSTAR_CHECK(unpack_on(call, offset + length));
        window_->copy(offset, to, done, length);
        return {};
      }
    }
    return read_spool(offset, to, done, length);
  }
  /** Bytes read: none where there are no pieces. */
  Result<uint64_t> read_pieces(const Call& call, uint64_t offset, const IoVec& to,
                               uint64_t length) {
    if (pieces_ == nullptr || spool_.load() != nullptr) return uint64_t{0};
    return pieces_->read(call, offset, to, 0, length);
  }
  Result<size_t> read_part(const Call& call, uint64_t offset, Bytes to) {
    const instar_iovec piece{to.data(), to.size()};
    const IoVec target(&piece, 1);
    INSTAR_TRY(const uint64_t done, read_pieces(call, offset, target, to.size()));
    if (done != 0) return static_cast<size_t>(done);
    if (spool_.load() == nullptr) {
      const std::lock_guard lock(mutex_);
      INSTAR_CHECK(approach(call, offset));
      if (spool_.load() == nullptr) {
        INSTAR_CHECK(unpack_on(call, offset + to.size()));
        const uint64_t end = std::min(window_->position(), offset + to.size());
        const uint64_t length = end - std::min(end, offset);
        window_->copy(offset, target, 0, length);
        return static_cast<size_t>(length);
      }
    }
    const uint64_t length =
        std::min<uint64_t>(to.size(), size_ - std::min<uint64_t>(size_, offset));
    INSTAR_CHECK(read_spool(offset, target, 0, length));
    return static_cast<size_t>(length);
  }
  /** There is a window that reaches to `offset`, or else the spool. */
  Status approach(const Call& call, uint64_t offset) {
    if (spool_.load() != nullptr) return {};
    if (window_ == nullptr) INSTAR_CHECK(make_window(call));
    if (window_->reaches(offset)) return {};
    // Who has read it to its end and begins again reads in order, too.
    if (window_->ended() && offset < window_begin_ + PackedWindow::kLength)
      return make_window(call);
    return unpack_all(call);
  }
  /** The window up to `end`, if there is so much. What ends where it should not is never taken for
   * whole. */
  Status unpack_on(const Call& call, uint64_t end) {
    // What comes behind a defect can't be had, and what comes before it is still there.
    if (end > window_->position() && broken_) return *broken_;
    auto status = end == kUnknown ? window_->exhaust(call)
                                  : window_->advance(call, end == size_ ? end + 1 : end);
    const uint64_t reached = window_->position();
    if (status && (window_->ended() || reached > size_)) status = end_at(reached);
    if (!status && (window_->broken() || window_->ended())) broken_ = status.error();
    return status;
  }
  /** The content ends there. */
  Status end_at(uint64_t position) {
    if (size_ != kUnknown) return check_length(position, size_);
    if (position > INT64_MAX) return fail(EFBIG, "its content is too large");
    size_ = position;
    return {};
  }
  Status check_length(uint64_t found, uint64_t promised) const {
    if (found == promised) return {};
    const char* what = found < promised ? "holds less" : "holds more";
    return file_.wrong(
        0,
        fail(EIO, "it ", what, " than the ", promised,
             " bytes that its header tells of (spool=on reads what several files were put into)"));
  }
  Status find_end(const Call& call, bool keep) {
    if (pieces_ != nullptr) {
      INSTAR_TRY(const auto end, pieces_->find_end(call));
      if (end.all) return end_at(end.offset);
    }
    if (keep) return unpack_all(call);
    if (window_ == nullptr) INSTAR_CHECK(make_window(call));
    return unpack_on(call, kUnknown);
  }
  Status read_spool(uint64_t offset, const IoVec& to, uint64_t position, uint64_t length) const {
    Status status;
    to.walk(position, length, [&](uint8_t* piece, uint64_t done, size_t n) {
      if (status) status = spool_.load()->read(offset + done, {piece, n});
    });
    return status;
  }

  Status unpack_all(const Call& call) {
    if (broken_) return *broken_;
    INSTAR_TRY(auto stream, make_stream({}));
    INSTAR_TRY(auto spool, Spool::make());
    std::vector<uint8_t> chunk(1u << 20);
    for (size_t n = chunk.size(); n == chunk.size();) {
      n = 0;
      auto status = stream->read(call, chunk, &n);
      if (stream->broken()) broken_ = status.error();
      INSTAR_CHECK(std::move(status));
      INSTAR_CHECK(spool->append(Bytes(chunk).first(n)));
    }
    INSTAR_CHECK(spool->finish());
    INSTAR_CHECK(end_at(spool->size()));
    owned_spool_ = std::move(spool);
    spool_.store(owned_spool_.get());
    window_.reset();
    return {};
  }

  const PackedFile file_;
  const std::string filename_;
  PackingRatio ratio_;
  bool forward_ = false;
  std::atomic<uint64_t> size_{kUnknown};
  std::unique_ptr<PieceCache> pieces_;
  std::mutex mutex_;  ///< of what follows, as long as spool_ is not there
  std::unique_ptr<PackedWindow> window_;
  uint64_t window_begin_ = 0;
  std::optional<Error> broken_;
  std::unique_ptr<Spool> owned_spool_;
  std::atomic<const Spool*> spool_{nullptr};
};

}  // namespace instar::sdk
