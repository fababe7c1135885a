// SPDX-License-Identifier: Apache-2.0
/** @file beside.hpp Files that an open image makes, fills and removes beside its own. They are the graph
 * service's: main thread. */
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plugins/formats/vmdk/create.hpp"
#include "sdk/abi/graph.h"
#include "sdk/cpp/host.hpp"

namespace instar::vmdk {

/** Names are those of files in the image's folder. Lives no longer than what it is made of. */
class FilesBeside {
 public:
  /** @param image the image's file, as its node has it */
  FilesBeside(const sdk::Host& host, const sdk::Call& call, const std::string& image);

  /** An empty file; its name is on stable storage. EEXIST: there is one. ENOTSUP: not there. */
  sdk::Status make(const std::string& name) const;
  /** Hands a file over, and flushes it. */
  sdk::Status fill(const std::string& name,
                   const std::function<sdk::Status(sdk::HostFile&)>& with) const;
  /** A file of a name that leads elsewhere stays; others may use it. Warns where it can't be done. */
  void remove(const std::string& name) const;
  /** An empty file that may replace the image's, by its full name. ENOTSUP: not there. */
  sdk::Result<std::string> stage() const;
  /** It does, in one step, which is on stable storage. */
  sdk::Status settle(const std::string& staged) const;
  void remove_staged(const std::string& staged) const;

 private:
  sdk::Result<std::string> stage(const std::string& file, uint32_t flags) const;
  sdk::Status settle(const std::string& staged, const std::string& file, uint32_t flags) const;

  const sdk::Host& host_;
  const sdk::Call& call_;
  const instar_graph_ops* const graph_;
  const std::string& image_;
  const std::string folder_;  ///< "" or with a '/' at its end
};

/** Extents that an image is going to have. Their files are removed again, unless they are kept. */
class NewExtents {
 public:
  NewExtents(const FilesBeside& files, const Plan& plan, const std::string& image)
      : files_(files), plan_(plan), image_(image) {}
  ~NewExtents();
  NewExtents(const NewExtents&) = delete;
  NewExtents& operator=(const NewExtents&) = delete;

  /** @param number from which on one is looked for that no file has. @param size bytes of the disk */
  sdk::Status make(const sdk::Call& call, uint64_t number, uint64_t size);
  /** What the descriptor says of them. */
  const std::string& lines() const { return lines_; }
  void keep() { names_.clear(); }

 private:
  const FilesBeside& files_;
  const Plan& plan_;
  const std::string& image_;
  std::vector<std::string> names_;
  std::string lines_;
};

}  // namespace instar::vmdk
