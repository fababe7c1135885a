// SPDX-License-Identifier: Apache-2.0
// instar-conformance: tests a plugin against the rules of RULES.md.
#include <getopt.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>

#include "core/base/file.hpp"
#include "core/objects/objects.hpp"
#include "sdk/conformance/runner.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::conformance {
namespace {

constexpr const char* kUsage =
    "usage: instar-conformance [options] PLUGIN\n"
    "Tests a plugin: PLUGIN is its library or manifest, or the name of one that is installed.\n"
    "  -o OPTIONS         creation options of the images that are tested; several: each by itself\n"
    "  --images DIR       images for what does not create them\n"
    "  --target NAME      what a protocol that creates no files opens; for one that creates some,\n"
    "                     what it puts before their paths, such as ssh://localhost,\n"
    "                     or, ending in /, before names without folders, such as rbd:pool/\n"
    "  --reference PATH   the genuine qemu-img, as a judge (default: "
    "$INSTAR_REFERENCE/bin/qemu-img)\n"
    "  --object DEF       an object that options name, such as throttle-group,id=g0; may be "
    "repeated\n"
    "  --only NAME        only this one of the things that the plugin provides\n"
    "  --rule ID          only this rule, or those that begin so (N, W2); may be repeated\n"
    "  --seed N           of everything that is left to chance (default 1)\n"
    "  --time-factor X    multiplies every test's time limit\n"
    "  --output human|json\n"
    "  --list             lists the rules\n"
    "  --help\n"
    "Exit status: 0 all passed, 1 something failed, 2 wrong use.\n";

struct Arguments {
  Settings settings;
  Limits limits;
  std::vector<std::string> options;
  std::vector<std::string> rules;
  std::string only;
  bool json = false;
  bool list = false;
};

[[noreturn]] void wrong_use(const std::string& message) {
  std::cerr << "instar-conformance: " << message << "\n";
  std::exit(2);
}

enum Option {
  kImages = 256,
  kReference,
  kRule,
  kSeed,
  kOutput,
  kList,
  kHelp,
  kTarget,
  kFactor,
  kObject,
  kOnly
};

void take(Arguments& arguments, int option, const std::string& value) {
  switch (option) {
    case 'o':
      arguments.options.push_back(value);
      return;
    case kImages:
      arguments.settings.images = value;
      return;
    case kObject:
      if (const auto added = objects::Objects::instance().add(value); !added)
        wrong_use(added.error().message);
      arguments.settings.objects.push_back(value);
      return;
    case kOnly:
      arguments.only = value;
      return;
    case kTarget:
      arguments.settings.target = value;
      return;
    case kReference:
      arguments.settings.reference = value;
      return;
    case kRule:
      arguments.rules.push_back(value);
      return;
    case kSeed:
      arguments.settings.seed = std::strtoull(value.c_str(), nullptr, 0);
      return;
    case kFactor:
      arguments.limits.time_factor = std::strtod(value.c_str(), nullptr);
      return;
    case kOutput:
      if (value != "json" && value != "human") wrong_use("--output is human or json");
      arguments.json = value == "json";
      return;
    case kList:
      arguments.list = true;
      return;
    case kHelp:
      std::cout << kUsage;
      std::exit(0);
    default:
      std::cerr << kUsage;
      std::exit(2);
  }
}

Arguments parse(int argc, char** argv) {
  static const option kOptions[] = {
      {"images", required_argument, nullptr, kImages},
      {"target", required_argument, nullptr, kTarget},
      {"reference", required_argument, nullptr, kReference},
      {"object", required_argument, nullptr, kObject},
      {"only", required_argument, nullptr, kOnly},
      {"rule", required_argument, nullptr, kRule},
      {"seed", required_argument, nullptr, kSeed},
      {"time-factor", required_argument, nullptr, kFactor},
      {"output", required_argument, nullptr, kOutput},
      {"list", no_argument, nullptr, kList},
      {"help", no_argument, nullptr, kHelp},
      {nullptr, 0, nullptr, 0},
  };
  Arguments arguments;
  if (const char* reference = std::getenv("INSTAR_REFERENCE");
      reference != nullptr && *reference != '\0')
    arguments.settings.reference = std::string(reference) + "/bin/qemu-img";
  for (int c = 0; (c = getopt_long(argc, argv, "o:h", kOptions, nullptr)) != -1;)
    take(arguments, c == 'h' ? kHelp : c, optarg != nullptr ? optarg : "");
  if (arguments.list) return arguments;
  if (optind != argc - 1) wrong_use("one plugin is needed; see --help");
  arguments.settings.plugin = argv[optind];
  const auto& reference = arguments.settings.reference;
  if (!reference.empty() && !std::filesystem::exists(reference))
    wrong_use("the reference '" + reference + "' does not exist");
  if (!arguments.settings.images.empty() &&
      !std::filesystem::is_directory(arguments.settings.images))
    wrong_use("'" + arguments.settings.images + "' is no folder");
  return arguments;
}

bool is_file_name(const std::string& plugin) {
  return plugin.find('/') != std::string::npos || plugin.ends_with(".so") ||
         plugin.ends_with(".json");
}

/** The manifest of a plugin file, or of the installed plugin that has or provides the name. */
Result<loader::Manifest> find_manifest(const Settings& settings) {
  if (is_file_name(settings.plugin)) {
    auto path = std::filesystem::absolute(settings.plugin);
    path.replace_extension(".json");
    INSTAR_TRY(const auto text, base::read_file(path.string(), loader::kMaxManifestSize));
    return loader::parse_manifest(text, path.string());
  }
  for (auto& found : loader::find_manifests(settings.search)) {
    if (!found.manifest) continue;
    const auto& provides = found.manifest->provides;
    if (found.manifest->name == settings.plugin ||
        std::any_of(provides.begin(), provides.end(),
                    [&](const auto& provide) { return provide.name == settings.plugin; }))
      return std::move(found.manifest);
  }
  return sdk::fail(ENOENT, "no plugin '", settings.plugin, "' is installed");
}

unsigned subjects_of(const loader::Provide& provide) {
  switch (provide.kind) {
    case INSTAR_KIND_FORMAT:
      return kFormats;
    case INSTAR_KIND_PROTOCOL:
      return kProtocols;
    case INSTAR_KIND_FILTER:
      return kFilters;
    case INSTAR_KIND_CODEC:
      return kCodecs;
    default:
      return kOthers;
  }
}

/** Prints as results come in, and counts them. */
class Report {
 public:
  explicit Report(bool json) : json_(json) {
    if (json_) writer_.begin_array();
  }
  void add(const Rule& rule, const Subject& subject, const Outcome& outcome) {
    ++counts_[static_cast<size_t>(outcome.verdict)];
    if (json_) {
      writer_.begin_object()
          .field("plugin", subject.manifest->name)
          .field("provides", subject.provide->name)
          .field("options", subject.options)
          .field("rule", rule.id)
          .field("title", rule.title)
          .field("result", verdict_name(outcome.verdict))
          .field("message", outcome.message)
          .end_object();
      return;
    }
    std::string line = verdict_name(outcome.verdict);
    line.resize(8, ' ');
    line += sdk::cat(" ", rule.id,
                     std::string(4 - std::min<size_t>(3, std::string(rule.id).size()), ' '),
                     subject.provide->name);
    if (!subject.options.empty()) line += sdk::cat(" [", subject.options, "]");
    line += sdk::cat(": ", rule.title);
    if (!outcome.message.empty()) line += sdk::cat(" (", outcome.message, ")");
    std::cout << line << std::endl;
  }
  /** The exit status. */
  int end() {
    const size_t failed =
        count(Verdict::kFailed) + count(Verdict::kCrashed) + count(Verdict::kHung);
    const size_t passed = count(Verdict::kPassed) + count(Verdict::kWarning);
    if (json_)
      std::cout << writer_.end_array().text() << std::endl;
    else
      std::cout << count(Verdict::kSkipped) << " skipped, " << count(Verdict::kWarning)
                << " with a warning\n"
                << passed << " passed, " << failed << " failed" << std::endl;
    return failed == 0 && passed > 0 ? 0 : 1;
  }

 private:
  size_t count(Verdict verdict) const { return counts_[static_cast<size_t>(verdict)]; }

  bool json_;
  sdk::JsonWriter writer_;
  std::array<size_t, 6> counts_{};
};

bool wanted(const Arguments& arguments, const Rule& rule) {
  if (arguments.rules.empty()) return true;
  return std::any_of(arguments.rules.begin(), arguments.rules.end(), [&](const auto& prefix) {
    const std::string id = rule.id;
    const bool exact = prefix.find_first_of("0123456789") != std::string::npos;
    return exact ? id == prefix : id.starts_with(prefix);
  });
}

void list_rules() {
  for (const auto& rule : all_rules())
    std::cout << rule.id << "\t" << rule.title << "\n";
}

int run(Arguments arguments) {
  arguments.settings.search = loader::standard_search_path();
  const auto manifest = find_manifest(arguments.settings);
  if (!manifest) wrong_use(manifest.error().message);
  // Codecs that stand beside the plugin are found too.
  arguments.settings.search.environment.push_back(
      std::filesystem::path(manifest->path).parent_path().string());
  if (arguments.options.empty()) arguments.options.emplace_back();
  Report report(arguments.json);
  for (const auto& provide : manifest->provides) {
    if (!arguments.only.empty() && arguments.only != provide.name) continue;
    for (const auto& options : arguments.options)
      for (const auto& rule : all_rules()) {
        if ((rule.subjects & subjects_of(provide)) == 0 || !wanted(arguments, rule)) continue;
        const Subject subject{&*manifest, &provide, options};
        report.add(rule, subject, run_rule(rule, arguments.settings, subject, arguments.limits));
      }
  }
  return report.end();
}

}  // namespace

std::vector<Rule> all_rules() {
  std::vector<Rule> all;
  for (const auto& part : {library_rules(), node_rules(), write_rules(), fault_rules(),
                           hostile_rules(), codec_rules(), protocol_rules(), parity_rules()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace instar::conformance

int main(int argc, char** argv) {
  using namespace instar::conformance;
  const auto arguments = parse(argc, argv);
  if (arguments.list) {
    list_rules();
    return 0;
  }
  return run(arguments);
}
