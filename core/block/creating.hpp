// SPDX-License-Identifier: Apache-2.0
/** @file creating.hpp One image on its way: what its format's create makes through
 * instar_creator. */
#pragma once

#include <string>
#include <vector>

#include "core/block/graph_private.hpp"

namespace instar::block {

/** The file that a protocol's create and remove mean: without the scheme where the protocol does
 * not read names itself. */
std::string file_of(const Graph::Private& graph, const Driver& protocol,
                    const std::string& filename);

/** Removes files through their protocols, where these can. The first error of all. */
Status remove_files(Graph::Private& graph, const Call& call,
                    const std::vector<std::string>& filenames);

/** Those of a joined table that the driver itself declares. */
std::vector<instar_option> options_of(const Driver& driver, const options::BoundOptions& bound);

class Creating {
 public:
  /** All outlive this. @param bound the options of the format and the protocol together. */
  Creating(Graph::Private& graph, const Driver& format, const CreateSpec& spec,
           const options::BoundOptions& bound);

  /** Removes what it made if the format fails, and else tells the graph of it. A dry run ends where
   * the first file is asked for. */
  Status run();

 private:
  static int create_file_of(const instar_creator* creator, instar_call* call, const char* name,
                            uint64_t size, instar_node** out) noexcept;
  static int open_file_of(const instar_creator* creator, instar_call* call, const char* name,
                          instar_node** out) noexcept;
  Status run_protocol(const Driver& protocol, const std::string& filename,
                      const std::vector<instar_option>& options);
  Status run_format();
  static Status flush(Node& node, const Call& call);
  Status create_file(const char* name, uint64_t size, instar_node** out);
  Status open_file(const std::string& filename, instar_node** out);
  Status expect_none(const std::string& filename);
  std::string full_name(const char* name) const;

  Graph::Private& graph_;
  const Driver& format_;
  const CreateSpec& spec_;
  const std::string& filename_;  ///< the image's own file as it is called now
  const options::BoundOptions& bound_;
  instar_creator creator_{};
  std::vector<NodePtr> open_;
  std::vector<std::string> made_;
  bool rehearsed_ = false;  ///< the dry run came to its end
};

}  // namespace instar::block
