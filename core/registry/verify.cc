// SPDX-License-Identifier: Apache-2.0
// What `plugin verify` prints, as JSON: a list of rules, each held or broken.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "core/base/fd.hpp"
#include "core/base/file.hpp"
#include "core/loader/elf.hpp"
#include "core/loader/trust.hpp"
#include "core/registry/index.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::registry {
namespace {

/** Collects the rows of one plugin. */
class Report {
 public:
  Report(sdk::JsonWriter& json, const Entry& entry) : json_(json), entry_(entry) {}

  /** False when the rule is broken. `note` is said when it holds. */
  bool rule(std::string_view name, const Status& status, std::string_view note = {}) {
    const auto& plugin = entry_.plugin;
    json_.begin_object()
        .field("plugin", plugin != nullptr
                             ? plugin->manifest().name
                             : std::filesystem::path(entry_.manifest_path).stem().string())
        .field("path", entry_.library())
        .field("rule", name)
        .field("ok", static_cast<bool>(status))
        .field("message", status ? std::string(note) : status.error().message)
        .end_object();
    return static_cast<bool>(status);
  }

 private:
  sdk::JsonWriter& json_;
  const Entry& entry_;
};

/** Only root is protected by it, but everyone learns of it. */
bool check_permissions(Report& report, const std::string& path) {
  const Status status = loader::check_trust_of_root(path);
  if (status || geteuid() == 0) return report.rule("permissions", status);
  return report.rule("permissions", {}, cat("for root: ", status.error().message));
}

Status exports_entry_only(const loader::ElfInfo& elf, const std::string& path) {
  bool entry = false;
  for (const auto& symbol : elf.exports) {
    if (symbol != INSTAR_PLUGIN_ENTRY_SYMBOL)
      return fail(EINVAL, "plugin '", path, "' exports ", symbol,
                  "; only " INSTAR_PLUGIN_ENTRY_SYMBOL " may be visible");
    entry = true;
  }
  if (!entry)
    return fail(EINVAL, "plugin '", path, "' does not export " INSTAR_PLUGIN_ENTRY_SYMBOL);
  return {};
}

Status same_build(const loader::ElfInfo& elf, const loader::Manifest& manifest) {
  if (manifest.build_id.empty() || manifest.build_id == elf.build_id) return {};
  return fail(EINVAL, "plugin '", manifest.library, "' has the build id ",
              elf.build_id.empty() ? "(none)" : elf.build_id, ", its manifest says ",
              manifest.build_id);
}

/** Loads in a child process, so that a plugin that crashes is reported like any other. */
Status load_apart(const Entry& entry) {
  int ends[2];
  if (pipe(ends) != 0) return fail(errno, "pipe: ", errno_text(errno));
  base::Fd reading(ends[0]);
  base::Fd writing(ends[1]);
  const pid_t child = fork();
  if (child < 0) return fail(errno, "fork: ", errno_text(errno));
  if (child == 0) {
    const Status status = entry.plugin->load(&entry.host.abi);
    if (!status) (void)base::write_all(writing.get(), status.error().message);
    _exit(status ? 0 : 1);
  }
  writing.reset();
  const auto message = base::read_fd(reading.get(), "pipe", 65536);
  int how = 0;
  while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(how))
    return fail(EIO, "plugin '", entry.library(),
                "' crashes while it is loaded: ", strsignal(WTERMSIG(how)));
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return {};
  return fail(EIO, message && !message->empty()
                       ? *message
                       : cat("plugin '", entry.library(), "' ends the process while it is loaded"));
}

/** What it provides is used, and not another plugin's in its place. */
Status check_names(Index& index, const Entry& entry) {
  const auto& manifest = entry.plugin->manifest();
  for (const auto& item : manifest.provides) {
    const Slot* slot = index.slot(item.kind, item.name);
    if (slot == nullptr || item.replaces) continue;
    const auto& used = Index::entry(*slot->chain.back());
    std::error_code ec;
    if (&used == &entry || std::filesystem::equivalent(used.library(), manifest.library, ec))
      continue;
    return fail(EEXIST, "the ", loader::kind_name(item.kind), " '", item.name, "' of plugin '",
                manifest.library, "' is not used: '", used.library(), "' provides it too, and \"",
                "replaces\" is not declared");
  }
  return {};
}

void verify_entry(sdk::JsonWriter& json, Index& index, const Entry& entry) {
  Report report(json, entry);
  const bool readable = entry.problem.empty();
  if (!report.rule("manifest", readable ? Status() : fail(EINVAL, entry.problem))) return;
  const auto& manifest = entry.plugin->manifest();
  bool sound = check_permissions(report, manifest.library);
  sound = report.rule("library", loader::check_loadable(manifest.library)) && sound;
  if (!sound) return;
  const auto elf = loader::read_elf(manifest.library);
  if (!elf) {
    report.rule("library", elf.error());
    return;
  }
  report.rule("exports", exports_entry_only(*elf, manifest.library));
  report.rule("build-id", same_build(*elf, manifest));
  report.rule("load", load_apart(entry));
  if (entry.disabled_by.empty()) report.rule("names", check_names(index, entry));
}

}  // namespace

Result<std::string> Registry::verify_json(const std::string& file) {
  index_->ensure();
  sdk::JsonWriter json;
  json.begin_array();
  if (file.empty()) {
    for (const auto& entry : index_->entries)
      verify_entry(json, *index_, *entry);
  } else {
    auto found = loader::find_manifests({{}, {}, {}, {file}, {}});
    verify_entry(json, *index_, *index_->make_entry(std::move(found.front())));
  }
  json.end_array();
  return json.text();
}

}  // namespace instar::registry
