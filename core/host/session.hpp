// SPDX-License-Identifier: Apache-2.0
/** @file session.hpp What one run of the tool has: its name, its registry, its graph. */
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/block/graph.hpp"
#include "core/output/map_printer.hpp"
#include "core/output/progress.hpp"
#include "core/output/sink.hpp"
#include "core/registry/registry.hpp"

namespace instar::host {

/** How the program was called. */
struct Invocation {
  std::string program;    ///< argv[0] as typed
  std::string base_name;  ///< its last component without what follows a dot: the prefix of messages
  bool strict = false;    ///< called as qemu-img
};

Invocation parse_invocation(const char* argv0);

struct SessionOptions {
  std::vector<std::string> plugin_files;                             ///< --plugin
  block::ReferencePolicy references = block::ReferencePolicy::kAll;  ///< --references
};

/** One per process; [main] but for registry(). */
class Session {
 public:
  Session(Invocation invocation, const SessionOptions& options);
  ~Session();

  /** The one that lives. Services, which are plain functions, find their state through it. */
  static Session& current();

  const Invocation& invocation() const { return invocation_; }
  registry::Registry& registry() { return registry_; }
  block::Graph& graph() { return graph_; }
  /** Everything for stdout goes through it, in order. */
  output::Sink& standard_output() { return standard_output_; }
  /** The table that map is printing, between map_begin and map_end. */
  std::optional<output::MapPrinter>& map_printer() { return map_printer_; }

  /** enum instar_output_mode bits. */
  void set_mode(uint32_t mode) { mode_ |= mode; }
  bool has_mode(uint32_t bit) const { return (mode_ & bit) != 0; }

  /** Text for stdout. */
  void print(std::string_view text);
  /** What shows progress and has to make room for messages; null: nothing. It is shown until the
   * next call. */
  void show_progress(output::Progress* progress) { progress_ = progress; }

  /** To stderr; what stdout has so far goes out first, so that a log has them in order. */
  void print_error(std::string_view message, std::string_view hint);
  void print_warning(std::string_view message, std::string_view more_lines) const;
  /** A warning without the program's name. */
  void print_caution(std::string_view message, std::string_view more_lines) const;
  /** The same from any thread: what waits for standard output stays there. */
  void warn(std::string_view message, std::string_view more_lines = {}) const;

 private:
  void make_room() const;

  Invocation invocation_;
  uint32_t mode_ = 0;
  mutable output::FdSink standard_output_;
  std::atomic<output::Progress*> progress_ = nullptr;
  std::optional<output::MapPrinter> map_printer_;
  registry::Registry registry_;
  block::Graph graph_;
};

}  // namespace instar::host
