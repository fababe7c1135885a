// SPDX-License-Identifier: Apache-2.0
/** @file image_arguments.hpp Options that most commands share, with one spelling and one help text.
 */
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "command_line.hpp"

namespace instar::sdk {

/** --object TYPE,k=v…; `failure` is the exit status when it is wrong. */
inline void add_object_option(CommandLine& line, CommandContext& context, int failure = 1) {
  line.action(
      0, "object", "OBJDEF",
      [&context, failure](const char* text) -> std::optional<int> {
        OutgoingCall call(&context.call());
        const int result = context.cli().add_object(context.host().abi(), call.abi(), text);
        if (result < 0) {
          context.error(call.error(result));
          return failure;
        }
        if (result > 0) return 0;
        return std::nullopt;
      },
      "define an object, such as secret,id=s0,file=PATH; 'help' lists the types");
}

/** --output human|json */
inline void add_output_option(CommandLine& line, CommandContext& context,
                              instar_output_style& style) {
  line.action(
      0, "output", "human|json",
      [&](const char* text) -> std::optional<int> {
        const std::string_view value = text;
        if (value != "human" && value != "json")
          return line.usage_error(context,
                                  cat("--output expects 'human' or 'json' not '", value, "'"));
        style = value == "json" ? INSTAR_OUTPUT_JSON : INSTAR_OUTPUT_HUMAN;
        return std::nullopt;
      },
      "print for people (default) or programs");
}

/** A size option with QEMU's messages: "Invalid WHAT specified: 'X'." */
inline CommandLine::Handler size_handler(CommandContext& context, std::string what,
                                         std::optional<uint64_t>& target) {
  return [&context, &target, what = std::move(what)](const char* text) -> std::optional<int> {
    const int64_t size = context.cli().parse_size(text);
    if (size == INSTAR_SIZE_RANGE)
      return context.error(
          cat("Invalid ", what, " specified. Must be between 0 and 9223372036854775807."));
    if (size < 0) return context.error(cat("Invalid ", what, " specified: '", text, "'."));
    target = static_cast<uint64_t>(size);
    return std::nullopt;
  };
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

/** A list may not be empty, nor begin or end with a lone comma. */
inline bool is_option_list(std::string_view text) {
  const size_t leading = std::min(text.find_first_not_of(','), text.size());
  const size_t last = text.find_last_not_of(',');
  const size_t trailing = last == text.npos ? 0 : text.size() - 1 - last;
  return !text.empty() && leading % 2 == 0 && trailing % 2 == 0;
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

/** Prints progress while it lives; the last line is ended when it goes. */
class Progress {
 public:
  Progress(CommandContext& context, instar_progress_style style, double min_step)
      : ops_(context.output()),
        handle_(ops_.progress_open(context.host().abi(), style, min_step)) {}
  ~Progress() { ops_.progress_close(handle_); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  instar_progress abi() const { return ops_.progress(handle_); }

 private:
  const instar_output_ops& ops_;
  instar_progress_handle* handle_;
};

}  // namespace instar::sdk
