// SPDX-License-Identifier: Apache-2.0
/** @file headers.hpp The two headers of a file (2.2.2): the one with the larger sequence number
 * counts, and the other one is written. */
#pragma once

#include "plugins/formats/vhdx/format.hpp"
#include "sdk/cpp/host_file.hpp"

namespace instar::vhdx {

/** Not thread-safe. */
class Headers {
 public:
  /** Fails when neither can be used. */
  static sdk::Result<Headers> read(const sdk::Call& call, const sdk::HostFile& file);

  const Header& current() const { return header_; }
  /** A log of this file is empty, or has entries with this GUID. */
  void set_log_guid(const Guid& guid) { header_.log_guid = guid; }
  /** Something in the file changes; to be said before it does. */
  void renew_file_guid() { header_.file_write_guid = sdk::random_uuid(); }
  /** What the disk reads as changes. */
  void renew_data_guid() { header_.data_write_guid = next_data_guid_; }
  /** What that is going to be, or has become. */
  const Guid& next_data_guid() const { return next_data_guid_; }
  /** Writes both, one after the other, each with a barrier behind it. */
  sdk::Status write(const sdk::Call& call, sdk::HostFile& file);

 private:
  Header header_;
  Guid next_data_guid_ = sdk::random_uuid();
  size_t index_ = 0;  ///< of the current one
};

}  // namespace instar::vhdx
