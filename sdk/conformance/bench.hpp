// SPDX-License-Identifier: Apache-2.0
/**
 * @file bench.hpp
 * Where one test works: the plugin under test, what the user asked for, and images of it on disks in
 * memory. Lives in the test's own process.
 */
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/block/node.hpp"
#include "core/options/option_table.hpp"
#include "core/registry/registry.hpp"
#include "sdk/abi/codec.h"
#include "sdk/abi/digest.h"
#include "sdk/conformance/disk.hpp"
#include "sdk/conformance/rule.hpp"

namespace instar::conformance {

using block::NodePtr;
using Bytes = std::vector<uint8_t>;

/** What the user asked for. */
struct Settings {
  std::string plugin;     ///< a library, its manifest, or a name
  std::string images;     ///< --images; empty: none
  std::string reference;  ///< the genuine qemu-img; empty: none
  std::string target;     ///< --target: what a protocol opens, or what its files' names begin with
                          ///< (ending in '/': they have no folders)
  std::vector<std::string> objects;  ///< --object
  uint64_t seed = 1;
  loader::SearchPath search;
};

/** What is tested: one thing that the plugin provides, in one variant. */
struct Subject {
  const loader::Manifest* manifest = nullptr;
  const loader::Provide* provide = nullptr;
  /** Creation options, "k=v,k=v"; those that open knows too (a key's secret) are given there as
   * well. */
  std::string options;
};

/** The files of one image: in memory, or for a protocol a name. */
struct Store {
  std::map<std::string, std::shared_ptr<Disk>> disks;  ///< by name; "" is the image's own
  std::string name;

  Disk& own() const { return *disks.at(""); }
};

/** An open image. `node` is the host's side with all that it adds, `driver` the bare table. */
struct Opened {
  NodePtr node;
  instar_node driver{};

  void close() const;  ///< a failure ends the test
};

class Bench {
 public:
  /** @param note_fd where notes go; -1: nowhere */
  Bench(const Settings& settings, const Subject& subject, std::string folder, int note_fd);

  const Settings& settings() const { return settings_; }
  const Subject& subject() const { return subject_; }
  const std::string& folder() const { return folder_; }  ///< empty and the test's own
  /** Of a file in it, as the protocol that is tested names it. */
  std::string file_name(std::string_view name) const;
  instar_kind kind() const { return subject_.provide->kind; }
  std::mt19937_64& random() { return random_; }
  uint64_t pick(uint64_t below) { return random_() % below; }

  /** The table of what is tested, NULL in absent slots. A plugin that can't be loaded ends the
   * test. */
  template <class Ops>
  const Ops& table() {
    return *static_cast<const Ops*>(load_table());
  }
  const instar_host* host() { return registry_.core_host(); }

  /** Whether it writes, and whether it makes images that hold what was written. */
  bool creates();
  /** Makes an empty image of at least that size; skips the test where the plugin can't. */
  Store create(uint64_t size);
  Status try_create(uint64_t size, Store& store);
  Opened open(const Store& store, uint32_t flags = 0);
  /** The options that a format's images are opened with: names and texts. */
  std::vector<std::pair<std::string, std::string>> open_options();
  /** The error has no message where the plugin gave none. */
  Result<Opened> try_open(const Store& store, uint32_t flags = 0);

  /** An image with content of all kinds, closed, and what it reads as; made, or from --images
   * (where only the plugin itself knows the content). Skips without one. */
  std::vector<Store> filled_images();
  /** The same with the content that the image must have; only made ones. */
  std::pair<Store, Bytes> filled_image(uint64_t size);
  /** Images from --images. */
  std::vector<Store> given_images();

  /** Shown when the test crashes or hangs. */
  void note(const std::string& text) const;

  Bytes random_bytes(size_t size);
  /** A call that catches nothing and that nobody cancels. */
  const Call& call() const { return call_; }

 private:
  Result<instar_node> open_driver(const Store& store, uint32_t flags,
                                  std::vector<block::Child>& children,
                                  std::shared_ptr<void>& companion);

  /** Options below one that is a prefix, such as "server.host". */
  using Members = std::vector<std::pair<std::string, std::string>>;
  Status name_file(const std::string& name, options::BoundOptions& bound, Members& members);
  const void* load_table();

  Settings settings_;
  Subject subject_;
  std::string folder_;
  registry::Registry registry_;
  loader::Plugin plugin_;
  std::mt19937_64 random_;
  Call call_{nullptr};
  int note_fd_ = -1;
  unsigned names_given_ = 0;
};

/** Reads all of a node in pieces. */
Bytes read_all(Bench& bench, block::Node& node);
/** Whether sectors that were never written read as noise: an encrypted disk that doesn't know them. */
bool unwritten_is_noise(block::Node& node);
/** What a new image reads as: zeroes, or noise. */
Bytes new_content(Bench& bench, block::Node& node);
/** The offset of the first difference, or the size when there is none. */
size_t first_difference(const Bytes& a, const Bytes& b);
void require_equal(const Bytes& got, const Bytes& expected, const std::string& what);
/** The format's own check finds nothing wrong; false: it has none. */
bool require_sound(Bench& bench, const Store& store, const std::string& what);
/** Writes content of all kinds into an open image and keeps `model` in step. */
void fill(Bench& bench, block::Node& node, Bytes& model, unsigned requests);

}  // namespace instar::conformance
