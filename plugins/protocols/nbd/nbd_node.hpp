// SPDX-License-Identifier: Apache-2.0
/** @file nbd_node.hpp An export of an NBD server as a node. */
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "plugins/protocols/nbd/client.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::nbd {

/** Thread-safe. Each call is one request of the protocol, on whichever connection has the fewest. */
class NbdNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<NbdNode>> open(sdk::OpenContext& context);
  /** The export is there already: it has to be large enough, and loses what looks like a format. */
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<std::string> parse_filename(std::string_view filename);

  NbdNode(Target target, Patience patience, bool tls_name)
      : client_(std::move(target), patience), tls_name_(tls_name) {}
  sdk::Status connect(const sdk::Call& call, bool writable);
  /** Whatever the cache mode: the server may keep in its memory what was written, and end. */
  sdk::Status close(const sdk::Call& call);

  uint64_t size() const { return client_.about().size; }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status flush(const sdk::Call& call);
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  void info(sdk::JsonWriter& json) const { json.begin_object().end_object(); }
  std::string filename() const;

 private:
  sdk::Status write_piece(const sdk::Call& call, uint64_t offset, const void* data, size_t length,
                          uint32_t flags);
  uint32_t durable(uint32_t flags) const;
  sdk::Status flush_unless(const sdk::Call& call, uint32_t wanted, uint32_t carried);
  /** Takes note of what a request that changes the export came to. */
  sdk::Status changed(sdk::Status status);

  Client client_;
  const bool tls_name_;  ///< the name's scheme says that it is TLS
  std::atomic<bool> unflushed_ = false;
  std::atomic<bool> failed_ = false;  ///< a change did: no flush makes the content whole
};

}  // namespace instar::nbd
