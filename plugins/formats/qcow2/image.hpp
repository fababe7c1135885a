// SPDX-License-Identifier: Apache-2.0
/**
 * @file image.hpp
 * An open qcow2 image.
 *
 * Threads: any calls at once. One mutex guards the mapping, the counts and the list of ranges under
 * work; guest data moves outside of it. A request locks the guest ranges that it works on
 * (range_locks.hpp), looks up or allocates, moves data, then makes the mapping refer to it.
 *
 * Crash safety: metadata changes stay in memory until write_metadata, which writes them in this
 * order, with a barrier between: packed data and refcount blocks; refcount table; L2 tables; L1
 * entries. What is freed stays counted, and is not given out again, until the L2 entries that no
 * longer refer to it are on the disk. So at any point a power cut leaves at most leaked clusters.
 */
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "plugins/formats/qcow2/bitmaps.hpp"
#include "plugins/formats/qcow2/corruption.hpp"
#include "plugins/formats/qcow2/encryption.hpp"
#include "plugins/formats/qcow2/l1_walk.hpp"
#include "plugins/formats/qcow2/l2_tables.hpp"
#include "plugins/formats/qcow2/overlap_guard.hpp"
#include "plugins/formats/qcow2/packed_writer.hpp"
#include "plugins/formats/qcow2/refcounts.hpp"
#include "plugins/formats/qcow2/snapshots.hpp"
#include "sdk/cpp/buffer_pool.hpp"
#include "sdk/cpp/codec.hpp"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/range_locks.hpp"

namespace instar::qcow2 {

/** What the user's open options say, with defaults. Sizes in bytes. */
struct Settings {
  uint64_t l2_cache = 4u << 20;
  uint64_t refcount_cache = 1u << 20;
  uint64_t slice = 64u << 10;
  int compression_level = 0;
  bool discard_requests = false;  ///< guest discards give space back to the file
  bool discard_snapshot = true;   ///< … and so does what a snapshot frees
  bool discard_other = false;
  bool discard_no_unref = false;
  bool lazy_refcounts = false;  ///< the dirty bit is set while the image is written to
  OverlapChecks overlap_checks = kOverlapCached;
};

class Image {
 public:
  static Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static Status create(sdk::CreateContext& context);
  static Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                               sdk::NodeRef source);
  static Status stream(sdk::Host host, const Call& call, const sdk::Options& options,
                       const sdk::StreamSource& source, const instar_content& out);
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  uint64_t size() const { return size_.load(std::memory_order_relaxed); }
  void limits(instar_node_limits& limits) const;
  Status read(const Call& call, uint64_t offset, IoVec to);
  Status write(const Call& call, uint64_t offset, IoVec from, uint32_t flags);
  Status write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  Status discard(const Call& call, uint64_t offset, uint64_t length);
  Status flush(const Call& call);
  Result<size_t> extents(const Call& call, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max);
  Status close(const Call& call);

  bool offers(std::string_view id) const;
  Result<std::string> info();
  Result<size_t> prepare_write(const Call& call, uint64_t offset, uint64_t length,
                               instar_placement* out, size_t max);
  Status commit_write(const Call& call, const instar_placement* placements, size_t count);
  void abort_write(const instar_placement* placements, size_t count);
  Result<int64_t> pack(const Call& call, ConstBytes block, Bytes out);
  Status store(const Call& call, uint64_t offset, size_t length, ConstBytes packed);
  Result<std::string> snapshot_list();
  Status snapshot_create(const Call& call, std::string_view name, int64_t sec, int32_t nsec);
  Status snapshot_apply(const Call& call, std::string_view id);
  Status snapshot_remove(const Call& call, std::string_view id, std::string_view name);
  Status snapshot_load(const Call& call, std::string_view id);
  Status resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                const instar_progress* progress);
  Status change_backing(const Call& call, const char* filename, const char* format);
  Status make_empty(const Call& call);
  Status amend(const Call& call, const sdk::Options& options, bool force,
               const instar_progress* progress);
  Result<std::string> bitmap_list();
  Status bitmap_add(const Call&, std::string_view name, uint32_t granularity, bool enabled);
  Status bitmap_remove(const Call&, std::string_view name);
  Status bitmap_clear(const Call&, std::string_view name);
  Status bitmap_set_enabled(const Call&, std::string_view name, bool enabled);
  Status bitmap_walk(const Call&, std::string_view name, void* opaque, instar_bitmap_run_fn run);
  Status bitmap_set_dirty(const Call&, std::string_view name, uint64_t offset, uint64_t length);
  Status check(const Call& call, uint32_t fix, instar_check_result& result,
               const instar_sink* messages, const instar_progress* progress);

 private:
  using Lock = std::unique_lock<std::mutex>;
  using RangeLocks = sdk::RangeLocks;
  using Mode = RangeLocks::Mode;

  /** How a cluster takes new data. */
  enum class Way : uint8_t {
    kInPlace,   ///< the mapping stays as it is
    kReuse,     ///< into the host cluster that it has; the entry changes
    kAllocate,  ///< into a new host cluster
  };

  /** Clusters of one request that are written the same way. */
  struct Piece {
    uint64_t begin = 0;  ///< guest bytes that the request writes: [begin, end)
    uint64_t end = 0;
    uint64_t cow_begin = 0;  ///< with what is copied around them: [cow_begin, cow_end)
    uint64_t cow_end = 0;
    uint64_t host = 0;  ///< of the cluster that has `begin`, its first byte
    Way way = Way::kAllocate;
    bool pristine = false;  ///< the new clusters read as zeroes
  };
  Mode lock_mode(const Piece& piece) const {
    return piece.way == Way::kInPlace ? Mode::kShared : Mode::kExclusive;
  }
  uint64_t locked_begin(const Piece& piece) const {
    return piece.way == Way::kInPlace ? piece.begin : geometry_.cluster_start(piece.begin);
  }
  uint64_t locked_end(const Piece& piece) const {
    return piece.way == Way::kInPlace ? piece.end : geometry_.cluster_end(piece.end);
  }
  void lock_range(const Piece& piece) {
    ranges_.add(locked_begin(piece), locked_end(piece), lock_mode(piece));
  }
  void unlock_range(const Piece& piece) {
    ranges_.remove(locked_begin(piece), locked_end(piece), lock_mode(piece));
  }

  Image(sdk::Host host, Header header, HostFile file, const Settings& settings, uint32_t flags);

  // open.cc
  Status open_children(sdk::OpenContext& context);
  Status open_data_file(sdk::OpenContext& context);
  Status load_metadata(const Call& call);
  Status start_writing(const Call& call);
  HostFile& data() { return data_file_ ? data_file_ : file_; }

  // read.cc
  Status read_run(const Call& call, const Run& run, const IoVec& to, uint64_t position);
  Status read_plain(const Call& call, const Run& run, const IoVec& to, uint64_t position);
  Status read_backing(const Call& call, uint64_t guest, const IoVec& to, uint64_t position,
                      uint64_t length);
  Status read_unlocked(const Call& call, uint64_t guest, void* to, uint64_t length);

  // extents.cc
  instar_extent to_extent(const Run& run) const;
  uint64_t length_alike(const Run& run) const;
  bool nameless(const Run& run) const;
  Result<bool> sparse_inside(const Call& call);

  // compressed.cc
  Status read_packed(const Call& call, const Run& run, const IoVec& to, uint64_t position);
  Result<sdk::CodecPool*> codec();
  Result<uint64_t> allocate_packed(const Call& call, uint64_t length);
  Status link_packed(const Call& call, uint64_t guest, uint64_t word);

  // write.cc
  Status check_usable() const;
  Status begin_change(const Call& call, Lock& lock);
  Status own_table(const Call& call, uint64_t guest);
  Result<Piece> plan(const Call& call, Lock& lock, uint64_t begin, uint64_t end);
  Result<Piece> classify(const Call& call, uint64_t begin, uint64_t end);
  void widen(Piece& piece, const Entry& first, const Entry& last) const;
  Status place(const Call& call, Piece& piece);
  Status fill_rest(const Call& call, const Piece& piece);
  Result<bool> prepare_piece(const Call& call, uint64_t begin, uint64_t end, Piece& piece);
  void give_back(const Call& call, const Piece& piece);
  Status link(const Call& call, const Piece& piece);
  Way way_to_write(const Entry& entry, uint64_t begin, uint64_t end) const;
  uint64_t subclusters(uint64_t begin, uint64_t end) const;
  Status finish(const Call& call, const Piece& piece, Status written);
  Status write_piece(const Call& call, const Piece& piece, const IoVec& from, uint64_t position);
  Status write_host(const Call& call, const Piece& piece, uint64_t begin, const IoVec& from,
                    uint64_t position, uint64_t length);
  void note_hole(uint64_t end);
  Piece placed(const instar_placement& placement) const;
  Result<bool> reads_as_zeroes(const Call& call, uint64_t begin, uint64_t end, bool own);
  Status copy_old(const Call& call, uint64_t begin, uint64_t end, uint8_t* to);

  // zero.cc
  enum class Clearing : uint8_t { kZero, kZeroFreeing, kDiscard };
  Status clear_clusters(const Call& call, uint64_t begin, uint64_t end, Clearing how);
  Entry cleared(const Entry& entry, Clearing how) const;
  Status zero_range(const Call& call, uint64_t begin, uint64_t end, Clearing how);
  Status write_zeroes_plainly(const Call& call, uint64_t begin, uint64_t end);
  Status zero_plainly(const Call& call, uint64_t begin, uint64_t end, bool last);
  Status zero_subclusters(const Call& call, uint64_t begin, uint64_t end);

  // flush.cc: called with the mutex held
  void free_entry(const Entry& entry, bool requested);
  void free_later(ClusterRange range, bool requested);
  Status write_metadata(const Call& call, Lock& lock);
  Status write_refcounts(const Call& call);
  Status apply_frees(const Call& call);
  Status barrier(const Call& call);
  Status cover_hole(const Call& call);

  // snapshot_change.cc: called with the mutex held
  Status begin_exclusive(const Call& call, Lock& lock);
  struct SnapshotTable {
    std::vector<Snapshot> snapshots;
    uint64_t offset;  ///< 0: there are none
    uint64_t bytes;
  };
  Result<uint64_t> place(const Call& call, const std::vector<uint8_t>& bytes);
  Status release(const Call& call, ClusterRange range);
  void give_back(const Call& call, ClusterRange range);
  ClusterRange clusters_of(uint64_t offset, uint64_t bytes) const;
  Status count_up(const Call& call, const L1Table& l1);
  Status count_down(const Call& call, const L1Table& gone, L1Table& kept);
  Status write_snapshots(const Call& call, std::vector<Snapshot> snapshots);
  Result<SnapshotTable> place_snapshots(const Call& call, std::vector<Snapshot> snapshots);
  Status switch_snapshots(const Call& call, SnapshotTable table);
  Status switch_l1(const Call& call, uint64_t offset, const L1Table& l1, uint64_t size);
  Status adopt_flags(const Call& call, const L1Table& part);
  Status all_or_broken(Status done);
  Status begin_inexact(const Call& call);
  Status end_inexact(const Call& call);
  // guarded.cc: called with the mutex held
  MetadataView metadata() const;
  /** EIO, and the image is marked, when a write would hit metadata other than `except`. */
  Status refuse_overlap(const Call& call, uint64_t offset, uint64_t length, uint32_t except);
  TableCache::Guard guard_of(const Call& call, uint32_t kind);
  Status refuse_unaligned(const Call& call, uint64_t guest, const Entry& entry);
  Status refuse_allocation(const Call& call, ClusterRange range);
  Status start_guarding(const Call& call);

  // check.cc
  Status check_locked(const Call& call, uint32_t fix, instar_check_result& result,
                      const instar_sink* messages);
  Status repair_dirty(const Call& call);
  Status drop_unknown_features(const Call& call);

  // resize.cc
  Status shrink(const Call& call, uint64_t size);
  Status grow(const Call& call, uint64_t size, uint32_t mode);
  Status grow_l1(const Call& call, uint64_t entries);
  Status zero_grown(const Call& call, uint64_t begin, uint64_t end, bool needs_zeroes, bool placed);
  Status write_size(const Call& call, uint64_t size);

  // preallocate.cc
  Status preallocate(const Call& call, uint64_t begin, uint64_t end, uint32_t mode);
  Status preallocate_part(const Call& call, uint64_t begin, uint64_t end, uint32_t mode);
  Status link_preallocated(const Call& call, uint64_t* position, uint64_t end, uint64_t host,
                           uint64_t bitmap);

  // drop.cc
  Status drop_mapping(const Call& call, uint64_t begin);
  Result<std::vector<ClusterRange>> unmap(const Call& call, uint64_t begin);
  Status forget_entries(const Call& call, uint64_t begin, uint64_t end);
  Status collect_table(const Call& call, uint64_t table, std::vector<ClusterRange>* out) const;
  Status drop_references(const Call& call, std::vector<ClusterRange>* ranges,
                         std::vector<ClusterRange>* unused);
  Status trim(const Call& call, const std::vector<ClusterRange>& unused);

  // start_over.cc
  bool can_start_over() const;
  Status start_over(const Call& call);
  Status switch_tables(const Call& call);
  Status count_anew(const Call& call, uint64_t clusters);

  // amend.cc and its kin
  struct Amendment;
  class AmendProgress;
  Result<Amendment> read_amendment(const sdk::Options& options) const;
  Status update_header(const Call& call, const Header& next);
  Status set_lazy_refcounts(const Call& call, bool on);
  Status upgrade(const Call& call, AmendProgress& progress);
  Status downgrade(const Call& call, AmendProgress& progress);
  Status check_downgrade(const Call& call);
  Result<bool> has_packed(const Call& call);
  Status expand_zeroes(const Call& call, AmendProgress& progress);
  Status expand_tables(const Call& call, std::span<const uint64_t> l1, uint64_t first);
  Result<bool> expand_table(const Call& call, uint64_t table, uint64_t guest, uint8_t* bytes);
  Result<Entry> expanded(const Call& call, const Entry& entry, uint64_t guest, uint64_t owners);
  Status change_refcount_width(const Call& call, uint32_t order, AmendProgress& progress);

  // bitmaps.cc
  Status load_bitmaps(const Call& call);
  void update_recording();
  std::string describe_bitmaps() const;
  Result<Bitmap*> find_bitmap(std::string_view name);
  Result<DirtyBits*> bits_of(const Call& call, Bitmap& bitmap);
  Status mark_in_use(const Call& call, Bitmap& bitmap);
  Result<DirtyBits*> changing_bits(const Call& call, Bitmap& bitmap);
  Status record_change(const Call& call, uint64_t offset, uint64_t length);
  /** Before the image gets another size. The mutex is held, and begin_change was done. */
  Status resize_bitmaps(const Call& call, uint64_t size);
  Status write_directory(const Call& call, uint64_t offset);
  Result<uint64_t> take(const Call& call, uint64_t bytes, std::vector<ClusterRange>* taken);
  Status place_bitmaps(const Call& call, std::vector<ClusterRange>* taken);
  Status place_bitmaps(const Call& call, uint64_t length, uint64_t* offset,
                       std::vector<ClusterRange>* taken);
  Status write_bitmap_table(const Call& call, const Bitmap& bitmap);
  Status store_bitmaps(const Call& call);
  Status name_directory(const Call& call, uint64_t offset, uint64_t length);

  const sdk::Host host_;
  const uint32_t flags_;
  const Settings settings_;
  std::string node_name_;  ///< as messages call it
  Header header_;
  Geometry geometry_;  ///< changes when the image is amended
  HostFile file_;
  HostFile data_file_;
  std::unique_ptr<ContentCipher> cipher_;  ///< nullptr: not encrypted
  sdk::NodeRef backing_;
  uint64_t backing_size_ = 0;
  std::atomic<uint64_t> size_;
  std::vector<Snapshot> snapshots_;
  uint64_t snapshots_bytes_ = 0;  ///< of the table in the file
  std::vector<Bitmap> bitmaps_;
  std::vector<uint64_t> bitmap_places_;      ///< of bits, once the bitmaps are stored free
  std::vector<ClusterRange> bitmap_tables_;  ///< so are these
  std::atomic<bool> recording_{false};       ///< a bitmap is enabled
  bool bitmaps_changed_ = false;             ///< the file has not all of them as they are
  bool bitmaps_listed_anew_ = false;         ///< … and its directory lists others
  bool preallocated_ = false;                ///< at open
  bool changed_ = false;                     ///< begin_change was done
  bool broken_ = false;  ///< a barrier failed: what is on the disk is not known any more

  std::mutex mutex_;
  RangeLocks ranges_;
  L2Tables l2_;
  Refcounts refcounts_;
  PackedWriter packed_;
  Corruption corruption_;
  OverlapGuard guard_;
  const char* allocating_ = nullptr;  ///< what room is looked for, where a message names it
  struct Pending {
    ClusterRange range;
    bool requested;
  };
  std::vector<Pending> frees_;
  /** Where the last cluster that was allocated ends, if its end was left as a hole. */
  std::atomic<uint64_t> hole_end_{0};
  uint64_t packed_next_ = 0;  ///< where the next packed cluster goes if it fits; 0: nowhere
  int sparse_inside_ = -1;

  std::mutex codec_mutex_;
  std::unique_ptr<sdk::CodecPool> codec_;
  sdk::BufferPool clusters_;
  sdk::BufferPool packed_buffers_;
};

}  // namespace instar::qcow2
