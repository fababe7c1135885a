// SPDX-License-Identifier: Apache-2.0
/** @file image_arguments.hpp Options that most commands share, with one spelling and one help text.
 */
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command_line.hpp"

namespace instar::sdk {

/** Defines an object, TYPE,k=v…. A value: end now with that exit status; `failure` when it is wrong.
 */
inline std::optional<int> define_object(CommandContext& context, const char* text,
                                        int failure = 1) {
  OutgoingCall call(&context.call());
  const int result = context.cli().add_object(context.host().abi(), call.abi(), text);
  if (result < 0) {
    context.error(call.error(result));
    return failure;
  }
  if (result > 0) return 0;
  return std::nullopt;
}

/** --object TYPE,k=v…; `failure` is the exit status when it is wrong. */
inline void add_object_option(CommandLine& line, CommandContext& context, int failure = 1) {
  line.action(
      0, "object", "OBJDEF",
      [&context, failure](const char* text) { return define_object(context, text, failure); },
      "define an object, such as secret,id=s0,file=PATH; 'help' lists the types");
}

/** --output human|json. @param svg not nullptr: and svg, which sets it. */
inline void add_output_option(CommandLine& line, CommandContext& context,
                              instar_output_style& style, bool* svg = nullptr) {
  line.action(
      0, "output", svg != nullptr ? "human|json|svg" : "human|json",
      [&line, &context, &style, svg](const char* text) -> std::optional<int> {
        const std::string_view value = text;
        if (svg != nullptr) *svg = value == "svg";
        if (value != "human" && value != "json" && (svg == nullptr || !*svg))
          return line.usage_error(context,
                                  cat("--output expects 'human'", svg != nullptr ? ", 'svg'" : "",
                                      " or 'json' not '", value, "'"));
        style = value == "json" ? INSTAR_OUTPUT_JSON : INSTAR_OUTPUT_HUMAN;
        if (style == INSTAR_OUTPUT_JSON) context.print_for_programs();
        return std::nullopt;
      },
      "print for people (default) or programs");
}

/** -p, --progress; as instar also --progress=json. @param names as in CommandLine. */
inline void add_progress_option(CommandLine& line, CommandContext& context,
                                instar_progress_style& style, const char* names = "+progress") {
  line.action(
      'p', names, context.strict() ? "" : "[=json]",
      [&](const char* value) -> std::optional<int> {
        if (value != nullptr && std::string_view(value) != "json")
          return line.usage_error(context, cat("--progress expects 'json' not '", value, "'"));
        style = value != nullptr ? INSTAR_PROGRESS_JSON : INSTAR_PROGRESS_QEMU;
        return std::nullopt;
      },
      context.strict() ? "show progress" : "show progress; json: a line on stderr for each step");
}

/** The numbers that an option takes. */
struct Range {
  int64_t least = 0;
  int64_t most = INT64_MAX;
  bool is_size = true;  ///< takes a suffix
};

/** A size or number. "Invalid WHAT specified: 'X'." is reported. */
inline std::optional<uint64_t> parse_number(CommandContext& context, std::string_view what,
                                            const char* text, Range range = {}) {
  const auto& cli = context.cli();
  const int64_t size = range.is_size ? cli.parse_size(text) : cli.parse_number(text);
  if (size == INSTAR_SIZE_INVALID) {
    context.error(cat("Invalid ", what, " specified: '", text, "'."));
    return std::nullopt;
  }
  if (size < range.least || size > range.most) {
    context.error(cat("Invalid ", what, " specified. Must be between ", range.least, " and ",
                      range.most, "."));
    return std::nullopt;
  }
  return static_cast<uint64_t>(size);
}

/** An option that takes a number of a range. */
inline CommandLine::Handler number_handler(CommandContext& context, std::string what, Range range,
                                           std::optional<uint64_t>& target) {
  return
      [&context, &target, what = std::move(what), range](const char* text) -> std::optional<int> {
        target = parse_number(context, what, text, range);
        return target ? std::nullopt : std::optional(1);
      };
}

/** An option that takes any size. */
inline CommandLine::Handler size_handler(CommandContext& context, std::string what,
                                         std::optional<uint64_t>& target) {
  return number_handler(context, std::move(what), {}, target);
}

inline bool is_cache_mode(std::string_view name) {
  constexpr std::array<std::string_view, 5> kModes = {"none", "writeback", "unsafe", "directsync",
                                                      "writethrough"};
  return std::find(kModes.begin(), kModes.end(), name) != kModes.end();
}

/** -l: an id or name, or snapshot.id=…,snapshot.name=…, whose keys are checked. */
inline CommandLine::Handler snapshot_handler(CommandContext& context,
                                             std::optional<std::string>& target) {
  return [&](const char* text) -> std::optional<int> {
    const std::string_view all = text;
    target = text;
    if (!all.starts_with("snapshot.")) return std::nullopt;
    for (size_t start = 0; start <= all.size();) {
      const size_t end = std::min(all.find(',', start), all.size());
      const auto name = all.substr(start, std::min(all.find('=', start), end) - start);
      if (name != "snapshot.id" && name != "snapshot.name") {
        context.error(cat("Invalid parameter '", name, "'"));
        return context.error(cat("Failed in parsing snapshot param '", all, "'"));
      }
      start = end + 1;
    }
    return std::nullopt;
  };
}

/** The elements of an option list, in which a doubled comma stands for one. A lone comma at the end
 * makes a last element that is empty. */
inline std::vector<std::string> option_elements(std::string_view list) {
  std::vector<std::string> elements(1);
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] != ',')
      elements.back() += list[i];
    else if (i + 1 < list.size() && list[i + 1] == ',')
      elements.back() += list[i++];
    else
      elements.emplace_back();
  }
  return elements;
}

/** No element is empty or begins with a comma. */
inline bool is_option_list(std::string_view text) {
  const auto elements = option_elements(text);
  return std::none_of(elements.begin(), elements.end(),
                      [](const auto& element) { return element.empty() || element[0] == ','; });
}

/** "help" or "?" is among the names without a value. Unlike a value, a name ends at any comma. */
inline bool asks_for_help(std::string_view options) {
  while (!options.empty()) {
    const size_t end = std::min(options.find_first_of("=,"), options.size());
    const std::string_view name = options.substr(0, end);
    options.remove_prefix(end);
    if (options.empty() || options[0] == ',') {
      if (name == "help" || name == "?") return true;
    } else {
      while (!options.empty() && (options[0] != ',' || options.starts_with(",,")))
        options.remove_prefix(options[0] == ',' ? 2 : 1);
    }
    if (!options.empty()) options.remove_prefix(1);
  }
  return false;
}

/** Joins repeated -o: later ones win. */
inline CommandLine::Handler accumulate(CommandContext& context,
                                       std::optional<std::string>& target) {
  return [&](const char* text) -> std::optional<int> {
    if (!is_option_list(text)) return context.error(cat("Invalid option list: ", text));
    target = target ? *target + "," + text : std::string(text);
    return std::nullopt;
  };
}

/** What graph().open takes, with its strings kept alive by the caller. */
inline instar_image_spec image_spec(const std::string& filename,
                                    const std::optional<std::string>& format, bool image_opts,
                                    uint32_t open_flags = 0,
                                    const std::optional<std::string>& cache = {},
                                    const std::optional<std::string>& snapshot = {}) {
  const auto text = [](const std::optional<std::string>& s) { return s ? s->c_str() : nullptr; };
  return {sizeof(instar_image_spec),
          open_flags,
          image_opts ? static_cast<uint32_t>(INSTAR_IMAGE_OPTS) : 0u,
          0,
          filename.c_str(),
          text(format),
          text(cache),
          text(snapshot),
          nullptr};
}

/** Prints progress while it lives; the last line is ended when it goes. An error that ends the work
 * is printed before that. */
class Progress {
 public:
  enum class Begin { kNow, kLater };

  /** @param style enum instar_progress_style. @param begin kNow: 0 % is shown at once. */
  Progress(CommandContext& context, uint32_t style, double min_step, Begin begin = Begin::kNow)
      : ops_(context.output()), handle_(ops_.progress_open(context.host().abi(), style, min_step)) {
    if (begin == Begin::kNow) report(0, 1);
  }
  ~Progress() { ops_.progress_close(handle_); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  instar_progress abi() const { return ops_.progress(handle_); }
  void report(uint64_t done, uint64_t total) const {
    const instar_progress sink = abi();
    if (sink.report != nullptr) sink.report(sink.opaque, done, total);
  }

 private:
  const instar_output_ops& ops_;
  instar_progress_handle* handle_;
};

}  // namespace instar::sdk
