// SPDX-License-Identifier: Apache-2.0
// A packed image as a sequence of bytes. Its tables come first, and tell how long each cluster became: all of them are
// packed once to learn that, and once more to be written.
#include "plugins/formats/qcow2/stream.hpp"
#include "sdk/cpp/packing_line.hpp"

namespace instar::qcow2 {
namespace {

/** What became of a cluster of the guest, in 64 bits. */
class Packed {
 public:
  /** @param length of a whole cluster: it is stored as it is */
  Packed(uint64_t cluster, uint64_t length) : value_(cluster << kLengthBits | length) {}
  uint64_t cluster() const { return value_ >> kLengthBits; }
  uint64_t length() const { return value_ & ((1u << kLengthBits) - 1); }
  bool operator==(const Packed& other) const = default;

 private:
  static constexpr uint32_t kLengthBits = 22;
  static_assert(kMaxClusterBits < kLengthBits);
  uint64_t value_;
};

/** Where those clusters lie, one behind another: several in a cluster of the file, if it may be used so often. */
class Places {
 public:
  Places(const Geometry& geometry, uint64_t begin) : geometry_(&geometry), end_(begin) {}

  /** Of the last one. */
  uint64_t begin() const { return begin_; }
  uint64_t end() const { return end_; }
  void add(uint64_t length) {
    const bool whole = length == geometry_->cluster_size;
    const bool inside = geometry_->in_cluster(end_) != 0;
    if (inside && (whole || count_ == geometry_->refcount_max()))
      end_ = geometry_->cluster_end(end_);
    begin_ = end_;
    end_ += length;
    const bool another = geometry_->in_cluster(begin_) == 0 ||
                         geometry_->cluster_of(begin_) != geometry_->cluster_of(end_ - 1);
    count_ = another ? 1 : count_ + 1;
  }

 private:
  const Geometry* geometry_;
  uint64_t begin_ = 0;
  uint64_t end_;
  uint64_t count_ = 0;  ///< of uses of the cluster that the last byte is in
};

class PackedStreamer {
 public:
  PackedStreamer(const Call& call, const Header& header, sdk::CodecPool& codec,
                 const sdk::StreamSource& source, const instar_content& out)
      : call_(call),
        header_(header),
        geometry_(header_),
        codec_(codec),
        source_(source),
        out_(out) {}

  Status run() {
    INSTAR_TRY(header_.l1_entries, count_l1_entries(header_, geometry_));
    INSTAR_CHECK(check_memory());
    INSTAR_CHECK(pack([this](const Packed& packed, ConstBytes) -> Status {
      if (clusters_.size() == kMostClusters) return too_much();
      clusters_.push_back(packed);
      return {};
    }));
    INSTAR_CHECK(lay_out());
    INSTAR_CHECK(write_tables());
    INSTAR_CHECK(write_clusters());
    return out_.pad_to(layout_.end() << geometry_.cluster_bits);
  }

 private:
  static constexpr uint64_t kMostClusters = (64u << 20) / sizeof(Packed);

  static Error too_much() {
    return fail(ENOTSUP, "A packed qcow2 stream can't have that much data");
  }
  uint64_t data_begin() const { return layout_.data_at() << geometry_.cluster_bits; }
  uint64_t table_of(const Packed& packed) const { return packed.cluster() >> geometry_.l2_bits; }

  /** Finds out early, most of the time. */
  Status check_memory() {
    uint64_t data = 0;
    instar_content count{&data,
                         [](void* opaque, const void*, size_t length) {
                           *static_cast<uint64_t*>(opaque) += length;
                           return 0;
                         },
                         [](void*, uint64_t) { return 0; }};
    INSTAR_CHECK(source_.survey(call_, count));
    return data / geometry_.cluster_size <= kMostClusters ? Status() : too_much();
  }

  /** Calls each(packed, its bytes) for all clusters that are not zero. */
  template <class Each>
  Status pack(Each each) {
    const size_t size = geometry_.cluster_size;
    sdk::ContentPacker packer(
        size, geometry_.cluster_end(header_.size), size - 1,
        [this](ConstBytes cluster, Bytes to) { return codec_.compress(cluster, to); },
        [&](uint64_t number, ConstBytes cluster, ConstBytes packed) {
          const ConstBytes bytes = packed.empty() ? cluster : packed;
          return each(Packed(number, bytes.size()), bytes);
        });
    return packer.finish(source_.read(call_, packer.receiver()));
  }

  Status lay_out() {
    Places places(geometry_, 0);
    uint64_t last = UINT64_MAX;
    for (const Packed& packed : clusters_) {
      places.add(packed.length());
      if (table_of(packed) != last) ++layout_.l2;
      last = table_of(packed);
    }
    layout_.l1 = geometry_.clusters(header_.l1_entries * uint64_t{8});
    layout_.data = geometry_.clusters(places.end());
    INSTAR_CHECK(layout_.fit_refcounts(geometry_));
    layout_.place(header_, geometry_);
    return {};
  }

  Status write_tables() {
    Places places(geometry_, data_begin());
    size_t next = 0;
    uint64_t reaches_in = 0;  // from the cluster before
    const auto count_of = [&](uint64_t cluster) {
      if (cluster < layout_.data_at()) return uint64_t{1};
      uint64_t count = std::exchange(reaches_in, 0);
      while (next < clusters_.size() && reaches_in == 0) {
        Places after = places;
        after.add(clusters_[next].length());
        if (geometry_.cluster_of(after.begin()) != cluster) break;
        reaches_in = geometry_.cluster_of(after.end() - 1) - cluster;
        places = after;
        ++count;
        ++next;
      }
      return count;
    };
    size_t at = 0;
    const auto has_table = [&](uint64_t index) {
      while (at < clusters_.size() && table_of(clusters_[at]) < index)
        ++at;
      return at < clusters_.size() && table_of(clusters_[at]) == index;
    };
    INSTAR_CHECK(write_front(out_, header_, geometry_, layout_, count_of, has_table));
    return write_l2();
  }

  Status write_l2() {
    constexpr uint64_t kAllSubclusters = UINT32_MAX;
    Places places(geometry_, data_begin());
    std::vector<uint8_t> table(geometry_.cluster_size);
    for (size_t i = 0; i < clusters_.size(); ++i) {
      const Packed& packed = clusters_[i];
      places.add(packed.length());
      uint8_t* entry =
          table.data() + (packed.cluster() & (geometry_.l2_entries() - 1)) * geometry_.entry_size;
      if (packed.length() < geometry_.cluster_size) {
        store_be(entry, geometry_.packed_entry(places.begin(), packed.length()));
      } else {
        store_be(entry, places.begin() | kEntryCopied);
        if (geometry_.extended) store_be(entry + 8, kAllSubclusters);
      }
      if (i + 1 < clusters_.size() && table_of(clusters_[i + 1]) == table_of(packed)) continue;
      INSTAR_CHECK(out_.put(table.data(), table.size()));
      std::fill(table.begin(), table.end(), uint8_t{0});
    }
    return {};
  }

  Status write_clusters() {
    Places places(geometry_, data_begin());
    const auto changed = [] {
      return fail(EIO, "The source was written to meanwhile: the image is not usable");
    };
    size_t next = 0;
    INSTAR_CHECK(pack([&](const Packed& packed, ConstBytes bytes) -> Status {
      if (next == clusters_.size() || packed != clusters_[next]) return changed();
      ++next;
      places.add(packed.length());
      INSTAR_CHECK(out_.pad_to(places.begin()));
      return out_.put(bytes.data(), bytes.size());
    }));
    return next == clusters_.size() ? Status() : changed();
  }

  const Call& call_;
  Header header_;
  const Geometry geometry_;
  sdk::CodecPool& codec_;
  const sdk::StreamSource& source_;
  Output out_;
  Layout layout_;
  std::vector<Packed> clusters_;
};

}  // namespace

Status stream_packed(const sdk::Host& host, const Call& call, const Header& header,
                     const sdk::StreamSource& source, const instar_content& out) {
  INSTAR_TRY(const auto codec, open_codec(host, header, 0));
  return PackedStreamer(call, header, *codec, source, out).run();
}

}  // namespace instar::qcow2
