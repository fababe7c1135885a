// SPDX-License-Identifier: Apache-2.0
/** @file graph_private.hpp What the parts of the graph share. Pulls in Boost.JSON. */
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/block/graph.hpp"
#include "core/block/permissions.hpp"
#include "core/options/json_options.hpp"
#include "core/options/option_table.hpp"

namespace instar::block {

namespace json = boost::json;
using registry::Provider;

/** What one node is to be opened from. */
struct NodeRequest {
  std::optional<std::string> filename;  ///< plain or json:, as the user or an image says it
  json::object options;                 ///< flat; what the user said of this node and its children
  uint32_t flags = 0;                   ///< enum instar_open_flags
  Permissions permissions;              ///< what its user needs of it
  bool top = true;                      ///< no other node uses it: nobody else will apply them
  bool protocol = false;                ///< no format layer unless `options` name one
  bool implied = false;                 ///< a packing that nobody asked for: it has the file's name
  ReferenceChain chain;                 ///< the files above
};

/** A driver that was found, as one thing. */
struct Driver {
  const Provider* provider = nullptr;
  NodeKind kind() const;
  const std::string& name() const { return provider->name(); }
  bool is_protocol() const { return provider->kind() == INSTAR_KIND_PROTOCOL; }
  /** A filter that is opened by names of its own, where a protocol could be. */
  bool is_named_filter() const {
    return provider->kind() == INSTAR_KIND_FILTER && !provider->info().schemes.empty();
  }
  /** What a format may stand on. */
  bool takes_names() const { return is_protocol() || is_named_filter(); }
  bool supports_backing() const { return provider->info().has_flag("backing"); }
};

class StagedUpload;

struct Graph::Private {
  Private(registry::Registry& registry_, ReferencePolicy policy, Messages messages_);
  ~Private();

  registry::Registry& registry;
  ReferenceGate gate;
  Messages messages;
  std::map<std::string, std::weak_ptr<Node>> nodes;              ///< by node-name
  std::map<std::string, std::unique_ptr<StagedUpload>> uploads;  ///< by their files' names
  std::map<std::string, std::vector<std::string>> made;  ///< all files of new images, by the first
  unsigned next_node = 0;
  unsigned nesting = 0;  ///< nodes that are being opened, one below the other

  void warn(std::string_view text, std::string_view more = {}) const;
  /** The parent of calls to drivers: their warnings reach the user, whose wish to end reaches them.
   */
  instar_call users_call() const;
  void caution(std::string_view text, std::string_view more) const;

  Result<NodePtr> open_node(NodeRequest request);
  Result<NodePtr> open_image(const OpenSpec& spec);
  Status load_snapshot(Node& node, const std::string& text);
  Result<Driver> find_driver(std::string_view name);
  Result<Driver> find_protocol(const std::string& filename, bool allow_prefix = true);
  /** The format, or a packing's filter, by the file's first bytes, and its last ones.
   * @param packed the node unpacks a file of that name: going to the end may cost much. */
  Result<Driver> probe(Node& file, const std::string& filename, bool packed = false);
  Result<std::string> pick_node_name(const std::string& wanted);
  Result<NodePtr> find_node(const std::string& name) const;
};

/** The option table of a plugin as core/options has it. */
options::OptionTable table_of(const std::vector<loader::OptionSpec>& specs);

/** Names of a node that was just opened. `given`: its own options as the user said them, flat. */
NodeNames make_names(const Driver& driver, const json::object& given, const Node& node,
                     std::string_view plain_name, bool backing_overridden);

/** The plain name of the file that the node stands on, or "" if there is none. */
std::string plain_name_of(const Node& node);

/** A name that an image holds, as seen from the image: relative ones are joined with its folder. */
Result<std::string> resolve_reference(const Node& image_file, const std::string& reference);

}  // namespace instar::block
