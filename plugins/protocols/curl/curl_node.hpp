// SPDX-License-Identifier: Apache-2.0
/** @file curl_node.hpp A file behind a URL as a node that is read. */
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "plugins/protocols/curl/read_ahead.hpp"
#include "plugins/protocols/curl/remote.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::curl {

/** Thread-safe: every reader has a connection of its own. */
class CurlNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  explicit CurlNode(Settings settings) : remote_(std::move(settings)) {}
  sdk::Status connect(const sdk::Call& call);

  uint64_t size() const { return remote_.size(); }
  void limits(instar_node_limits& limits) const { limits.flags |= INSTAR_NODE_REMOTE; }
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  void info(sdk::JsonWriter& json) const { json.begin_object().end_object(); }
  std::string filename() const { return remote_.settings().name; }
  static sdk::Result<std::string> parse_filename(std::string_view filename);

 private:
  sdk::Status read_bytes(const sdk::Call& call, uint64_t offset, sdk::Bytes to);

  Remote remote_;
  std::optional<ReadAhead> ahead_;
};

/** Whose URLs a driver takes. */
enum class Scheme { kHttp, kHttps, kFtp, kFtps };

/** The driver under one of its names. */
template <Scheme scheme>
struct Driver : CurlNode {
  using CurlNode::CurlNode;
  static sdk::Result<std::unique_ptr<Driver>> open(sdk::OpenContext& context);
};

}  // namespace instar::curl
