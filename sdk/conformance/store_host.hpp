// SPDX-License-Identifier: Apache-2.0
/** @file store_host.hpp The host's side of open and create: gives a driver the disks of a store as
 * its children. */
#pragma once

#include <vector>

#include "sdk/conformance/bench.hpp"

namespace instar::conformance {

/** Lives until the driver is closed. [main] */
class StoreHost {
 public:
  /** @param flags of the parent, enum instar_open_flags */
  StoreHost(Store& store, uint32_t flags);
  StoreHost(const Store& store, uint32_t flags) : StoreHost(const_cast<Store&>(store), flags) {}
  StoreHost(const StoreHost&) = delete;
  StoreHost& operator=(const StoreHost&) = delete;

  const instar_opener* opener() const { return &opener_; }
  const instar_creator* creator() const { return &creator_; }
  const std::vector<block::Child>& children() const { return children_; }

 private:
  bool stands_on(const instar_child_request& request) const;
  Result<instar_node*> child(const instar_child_request& request, uint32_t& id);
  Result<instar_node*> create_file(const char* name, uint64_t size);
  Result<instar_node*> open_file(const char* name);
  Result<instar_node*> add(std::string name, instar_child_role role, std::shared_ptr<Disk> disk,
                           uint32_t flags);

  Store& store_;
  uint32_t flags_;
  std::vector<block::Child> children_;
  instar_opener opener_;
  instar_creator creator_;
};

}  // namespace instar::conformance
