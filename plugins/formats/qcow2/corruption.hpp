// SPDX-License-Identifier: Apache-2.0
/** @file corruption.hpp What happens when metadata turn out to be broken while an image is used: a
 * message, and, where going on would do harm, the corrupt bit and no further work. The owner makes
 * sure that one call is under way at a time. Specification: "Header", incompatible feature bit 1. */
#pragma once

#include <atomic>
#include <string_view>

#include "plugins/formats/qcow2/header.hpp"
#include "sdk/cpp/host.hpp"

namespace instar::qcow2 {

class Corruption {
 public:
  Corruption(HostFile& file, Header& header, bool writable)
      : file_(file), header_(header), writable_(writable) {}

  /** Tells the user, the first time. `fatal`: the image is marked as corrupt, if it is writable, and
   * must not be used any more. Gives the error of the request that met it. */
  Error report(const Call& call, bool fatal, std::string_view message);
  /** The image must not be used any more. */
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  HostFile& file_;
  Header& header_;
  const bool writable_;
  bool told_ = false;
  std::atomic<bool> stopped_{false};
};

/** Tells `corruption`, if there is one, of something that a request can't go past. */
Error broken_metadata(Corruption* corruption, const Call& call, std::string_view message);

/** Writes the header's incompatible feature bits, which version 3 has. */
Status write_incompatible_features(const Call& call, HostFile& file, const Header& header);

/** Tells the user of `error` as the command does of its own; false: nobody listens. */
bool say_as_program(sdk::Host host, const Error& error, std::string_view before = {});

/** A line to the user's standard error, as it stands. */
void tell(std::string_view line);

}  // namespace instar::qcow2
