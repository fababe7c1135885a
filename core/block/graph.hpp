// SPDX-License-Identifier: Apache-2.0
/**
 * @file graph.hpp
 * Opens and creates images: from a name, a format and options to a graph of nodes. Drivers name
 * their children; the graph opens them, and every name that comes from inside an image passes the
 * reference gate.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "core/block/reference_gate.hpp"
#include "core/registry/registry.hpp"
#include "sdk/abi/measure.h"
#include "sdk/abi/stream.h"

namespace instar::block {

/** Cache mode of -t and -T. */
struct CacheMode {
  bool direct = false;
  bool no_flush = false;
  bool writethrough = false;
};
/** nullopt: not a cache mode. */
std::optional<CacheMode> parse_cache_mode(std::string_view name);

/** What to open, as a user says it. */
struct OpenSpec {
  std::string filename;  ///< a plain name, json:{…}, or with image_opts key=value text
  std::optional<std::string> format;  ///< none: probe
  bool image_opts = false;            ///< --image-opts
  uint32_t flags = 0;                 ///< enum instar_open_flags
  CacheMode cache;
  std::optional<std::string> snapshot;  ///< -l's text: ID_OR_NAME, or snapshot.id=…,snapshot.name=…
  std::string options;                  ///< further options of the top node, key=value,… text
};

/** An image that records no format for its backing file has it probed. */
inline std::optional<std::string> recorded_format(std::string name) {
  if (name.empty()) return std::nullopt;
  return name;
}

/** What to create. */
struct CreateSpec {
  std::string filename;
  std::string format;
  std::string options;  ///< -o text, all of them joined
  std::optional<std::string> backing;
  std::optional<std::string> backing_format;
  std::optional<uint64_t> size;
  bool size_wins = false;       ///< `size` stands above one among the options
  bool backing_unsafe = false;  ///< -u
  bool quiet = false;           ///< leave the "Formatting" line out
  std::string staged;           ///< the file that is made now and is called `filename` later
  bool dry_run = false;         ///< everything is checked, nothing is made
  bool keep_others = false;     ///< further files of the image replace none
  bool durable = false;         ///< what was made is flushed
};

/** An image that is made as a sequence of bytes. */
struct StreamSpec {
  std::string format;
  std::string options;  ///< -o text
  bool compress = false;
  std::string filename;  ///< a file that its protocol stores whole; "": `out` gets the bytes
  instar_content out{};
};

/** One image of a backing chain, as Graph::walk_chain finds it. */
struct ChainLink {
  std::string filename;  ///< as seen from the overlay that names it
  std::string
      format;  ///< that the overlay records, or for the first one the user says; may be empty
  std::string probed;  ///< the format that the content looks like; empty: it could not be read
  std::string error;   ///< why it can't be opened as it should be; empty: it is
  NodePtr image;       ///< null: it can't be opened at all, and the walk ends
  std::string info;    ///< the image-info document of `image`
};

/** Graph-wide state: the registry, the gate, messages to the user. One per process; [main]. */
class Graph {
 public:
  struct Messages {
    void* opaque = nullptr;
    void (*warn)(void* opaque, std::string_view text, std::string_view more_lines) = nullptr;
    void (*print)(void* opaque, std::string_view text) = nullptr;  ///< stdout
    /** QEMU's warning about guessed raw images, which has no prefix but "WARNING: ". */
    void (*caution)(void* opaque, std::string_view text, std::string_view more_lines) = nullptr;
    /** Becomes non-zero when the user wants opening and creating to end; may be null. */
    const int32_t* cancelled = nullptr;
  };
  Graph(registry::Registry& registry, ReferencePolicy policy, Messages messages);
  ~Graph();

  /** Opens an image with its whole chain. The message begins with "Could not open 'NAME': ". */
  Result<NodePtr> open(const OpenSpec& spec);
  /** Creates an image; the "Formatting" line goes to Messages::print. What a failed create made is
   * removed as QEMU does. */
  Status create(const CreateSpec& spec);
  /**
   * Checks creation options before anything is touched, in QEMU's words and without a file name
   * before them: format and target protocol exist and create, every option is theirs. `receive`
   * gets those that were given, and the format's abilities (enum instar_format_ability).
   */
  Status check_create(
      const std::string& format, const std::string& filename, const std::string& options,
      const std::function<void(const instar_options& given, uint32_t abilities)>& receive);
  /** Removes a file that was created; nothing where the protocol can't remove. */
  Status remove(const Call& call, const std::string& filename);
  /** An empty file beside `filename`, for an image that is not to be seen before it is whole. ENOTSUP
   * where that is made in its place. @param flags enum instar_settle_flags. */
  Result<std::string> stage(const std::string& filename, uint32_t flags);
  /** Gives it its name. */
  Status settle(const std::string& staged, const std::string& filename, uint32_t flags);
  /** Makes an image as a sequence of bytes. ENOTSUP where the format, or the file's protocol, can't. */
  Status stream(const Call& call, const StreamSpec& spec, const instar_stream_source& source);
  /** The list that -o help prints. */
  Result<std::string> option_help(const std::string& format, const std::string& filename,
                                  bool amend);
  /** JSON text of the image-info document of one open image. */
  Result<std::string> describe(Node& node);
  /** The same for an image and all of its backing files, as an array; each is opened by itself, as
   * QEMU does. */
  Result<std::string> describe_chain(const OpenSpec& spec);
  /**
   * The images of a chain one after another from the top, each opened by itself for a check. An image
   * that can't be opened so is opened for its description alone, or by the format that it looks like,
   * so that the walk can go on below it. The status is that of the walking, not of the images.
   */
  Status walk_chain(const OpenSpec& spec, const std::function<Status(const ChainLink&)>& each);
  /** Space needed for a new image of that format; source may be null (then size counts). */
  Result<instar_measure_result> measure(const std::string& format, const std::string& options,
                                        Node* source, std::optional<uint64_t> size);

  /** The node of the chain below `top` that its overlay names so, or whose file that is. */
  Node* find_backing(Node& top, const std::string& name);
  /** Opens, for reading, what `image` would mean by a backing file of that name. */
  Result<NodePtr> open_backing(const Node& image, const OpenSpec& spec);
  /** Opens a node of a chain once more, for writing; nobody may read what it holds through the chain
   * afterwards. */
  Result<NodePtr> open_writable(Node& node);
  /** Amends; `options` is -o text. In QEMU's words, without a file name before them. */
  Status amend(Node& image, const std::string& options, bool force,
               const instar_progress& progress);
  /** The same up to where something would be changed. */
  Status check_amend(Node& image, const std::string& options);

  registry::Registry& registry() { return registry_; }

  struct Private;  ///< shared by the graph's own sources

 private:
  Status inspect(const OpenSpec& spec, ReferenceChain& above, ChainLink& link);

  registry::Registry& registry_;
  std::unique_ptr<Private> private_;
};

}  // namespace instar::block
