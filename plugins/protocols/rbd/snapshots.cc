// SPDX-License-Identifier: Apache-2.0
// The image's own snapshots; a snapshot's name is its id, too.
#include "plugins/protocols/rbd/rbd_node.hpp"

namespace instar::rbd {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

/** librbd's list of snapshots. */
class SnapshotList {
 public:
  SnapshotList() = default;
  ~SnapshotList() {
    if (filled_) rbd_snap_list_end(all_.data());
  }
  SnapshotList(const SnapshotList&) = delete;
  SnapshotList& operator=(const SnapshotList&) = delete;

  /** The number of snapshots, or a negative errno. */
  int fill(rbd_image_t image) {
    int count = -ERANGE;
    for (int room = 16; count == -ERANGE;) {
      all_.resize(static_cast<size_t>(room));
      count = rbd_snap_list(image, all_.data(), &room);  // tells the room that it needs
    }
    filled_ = count >= 0;
    return count;
  }
  const rbd_snap_info_t& operator[](int i) const { return all_[static_cast<size_t>(i)]; }

 private:
  std::vector<rbd_snap_info_t> all_;
  bool filled_ = false;
};

}  // namespace

Result<std::string> RbdNode::snapshot_list() const {
  SnapshotList all;
  const int count = all.fill(requests_.image()->handle());
  if (count < 0) return failed(count, "error listing snapshots");
  sdk::JsonWriter json;
  json.begin_array();
  for (int i = 0; i < count; ++i) {
    json.begin_object().field("id", all[i].name).field("name", all[i].name);
    json.field("vm-state-size", all[i].size).field("icount", 0);
    for (const char* name : {"date-sec", "date-nsec", "vm-clock-sec", "vm-clock-nsec"})
      json.field(name, 0);
    json.end_object();
  }
  json.end_array();
  return json.text();
}

Status RbdNode::snapshot_create(const Call& call, std::string_view name, int64_t, int32_t) {
  if (name.empty()) return fail(EINVAL, "a snapshot needs a name");
  INSTAR_CHECK(set_real_size(call, size_));
  return requests_.run_blocking(call, "failed to create snap",
                                [name = std::string(name)](rbd_image_t image) {
                                  return rbd_snap_create(image, name.c_str());
                                });
}

Status RbdNode::snapshot_apply(const Call& call, std::string_view id) {
  INSTAR_CHECK(requests_.run_blocking(call, "failed to roll back",
                                      [name = std::string(id)](rbd_image_t image) {
                                        return rbd_snap_rollback(image, name.c_str());
                                      }));
  return look_at_size(call);
}

Status RbdNode::snapshot_remove(const Call& call, std::string_view, std::string_view name) {
  return requests_.run_blocking(call, "Failed to remove the snapshot",
                                [name = std::string(name)](rbd_image_t image) {
                                  return rbd_snap_remove(image, name.c_str());
                                });
}

Status RbdNode::snapshot_load(const Call& call, std::string_view id) {
  INSTAR_CHECK(requests_.run_blocking(
      call, "failed to load the snapshot",
      [name = std::string(id)](rbd_image_t image) { return rbd_snap_set(image, name.c_str()); }));
  return look_at_size(call);
}

/** After the content was exchanged. */
Status RbdNode::look_at_size(const Call& call) {
  INSTAR_TRY(real_size_,
             run_patiently(call, [image = requests_.image()] { return image->size(); }));
  size_ = real_size_;
  return {};
}

}  // namespace instar::rbd
