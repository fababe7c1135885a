// SPDX-License-Identifier: Apache-2.0
/**
 * @file node.hpp
 * A node of the graph as the core sees it: a driver's table, and around it what the block contract
 * promises to whoever uses the node (sdk/abi/node.h): any offset, length and memory alignment,
 * emulation of what the driver leaves out, the driver's thread model, and zeroes beyond the end.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/trace.hpp"
#include "sdk/abi/info.h"
#include "sdk/abi/node.h"
#include "sdk/abi/open.h"
#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::block {

using sdk::Call;
using sdk::IoVec;

class Node;
using NodePtr = std::shared_ptr<Node>;

/** An edge of the graph. The index in Node::children() is the id that drivers use in
 * instar_extent::child. */
struct Child {
  std::string name;  ///< "file", "backing", "data-file", "extents.0"
  instar_child_role role;
  NodePtr node;
};

/** What a driver is, for printing and for decisions. */
enum class NodeKind { kFormat, kProtocol, kFilter };

/** What a writer's zeroes become. */
enum class DetectZeroes { kOff, kOn, kUnmap };

/** What the graph asks of a node beyond its driver. */
struct NodePolicy {
  DetectZeroes detect_zeroes = DetectZeroes::kOff;
  /** For an image whose format was guessed to be raw: whether its first 512 bytes may become these.
   * A refused write fails with EPERM. Empty: anything goes. */
  std::function<bool(const uint8_t* block)> admits_first_block = {};
  /** As instar_call::cancelled: ends the search for a size. Outlives the node. */
  const int32_t* cancelled = nullptr;
};

/** How a node was named; decides how it is printed back. */
struct NodeNames {
  std::string filename;        ///< as messages and info print it: a plain name or json:{…}
  std::string exact_filename;  ///< the plain name, or empty when options say more than a name can
  std::string node_name;       ///< given by the user or made up ("#block123")
  std::string options = {};    ///< JSON object that opens the same node again
};

class Node : public std::enable_shared_from_this<Node> {
 public:
  /** Takes over the driver's node; `close` gives it back. Made by Graph. */
  static Result<NodePtr> make(NodeKind kind, std::string driver, NodeNames names,
                              uint32_t open_flags, instar_node driver_node,
                              std::vector<Child> children);
  /** Closes if close() was not called; errors are logged. */
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  NodeKind kind() const { return kind_; }
  const std::string& driver() const { return driver_; }
  const std::string& filename() const { return names_.filename; }
  const NodeNames& names() const { return names_; }
  uint32_t open_flags() const { return open_flags_; }
  bool writable() const { return (open_flags_ & INSTAR_OPEN_WRITE) != 0; }

  const std::vector<Child>& children() const { return children_; }
  /** The child of that name, or nullptr. */
  Node* child(std::string_view name) const;
  /** The backing file, through filters too; nullptr: none. */
  Node* backing() const;
  /** Whether it, or anything below it, is INSTAR_NODE_REMOTE. */
  bool remote() const;
  /** Child 0: the format's file, or what a filter stands on; nullptr for a protocol. */
  Node* file() const;
  /** For a driver that opens a child after its own open (a changed backing file). Returns the id.
   */
  uint32_t add_child(Child child);
  /** Set once, before the first request. */
  void set_policy(NodePolicy policy);
  /** Keeps something alive until the driver is closed (its opener). */
  void keep(std::shared_ptr<void> companion);
  /** Renames what messages and info print. */
  void set_names(NodeNames names) { names_ = std::move(names); }

  /** Bytes, rounded up to QEMU's sectors of 512; what the driver does not have reads as zeroes.
   * [any] */
  Result<uint64_t> size() const;
  /** The limits that users see: request_alignment 1. [any] */
  const instar_node_limits& limits() const { return limits_; }
  /** The driver's own. */
  const instar_node_limits& driver_limits() const { return driver_limits_; }

  /** I/O at any alignment, inside the size (writes to a growable protocol may go beyond). [any] */
  Status read(const Call& call, uint64_t offset, IoVec to);
  Status read(const Call& call, uint64_t offset, void* to, size_t len);
  Status write(const Call& call, uint64_t offset, IoVec from, uint32_t flags = 0);
  Status write(const Call& call, uint64_t offset, const void* from, size_t len, uint32_t flags = 0);
  /** Native, or by writing zeroes unless flags say NO_FALLBACK. */
  Status write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags = 0);
  /** A wish: nothing where the driver cannot. */
  Status discard(const Call& call, uint64_t offset, uint64_t length);
  /** Flushes the node and its children. */
  Status flush(const Call& call);
  /**
   * This node's own status (no backing files): up to `max` extents, checked against the contract;
   * never none for length > 0. Beyond the end: ZERO. A driver without extents is all data, at the
   * same offset of child 0 if it is a filter.
   */
  Result<size_t> extents(const Call& call, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max);

  /** Bytes on the storage: what the driver says, else the sum of its children but the backing file;
   * negative: unknown. [any] */
  int64_t allocated_size(const Call& call) const;
  /** The plain name that the driver itself says it has, "" if only options can say it; none: the
   * driver leaves it to the host. */
  std::optional<std::string> told_filename() const;

  /** What a node stands on that has just one child and adds no data of its own; nullptr for others. */
  const Node* filtered() const;
  /** The driver's optional interface, or nullptr; call its functions with *self. Snapshots and a
   * change of the backing file are those of the node below a filter. */
  template <class Ops>
  const Ops* interface(const char* id, void** self) const {
    return static_cast<const Ops*>(find_interface(id, self));
  }
  /** As plugins see the node. Valid as long as the Node. */
  const instar_node* abi() const { return &abi_; }
  /** The Node behind a table that abi() made; nullptr for a foreign one. */
  static Node* from_abi(const instar_node* node);

  /** Closes the driver, then lets go of the children. */
  Status close(const Call& call);

 private:
  struct Private;
  friend struct NodeTrampolines;
  Node();
  void trace_request(base::Event event, uint64_t offset, uint64_t length, uint32_t flags) const;
  const void* find_interface(const char* id, void** self) const;
  Status read_limits();
  Result<uint64_t> driver_size() const;
  Status find_size() const;
  Result<uint64_t> size_covering(uint64_t end) const;
  bool fits(uint64_t offset, uint64_t length, const IoVec& pieces) const;
  Status admit_write(uint64_t offset, uint64_t length) const;
  Status admit_first_block(const Call& call, uint64_t offset, const IoVec& from);
  bool growable() const;
  Status read_driver(const Call& call, uint64_t offset, IoVec to);
  Status read_bounced(const Call& call, uint64_t offset, const IoVec& to, uint64_t length);
  void note(const char* event) const;
  Status write_driver(const Call& call, uint64_t offset, IoVec from);
  Status write_driver_parts(const Call& call, uint64_t offset, const IoVec& from);
  Status write_bounced(const Call& call, uint64_t offset, const IoVec& from, uint64_t length);
  Status fill_edges(const Call& call, uint64_t begin, uint64_t end, uint64_t wanted_begin,
                    uint64_t wanted_end, uint8_t* buffer);
  Status write_through(const Call& call, uint64_t offset, const IoVec& from, uint64_t length);
  Status zero_driver(const Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  Status zero_plainly(const Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  Result<size_t> driver_extents(const Call& call, uint64_t offset, uint64_t length,
                                instar_extent* out, size_t max);
  instar_extent beyond_end(uint64_t offset, uint64_t length) const;
  Status check_extents(const instar_extent* out, size_t count, uint64_t length) const;
  instar_info_ops driver_info(void** self) const;
  int describe(instar_call* call, const instar_sink* json) const;
  Status resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                const instar_progress* progress);

  NodeKind kind_{};
  std::string driver_;
  NodeNames names_;
  uint32_t open_flags_ = 0;
  std::vector<Child> children_;
  instar_node_limits limits_{};
  instar_node_limits driver_limits_{};
  instar_node driver_node_{};
  instar_node abi_{};
  std::unique_ptr<Private> private_;
};

}  // namespace instar::block
