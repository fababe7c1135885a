// SPDX-License-Identifier: Apache-2.0
#include "sdk/conformance/store_host.hpp"

namespace instar::conformance {
namespace {

/** Answers a driver: the node, or the error through its call. */
int answer(instar_call* abi, Result<instar_node*> node, instar_node** out) {
  if (!node) return Call(abi).report(node.error());
  *out = *node;
  return 0;
}

}  // namespace

StoreHost::StoreHost(Store& store, uint32_t flags) : store_(store), flags_(flags) {
  opener_ = {sizeof opener_, 0, this,
             [](const instar_opener* opener, instar_call* call, const instar_child_request* request,
                instar_node** out, uint32_t* id) noexcept {
               return answer(call, static_cast<StoreHost*>(opener->opaque)->child(*request, *id),
                             out);
             }};
  creator_ = {sizeof creator_, 0, this,
              [](const instar_creator* creator, instar_call* call, const char* name, uint64_t size,
                 instar_node** out) noexcept {
                auto& self = *static_cast<StoreHost*>(creator->opaque);
                return answer(call, self.create_file(name, size), out);
              },
              [](const instar_creator* creator, instar_call* call, const char* name,
                 instar_node** out) noexcept {
                return answer(call, static_cast<StoreHost*>(creator->opaque)->open_file(name), out);
              }};
}

Result<instar_node*> StoreHost::add(std::string name, instar_child_role role,
                                    std::shared_ptr<Disk> disk, uint32_t flags) {
  instar_node driver{};
  sdk::NodeTable<DiskNode>::publish(std::make_unique<DiskNode>(std::move(disk)), &driver);
  block::NodeNames names;
  names.filename = names.exact_filename = name;
  INSTAR_TRY(auto node, block::Node::make(block::NodeKind::kProtocol, "memory", std::move(names),
                                          flags, driver, {}));
  auto* abi = const_cast<instar_node*>(node->abi());
  children_.push_back({std::move(name), role, std::move(node)});
  return abi;
}

/** The image's own file: that of a format, what a filter passes through, or the one copy of several
 * that there is. */
bool StoreHost::stands_on(const instar_child_request& request) const {
  if (request.role == INSTAR_CHILD_FILE || request.role == INSTAR_CHILD_FILTERED) return true;
  const bool first = (request.flags & INSTAR_CHILD_OPTIONAL) == 0 || children_.empty();
  return std::string_view(request.name) == "file" ||
         ((request.flags & INSTAR_CHILD_PROBED) != 0 && first);
}

Result<instar_node*> StoreHost::child(const instar_child_request& request, uint32_t& id) {
  const std::string name = request.name;
  const std::string file = stands_on(request)             ? ""
                           : request.reference != nullptr ? request.reference
                                                          : name;
  // What a filter has besides what it stands on, a log, is empty at first.
  const bool own = request.reference == nullptr && (request.flags & INSTAR_CHILD_OPTIONAL) == 0;
  if (own && !store_.disks.contains(file)) store_.disks[file] = std::make_shared<Disk>();
  const auto found = store_.disks.find(file);
  if (found == store_.disks.end()) {
    const bool wanted =
        (request.flags & INSTAR_CHILD_OPTIONAL) == 0 || request.reference != nullptr;
    if (wanted) return sdk::fail(ENOENT, "Could not open '", file, "': ", sdk::errno_text(ENOENT));
    return static_cast<instar_node*>(nullptr);
  }
  const bool read_only =
      request.role == INSTAR_CHILD_BACKING || (request.flags & INSTAR_CHILD_READ_ONLY) != 0;
  id = static_cast<uint32_t>(children_.size());
  return add(name, static_cast<instar_child_role>(request.role), found->second,
             read_only ? flags_ & ~static_cast<uint32_t>(INSTAR_OPEN_WRITE) : flags_);
}

Result<instar_node*> StoreHost::create_file(const char* name, uint64_t size) {
  auto disk = std::make_shared<Disk>();
  INSTAR_CHECK(disk->resize(size));
  store_.disks[name != nullptr ? name : ""] = disk;
  return add(name != nullptr ? name : store_.name, INSTAR_CHILD_FILE, disk, INSTAR_OPEN_WRITE);
}

Result<instar_node*> StoreHost::open_file(const char* name) {
  const auto found = store_.disks.find(name != nullptr ? name : "");
  if (found == store_.disks.end())
    return sdk::fail(ENOENT, "Could not open '", name, "': ", sdk::errno_text(ENOENT));
  return add(found->first, INSTAR_CHILD_FILE, found->second, INSTAR_OPEN_WRITE);
}

}  // namespace instar::conformance
