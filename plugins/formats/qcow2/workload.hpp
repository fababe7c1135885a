// SPDX-License-Identifier: Apache-2.0
/** @file workload.hpp For unit tests: work on an image, of every sort, with a model of what the
 * image must hold after each step; and the judgement of what a power cut leaves of it. */
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "plugins/formats/qcow2/testing.hpp"

namespace instar::qcow2::testing {

/** Sectors are filled with one number each. 0: zeroes. */
using Sectors = std::vector<uint32_t>;

struct ImageKind {
  const char* name;
  uint32_t cluster_bits = 12;
  uint32_t refcount_bits = 16;
  bool version2 = false;
  bool extended = false;
  bool lazy = false;
  bool backing = false;
  bool data_file = false;
  bool long_header = false;          ///< its extensions don't fit into a sector
  const char* encryption = nullptr;  ///< a scheme of testing_cipher.hpp
};

/** What any image is opened with; one that is not encrypted has no use for it. */
inline const OptionList kOpenOptions{{"encrypt.key-secret", "k"}};

struct ModelBitmap {
  uint64_t granularity = 0;
  bool enabled = false;
  std::vector<bool> bits;
  bool operator==(const ModelBitmap&) const = default;
};

/** What an image holds after a step. */
struct State {
  Sectors sectors;
  std::map<std::string, std::shared_ptr<const Sectors>> snapshots;  ///< by id
  std::map<std::string, ModelBitmap> bitmaps;                       ///< those that can be trusted
  std::vector<std::string> broken_bitmaps;                          ///< those that can't

  // About the step that led here:
  std::string step;
  size_t events = 0;     ///< in the journal, when it was done
  bool safe = false;     ///< it promises that all so far is on the disk
  bool closed = false;   ///< the bitmaps are stored
  bool at_once = false;  ///< all of the content changes at one moment, or none
  bool drops = false;    ///< while it is under way, what it takes away may read as anything
  std::vector<std::pair<size_t, size_t>> changed = {};  ///< sectors [first, second)
};

/** Works on an image; each operation is one step. Failures are reported to the test. */
class Workload {
 public:
  Workload(const ImageKind& kind, uint64_t seed);
  /** Goes on with files that hold `state`. */
  Workload(const ImageKind& kind, uint64_t seed, const PowerCut::Files& files, State state);

  /** Random steps until that many events are recorded. */
  void run(size_t events);
  void random_step();
  void random_write_step();

  void open();
  void close();
  void flush();
  void write(size_t first, size_t count);
  void write_placed(size_t first, size_t count);
  void write_packed(size_t first);
  void write_zeroes(size_t first, size_t count, uint32_t flags);
  void discard(size_t first, size_t count);
  void create_snapshot();
  void apply_snapshot(const std::string& id);
  void remove_snapshot(const std::string& id);
  void add_bitmap(const std::string& name);
  void remove_bitmap(const std::string& name);
  void clear_bitmap(const std::string& name);
  void enable_bitmap(const std::string& name, bool enable);
  void merge_bitmap(const std::string& from, const std::string& to);
  void resize(size_t sectors, uint32_t preallocation);
  void amend(const OptionList& options);
  void rename_backing(const std::string& name);
  /** The content goes into the backing file, the image becomes empty, and is closed. */
  void commit();
  /** The image stands alone, or has its backing file again; it is closed. */
  void rebase(bool alone);

  const std::vector<State>& states() const { return states_; }
  const State& now() const { return now_; }
  const Journal& journal() const { return journal_; }
  /** All files as they were at first, by number. */
  const PowerCut::Files& start() const { return start_; }
  PowerCut::Files current() const;
  bool is_version2() const;
  bool has_backing() const;

 private:
  void attach();
  void begin(const std::string& step);
  void end();
  void sync_bitmaps();
  void set(size_t first, size_t count, uint32_t value);
  void write_all();
  void check_content();
  uint64_t pick(uint64_t limit);
  bool one_in(uint64_t n) { return pick(n - 1) == 0; }
  std::pair<size_t, size_t> range();
  void random_snapshot_step();
  void random_bitmap_step();
  void random_maintenance();
  void random_amend();
  uint32_t refcount_bits() const;
  size_t cluster_sectors() const { return (size_t{1} << kind_.cluster_bits) / 512; }
  template <class Ops>
  const Ops* ops(const char* id, void** self) const {
    return image_->node().interface<Ops>(id, self);
  }

  const ImageKind kind_;
  std::mt19937_64 random_;
  Files files_;
  Journal journal_;
  PowerCut::Files start_;
  std::unique_ptr<TestImage> image_;
  State now_;
  std::vector<State> states_;
  uint32_t next_value_ = 1;
};

/** Everything that the image in these files holds; nullopt and a text when it can't be read. */
std::optional<State> observe(const PowerCut::Files& files, std::string* problem);

/** Files for tests of what numbered files hold. */
std::unique_ptr<Files> to_files(const PowerCut::Files& numbered);

/** What is wrong with what a cut behind `cut` events left; "" when nothing is.
 * *found: what the image holds. */
std::string judge(const std::vector<State>& states, size_t cut, const PowerCut::Files& files,
                  State* found);

/** What genuine qemu-img says about what a cut left and what it holds; nullopt without
 * INSTAR_REFERENCE. */
std::optional<std::string> ask(const PowerCut::Files& files, const State& found);

/** Version 2 can't mark an image whose counts and COPIED flags change, which can't be in one write. */
enum class Flags : uint8_t {
  kExact,      ///< as it must be, but for version 2
  kMayDiffer,  ///< the image was of version 2
};

/** Errors that the driver's own check finds, leaks aside; "" when there are none. An image that is
 * marked as not closed is repaired first, in the files. */
std::string check_metadata(PowerCut::Files& files, Flags flags = Flags::kExact);

/** Whether a crash of the image may have left wrong counts: it is repaired when opened. */
bool is_dirty(const std::vector<uint8_t>& image);

}  // namespace instar::qcow2::testing
