// SPDX-License-Identifier: Apache-2.0
/** @file opening.hpp One node on its way: its options, its driver, the children it asked for. */
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/block/graph_private.hpp"

namespace instar::block {

/** Lives from the request until the node's driver is closed, as the driver keeps the opener. */
class Opening : public std::enable_shared_from_this<Opening> {
 public:
  Opening(Graph::Private& graph, NodeRequest request);

  Result<NodePtr> run();

  /** What a driver asks for through instar_opener. */
  Result<uint32_t> open_child(const instar_child_request& request, instar_node** out);

 private:
  Status read_name();
  Status name_protocol();
  Status parse_filename(const std::string& filename);
  using FilenameParser = int (*)(const instar_host*, instar_call*, const char*, const instar_sink*);
  Status read_parsed(FilenameParser parse, const instar_host* host, const std::string& filename);
  Status take_common_options();
  Status take_cache_options();
  Status take_writing_options();
  Result<bool> take_bool(const char* name, bool fallback);
  std::string take_text(const char* name);
  Status take_backing_override();
  Status open_file();
  instar_child_role file_role() const;
  Permissions permissions_of(const instar_child_request& request) const;
  Status settle_role(Child& child, const instar_child_request& request);
  Status choose_format();
  Status unpack_for_format();
  Status unpack_file();
  Status check_driver();
  Result<instar_node> open_driver();
  std::vector<std::pair<std::string, std::string>> take_prefixed();
  Result<NodePtr> wrap(instar_node driver_node);
  Status check_alignment(const Node& node) const;
  Status check_leftovers() const;
  void guard_guessed_raw(Node& node, NodePolicy& policy);
  std::string find_own_filename() const;
  std::optional<std::string> take_reference(const std::string& name);
  Result<NodePtr> request_child(const instar_child_request& request);
  Result<NodePtr> open_backing(const instar_child_request& request, json::object options);
  Result<NodePtr> open_data(const instar_child_request& request, json::object options);
  uint32_t child_flags(instar_child_role role, bool read_only) const;
  Node* opened_file() const;

  Graph::Private& graph_;
  NodeRequest request_;
  json::object& options_;     ///< of request_; what was understood is taken out
  json::object given_;        ///< this node's own, as said, for its name
  std::string own_filename_;  ///< by which messages call the node
  Driver driver_;
  std::vector<std::pair<std::string, std::string>> prefixed_;  ///< options of no fixed name
  bool guessed_ = false;
  bool backing_overridden_ = false;
  bool must_not_write_ = false;  ///< the user wants a node read-only that is to be written
  std::string node_name_;
  NodePolicy policy_;
  std::vector<Child> children_;
  Node* node_ = nullptr;  ///< once it is made
  instar_opener opener_{};
};

}  // namespace instar::block
