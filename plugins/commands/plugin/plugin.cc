// SPDX-License-Identifier: Apache-2.0
/** @file plugin.cc The command plugin: what plugins there are, all about one, whether they are
 * sound, and the cache of their manifests. */
#include "sdk/cpp/plugin.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "plugins/commands/plugin/text.hpp"
#include "sdk/abi/manifest_cache.h"
#include "sdk/abi/registry.h"
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::plugin {

using namespace instar::sdk;

constexpr const char* kEpilogue =
    "  list           one line for everything that plugins provide\n"
    "  show NAME      all about one plugin, named by itself, by what it provides, or by its file\n"
    "  verify [FILE]  checks one plugin, or all: manifest, permissions, library, exported "
    "symbols,\n"
    "                 build id, loading, and that its names are not taken\n"
    "  cache [FOLDER] keeps the manifests of a plugin folder in one file, for a faster start\n\n"
    "Exit status: 0, or 1 when there is no such plugin, a rule is broken, or the cache can't be\n"
    "written.\n";

class PluginCommand {
 public:
  static int run(CommandContext& context) {
    auto style = INSTAR_OUTPUT_HUMAN;
    std::vector<std::string> words;
    CommandLine line("plugin", "[OPTIONS] list | show NAME | verify [FILE] | cache [FOLDER]",
                     "Lists, describes and verifies plugins.");
    add_output_option(line, context, style);
    line.operands(words).epilogue(kEpilogue);
    if (const auto status = line.parse(context)) return *status;
    const auto* registry = context.host().service<instar_registry_ops>(INSTAR_REGISTRY_ID);
    if (registry == nullptr) return context.error("the host has no registry");

    const std::string action = words.empty() ? "" : words[0];
    const PluginCommand command{context, *registry, style};
    if (action == "list" && words.size() == 1) return command.list();
    if (action == "show" && words.size() == 2) return command.show(words[1]);
    if (action == "verify" && words.size() == 1) return command.verify(nullptr);
    if (action == "verify" && words.size() == 2) return command.verify(words[1].c_str());
    if (action == "cache" && words.size() == 1) return command.cache(nullptr);
    if (action == "cache" && words.size() == 2) return command.cache(words[1].c_str());
    return line.usage_error(context, "Expecting list, show NAME, verify [FILE] or cache [FOLDER]");
  }

 private:
  PluginCommand(CommandContext& context, const instar_registry_ops& registry,
                instar_output_style style)
      : context_(context), registry_(registry), style_(style) {}

  int list() const {
    StringSink json;
    OutgoingCall call(&context_.call());
    return print("plugins", call, registry_.list(host(), call.abi(), json.abi()), json.text);
  }
  int show(const std::string& name) const {
    StringSink json;
    OutgoingCall call(&context_.call());
    return print("plugin", call, registry_.show(host(), call.abi(), name.c_str(), json.abi()),
                 json.text);
  }
  int verify(const char* file) const {
    StringSink json;
    OutgoingCall call(&context_.call());
    return print("plugin-verify", call, registry_.verify(host(), call.abi(), file, json.abi()),
                 json.text);
  }
  int cache(const char* folder) const {
    const auto* ops = context_.host().service<instar_manifest_cache_ops>(INSTAR_MANIFEST_CACHE_ID);
    if (ops == nullptr) return context_.error("the host keeps no cache of manifests");
    StringSink path;
    OutgoingCall call(&context_.call());
    const int64_t count = ops->write(host(), call.abi(), folder, path.abi());
    if (count < 0) return context_.error(call.error(count));
    if (style_ == INSTAR_OUTPUT_HUMAN) {
      context_.print(cat(path.text, ": ", count, count == 1 ? " manifest\n" : " manifests\n"));
      return 0;
    }
    JsonWriter json;
    json.begin_object();
    json.field("path", path.text);
    json.field("manifests", count);
    json.end_object();
    const Status printed = context_.document("plugin-cache", json.text(), style_);
    return printed ? 0 : context_.error(printed.error());
  }

  const instar_host* host() const { return context_.host().abi(); }

  int print(const std::string& kind, OutgoingCall& call, int result,
            const std::string& json) const {
    if (result < 0) return context_.error(call.error(result));
    boost::json::parse_options options;
    options.allow_invalid_utf8 = true;  // file names
    boost::system::error_code ec;
    const auto document = boost::json::parse(json, ec, {}, options);
    if (ec) return context_.error(cat("the registry's answer can't be read: ", ec.message()));
    if (style_ == INSTAR_OUTPUT_JSON) {
      const Status printed = context_.document(kind.c_str(), json, style_);
      if (!printed) return context_.error(printed.error());
    } else if (const auto* plugin = document.if_object()) {
      context_.print(show_text(*plugin));
    } else {
      const auto& rows = document.as_array();
      context_.print(kind == "plugins" ? list_text(rows) : verify_text(rows));
    }
    return kind == "plugin-verify" && !all_hold(document.as_array()) ? 1 : 0;
  }

  CommandContext& context_;
  const instar_registry_ops& registry_;
  instar_output_style style_;
};

}  // namespace instar::plugin

INSTAR_PLUGIN("command-plugin", "1.0.0",
              instar::sdk::command<instar::plugin::PluginCommand>("plugin"))
