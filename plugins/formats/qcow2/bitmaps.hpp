// SPDX-License-Identifier: Apache-2.0
/** @file bitmaps.hpp The persistent dirty bitmaps of an open image, changed in memory. Specification:
 * "Bitmaps extension". Not thread-safe; the image's mutex guards them. */
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugins/formats/qcow2/bitmap_directory.hpp"
#include "plugins/formats/qcow2/refcounts.hpp"

namespace instar::qcow2 {

/** A bitmap's bits: pieces of a cluster each, which come into memory when they are needed. */
class DirtyBits {
 public:
  /** @param table entries as they are in the file: 0 none set, 1 all set, or where the piece lies. */
  DirtyBits(const Geometry& geometry, HostFile& file, uint32_t granularity_bits, uint64_t size,
            std::vector<uint64_t> table);

  uint64_t granularity() const { return uint64_t{1} << granularity_bits_; }
  /** Sets the bits of all that [offset, offset + length) touches; what lies beyond the image's size is
   * left out. */
  Status set(const Call& call, uint64_t offset, uint64_t length);
  /** Whether all of them are set already. */
  Result<bool> covers(const Call& call, uint64_t offset, uint64_t length);
  void clear();
  struct Run {
    uint64_t offset;
    uint64_t length;
  };
  /** Appends runs of dirty bytes from `offset` on in ascending order, about `max` of them. Returns where
   * to go on: at the end that is the image's size. */
  Result<uint64_t> collect(const Call& call, uint64_t offset, size_t max, std::vector<Run>* runs);
  /** The image has another size now. */
  Status resize(const Call& call, uint64_t size);

  /** Writes pieces that changed; those that need a place get one from `allocate`. The table is up to
   * date then, but not written. */
  template <class Allocate>
  Status write(const Call& call, Allocate allocate) {
    for (auto& [index, piece] : pieces_) {
      if (!piece.changed) continue;
      const bool empty = next_set(piece, 0) >= bits_per_piece_;
      uint64_t& entry = table_[index];
      if (empty) {
        if (entry > kAllOnes) dropped_.push_back(entry);
        entry = 0;
      } else {
        if (entry <= kAllOnes) {
          INSTAR_TRY(entry, allocate());
        }
        INSTAR_CHECK(file_.write(call, entry, piece.words.data(), geometry_.cluster_size));
      }
      piece.changed = false;
    }
    return {};
  }
  /** Adds the places in the file that its table no longer refers to. */
  void take_dropped(std::vector<uint64_t>* places) {
    places->insert(places->end(), dropped_.begin(), dropped_.end());
    dropped_.clear();
  }
  const std::vector<uint64_t>& table() const { return table_; }

  static constexpr uint64_t kAllOnes = 1;

 private:
  struct Piece {
    std::vector<uint64_t> words;  ///< as in the file: the first bit is the lowest of the first byte
    bool changed = false;
  };
  bool has_any(uint64_t index) const { return table_[index] != 0 || pieces_.contains(index); }
  Result<Piece*> piece(const Call& call, uint64_t index);
  uint64_t next_set(const Piece& piece, uint64_t bit) const;
  uint64_t next_clear(const Piece& piece, uint64_t bit) const;
  static void change(Piece& piece, uint64_t begin, uint64_t end, bool value);

  const Geometry& geometry_;
  HostFile& file_;
  uint32_t granularity_bits_;
  uint64_t size_;
  uint64_t bits_per_piece_;
  std::vector<uint64_t> table_;
  std::vector<uint64_t> dropped_;  ///< places that no entry refers to any more
  std::map<uint64_t, Piece> pieces_;
};

/** One bitmap, and what the file says of it. */
struct Bitmap {
  std::string name;
  uint32_t granularity_bits = 0;
  bool enabled = false;             ///< records what the guest writes
  bool inconsistent = false;        ///< was in use when its program died: its bits mean nothing
  bool in_use = false;              ///< the file says so
  bool changed = false;             ///< the file does not have its bits or table
  uint64_t table_offset = 0;        ///< in the file; 0: not yet there
  uint32_t table_entries = 0;       ///< in the file
  uint64_t record_offset = 0;       ///< of its entry in the directory in the file; 0: not yet there
  std::unique_ptr<DirtyBits> bits;  ///< once they are needed
};

}  // namespace instar::qcow2
