// SPDX-License-Identifier: Apache-2.0
/** @file arguments.hpp The command line of convert. */
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sdk/cpp/report.hpp"

namespace instar::convert {

using namespace instar::sdk;

struct Arguments {
  std::vector<std::string> sources;
  std::string target;
  std::optional<std::string> format, snapshot, source_cache;
  std::string target_format;
  std::optional<std::string> target_cache, options, backing, backing_format, open_options;
  bool image_opts = false, target_image_opts = false, force_share = false;
  bool target_format_given = false;
  bool skip_create = false, target_is_zero = false, compress = false, unordered = false;
  bool offload = false, salvage = false, quiet = false;
  bool bitmaps = false, skip_broken_bitmaps = false;
  instar_progress_style progress_style = INSTAR_PROGRESS_NONE;
  // Not under the name qemu-img:
  std::optional<std::string> hash;  ///< algorithm
  bool verify = false, no_clobber = false;
  ReportOptions report;
  uint64_t min_sparse = 4096;  ///< bytes
  uint64_t rate = 0;           ///< bytes a second
  uint32_t workers = 0;

  bool from_stdin() const { return reads_stdin_; }
  bool to_stdout() const { return writes_stdout_; }

  /** A value: the exit status to end with. */
  std::optional<int> parse(CommandContext& context);

 private:
  struct Raw;
  void declare_target(CommandLine& line, CommandContext& context, Raw& raw);
  std::optional<int> check(CommandContext& context, const Raw& raw);
  bool streams_to_file_of_stdout() const;
  std::optional<int> check_streams(const CommandContext& context) const;

  bool reads_stdin_ = false, writes_stdout_ = false;
};

}  // namespace instar::convert
