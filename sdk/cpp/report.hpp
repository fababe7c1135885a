// SPDX-License-Identifier: Apache-2.0
/** @file report.hpp What a command that changes something did, or would do, as one document. */
#pragma once

#include "image_arguments.hpp"
#include "json_writer.hpp"

namespace instar::sdk {

/** --output and --dry-run, which are not there under the name qemu-img. */
struct ReportOptions {
  instar_output_style style = INSTAR_OUTPUT_HUMAN;
  bool dry_run = false;

  /** A document takes the place of what is printed usually. */
  bool wanted() const { return dry_run || style == INSTAR_OUTPUT_JSON; }

  enum class Rehearses { kNo, kYes };
  /** @param rehearses kYes: the command has --dry-run. */
  void declare(CommandLine& line, CommandContext& context, Rehearses rehearses = Rehearses::kYes) {
    if (context.strict()) return;
    add_output_option(line, context, style);
    if (rehearses == Rehearses::kYes)
      line.flag(0, "+dry-run", dry_run, "check everything, say what would be done, change nothing");
  }
};

/** Report(context, options, "resize").field("filename", name).print() */
class Report {
 public:
  Report(const CommandContext& context, const ReportOptions& options, const char* command)
      : context_(context), options_(options) {
    json_.begin_object().field("command", command);
    if (options.dry_run) json_.field("dry-run", true);
  }
  template <class T>
  Report& field(std::string_view name, const T& value) {
    json_.field(name, value);
    return *this;
  }
  /** For what is not a plain value. */
  JsonWriter& json() { return json_; }
  Status print() {
    return context_.document(options_.dry_run ? "dry-run" : "result", json_.end_object().text(),
                             options_.style);
  }

 private:
  const CommandContext& context_;
  const ReportOptions& options_;
  JsonWriter json_;
};

}  // namespace instar::sdk
