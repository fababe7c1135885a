// SPDX-License-Identifier: Apache-2.0
/** @file upload.hpp Files of protocols that only store them whole (instar_protocol_ops::upload). */
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/block/graph_private.hpp"

namespace instar::block {

/** Whether that is so. */
bool uploads(const Driver& protocol);

/** What is to be stored. */
struct Upload {
  std::string file;  ///< as the protocol takes it
  std::vector<instar_option> options;
  uint64_t size = 0;  ///< bytes, about
  /** Hands over all of it. */
  std::function<Status(const Call& call, const instar_content& each)> write;
};
Status upload(const Call& call, const Driver& protocol, const Upload& what);

/** An image that is made in a folder of its own, which goes with this, to be stored when it is whole. */
class StagedUpload {
 public:
  static Result<std::unique_ptr<StagedUpload>> make();
  ~StagedUpload();
  StagedUpload(const StagedUpload&) = delete;
  StagedUpload& operator=(const StagedUpload&) = delete;

  /** Of the image's file. */
  std::string filename() const { return cat(folder_, "/image"); }
  /** What the image is made with: the protocol's options are among them. */
  void keep(const options::BoundOptions& options) { options_ = options; }
  /** @param file what it becomes */
  Status store(const Call& call, const Driver& protocol, const std::string& file) const;

 private:
  explicit StagedUpload(std::string folder) : folder_(std::move(folder)) {}

  const std::string folder_;
  std::optional<options::BoundOptions> options_;
};

}  // namespace instar::block
