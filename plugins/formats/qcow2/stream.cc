// SPDX-License-Identifier: Apache-2.0
// An image as a sequence of bytes: where the data is comes first, so that all tables can be written
// before it. Memory does not grow with the image, but for its L1 table.
#include "plugins/formats/qcow2/stream.hpp"

#include "plugins/formats/qcow2/create.hpp"
#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {

/** Follows content in steps of clusters: one with any data in it is stored. */
class ClusterWalk {
 public:
  explicit ClusterWalk(const Geometry& geometry) : geometry_(geometry) {}
  virtual ~ClusterWalk() = default;

  instar_content receiver() { return {this, &take_data, &take_zeroes}; }
  uint64_t stored() const { return stored_; }
  /** Which clusters they were, as one number. */
  uint64_t fingerprint() const { return fingerprint_; }
  const Status& status() const { return status_; }

 protected:
  virtual Status begin_cluster(uint64_t cluster) = 0;
  virtual Status data(uint64_t, const void*, size_t) { return {}; }
  virtual Status zeroes(uint64_t, uint64_t) { return {}; }
  const Geometry& geometry_;

 private:
  Status take(const void* bytes, size_t length) {
    const uint64_t last = geometry_.cluster_of(position_ + length - 1);
    for (uint64_t c = std::max(geometry_.cluster_of(position_), next_); c <= last; ++c) {
      INSTAR_CHECK(begin_cluster(c));
      ++stored_;
      fingerprint_ = (fingerprint_ ^ c) * 0x100000001b3;
    }
    next_ = last + 1;
    INSTAR_CHECK(data(position_, bytes, length));
    position_ += length;
    return {};
  }
  int answer(Status status) {
    if (status) return 0;
    const int code = status.error().code;
    status_ = std::move(status);
    return -code;
  }
  static int take_data(void* opaque, const void* bytes, size_t length) {
    auto& self = *static_cast<ClusterWalk*>(opaque);
    return length == 0 ? 0 : self.answer(self.take(bytes, length));
  }
  static int take_zeroes(void* opaque, uint64_t length) {
    auto& self = *static_cast<ClusterWalk*>(opaque);
    const int result = self.answer(self.zeroes(self.position_, length));
    self.position_ += length;
    return result;
  }

  uint64_t position_ = 0;  ///< in the guest
  uint64_t next_ = 0;      ///< the first cluster that did not begin yet
  uint64_t stored_ = 0;
  uint64_t fingerprint_ = 0xcbf29ce484222325;
  Status status_;
};

/** First time: which L2 tables there are. */
class Survey final : public ClusterWalk {
 public:
  Survey(const Geometry& geometry, uint32_t l1_entries)
      : ClusterWalk(geometry), has_table_(l1_entries) {}

  uint64_t tables() const {
    return static_cast<uint64_t>(std::count(has_table_.begin(), has_table_.end(), true));
  }
  bool has_table(uint64_t index) const { return has_table_[index]; }

 private:
  Status begin_cluster(uint64_t cluster) override {
    const uint64_t table = cluster >> geometry_.l2_bits;
    if (table >= has_table_.size()) return fail(EIO, "the source is longer than it said");
    has_table_[table] = true;
    return {};
  }
  std::vector<bool> has_table_;
};

/** Second time: the L2 tables. */
class TableWriter final : public ClusterWalk {
 public:
  TableWriter(const Geometry& geometry, uint64_t first_cluster, Output& out)
      : ClusterWalk(geometry),
        next_offset_(first_cluster << geometry.cluster_bits),
        out_(out),
        table_(geometry.cluster_size) {}
  Status finish() { return index_ == kNone ? Status() : out_.put(table_.data(), table_.size()); }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;
  static constexpr uint64_t kAllSubclusters = UINT32_MAX;

  Status begin_cluster(uint64_t cluster) override {
    const uint64_t index = cluster >> geometry_.l2_bits;
    if (index != index_) {
      INSTAR_CHECK(finish());
      std::fill(table_.begin(), table_.end(), uint8_t{0});
      index_ = index;
    }
    const uint64_t entry = cluster & (geometry_.l2_entries() - 1);
    uint8_t* at = table_.data() + entry * geometry_.entry_size;
    store_be(at, next_offset_ | kEntryCopied);
    if (geometry_.extended) store_be(at + 8, kAllSubclusters);
    next_offset_ += geometry_.cluster_size;
    return {};
  }

  uint64_t next_offset_;
  Output& out_;
  std::vector<uint8_t> table_;
  uint64_t index_ = kNone;
};

/** Third time: the guest's clusters, filled up with zeroes. */
class DataWriter final : public ClusterWalk {
 public:
  DataWriter(const Geometry& geometry, Output& out) : ClusterWalk(geometry), out_(out) {}
  Status finish(uint64_t end) { return out_.put_zeroes(open_end_ > end ? open_end_ - end : 0); }

 private:
  Status begin_cluster(uint64_t) override { return {}; }
  Status data(uint64_t offset, const void* bytes, size_t length) override {
    const uint64_t start = geometry_.cluster_start(offset);
    if (start >= open_end_) INSTAR_CHECK(out_.put_zeroes(offset - start));
    open_end_ = geometry_.cluster_end(offset + length);
    return out_.put(bytes, length);
  }
  Status zeroes(uint64_t offset, uint64_t length) override {
    if (offset >= open_end_) return {};
    return out_.put_zeroes(std::min(length, open_end_ - offset));
  }

  Output& out_;
  uint64_t open_end_ = 0;  ///< of the cluster that was written to last, in the guest
};

/** What needs another file, or is known only when all is written. */
Status check_streamable(const CreateOptions& options) {
  const auto refused = [](const char* what) {
    return fail(ENOTSUP, "A qcow2 stream can't have ", what);
  };
  if (!options.header.backing_file.empty()) return refused("a backing file");
  if (options.header.has_data_file()) return refused("a data file");
  if (options.encryption.method != kCryptNone) return refused("encryption");
  if (options.preallocation != INSTAR_PREALLOCATION_OFF) return refused("preallocation");
  return {};
}

class Streamer {
 public:
  Streamer(const Call& call, const CreateOptions& options, const sdk::StreamSource& source,
           const instar_content& out)
      : call_(call), header_(options.header), geometry_(header_), source_(source), out_(out) {}

  Status run() {
    INSTAR_TRY(header_.l1_entries, count_l1_entries(header_, geometry_));
    Survey survey(geometry_, header_.l1_entries);
    INSTAR_CHECK(walk(survey, source_.survey(call_, survey.receiver())));
    layout_.l1 = geometry_.clusters(header_.l1_entries * uint64_t{8});
    layout_.l2 = survey.tables();
    layout_.data = survey.stored();
    INSTAR_CHECK(layout_.fit_refcounts(geometry_));
    layout_.place(header_, geometry_);
    INSTAR_CHECK(write_front(
        out_, header_, geometry_, layout_, [](uint64_t) { return uint64_t{1}; },
        [&](uint64_t index) { return survey.has_table(index); }));

    TableWriter tables(geometry_, layout_.data_at(), out_);
    INSTAR_CHECK(walk(tables, source_.survey(call_, tables.receiver())));
    INSTAR_CHECK(tables.finish());
    INSTAR_CHECK(check_same(survey, tables));
    DataWriter data(geometry_, out_);
    INSTAR_CHECK(walk(data, source_.read(call_, data.receiver())));
    INSTAR_CHECK(data.finish(header_.size));
    return check_same(survey, data);
  }

 private:
  /** The walk's own error says more than the errno that went through the source. */
  static Status walk(const ClusterWalk& walk, Status done) {
    INSTAR_CHECK(Status(walk.status()));
    return done;
  }

  /** The tables have been sent: nothing can be mended. */
  static Status check_same(const ClusterWalk& before, const ClusterWalk& now) {
    if (before.stored() == now.stored() && before.fingerprint() == now.fingerprint()) return {};
    return fail(EIO, "The source was written to meanwhile: the image is not usable");
  }

  const Call& call_;
  Header header_;
  const Geometry geometry_;
  const sdk::StreamSource& source_;
  Output out_;
  Layout layout_;
};

}  // namespace

Status Image::stream(sdk::Host host, const Call& call, const sdk::Options& options,
                     const sdk::StreamSource& source, const instar_content& out) {
  INSTAR_TRY(const CreateOptions created, read_create_options(options));
  INSTAR_CHECK(check_streamable(created));
  if (options.flag("compress")) return stream_packed(host, call, created.header, source, out);
  return Streamer(call, created, source, out).run();
}

}  // namespace instar::qcow2
