// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/check/chain.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "sdk/cpp/json_reader.hpp"

namespace instar::check {

using namespace instar::sdk;

namespace {

/** The check of a chain while it goes down. */
class ChainCheck {
 public:
  explicit ChainCheck(const CommandContext& context) : context_(context) {}

  void add(const instar_chain_link& link) {
    filename_ = link.filename;
    if (link.error != nullptr) report(kFailed, link.error);
    if (link.image == nullptr) return;
    const JsonObject info(link.info);
    const uint64_t size = info.number("virtual-size").value_or(0);
    const std::string driver = context_.graph().driver(link.image);
    look_at_format(link, driver);
    look_at_size(size);
    look_at_flags(info);
    images_.begin_object().field("filename", filename_).field("format", driver);
    images_.field("virtual-size", size);
    check(NodeRef(context_.graph().node(link.image)));
    if (!notes_.empty()) {
      images_.key("notes").begin_array();
      for (const auto& note : notes_)
        images_.value(note);
      images_.end_array();
    }
    images_.end_object();
    notes_.clear();
    overlay_size_ = size;
  }

  int end(bool quiet, instar_output_style style) {
    images_.end_array();
    errors_.end_array();
    JsonWriter document;
    document.begin_object().key("images").raw(images_.text());
    document.key("chain-errors").raw(errors_.text()).end_object();
    if (!quiet)
      if (const auto done = context_.document("check-chain", document.text(), style); !done)
        return context_.error(done.error());
    if (worst_ == kGood && !any_checked_) return kUnsupported;
    return worst_;
  }

 private:
  void worsen(ExitStatus status) {
    constexpr ExitStatus kOrder[] = {kGood, kLeaks, kCorrupt, kFailed};
    worst_ = std::max(worst_, status, [&](ExitStatus a, ExitStatus b) {
      return std::find(kOrder, std::end(kOrder), a) < std::find(kOrder, std::end(kOrder), b);
    });
  }
  void report(ExitStatus status, const std::string& error) {
    worsen(status);
    context_.error(cat(filename_, ": ", error));
    errors_.begin_object().field("filename", filename_).field("error", error).end_object();
  }

  void look_at_format(const instar_chain_link& link, const std::string& driver) {
    const std::string probed = link.probed != nullptr ? link.probed : "";
    if (link.depth == 0) return;
    if (link.format == nullptr)
      notes_.push_back(cat("The overlay does not record the format, which was probed: ", driver));
    // Not every format has a mark at its start, so looking like nothing proves nothing.
    else if (!probed.empty() && probed != "raw" && probed != link.format)
      report(kCorrupt, cat("The overlay records the format '", link.format,
                           "', but the content looks like '", probed, "'"));
  }
  void look_at_size(uint64_t size) {
    if (!overlay_size_ || *overlay_size_ == size) return;
    notes_.emplace_back(size < *overlay_size_
                            ? "Smaller than its overlay, which reads zeroes behind the end"
                            : "Larger than its overlay, which does not see the end");
  }
  void look_at_flags(const JsonObject& info) {
    if (info.boolean("dirty-flag").value_or(false))
      notes_.emplace_back("Not closed after the last use: its reference counts may be out of date");
    if (info.object("format-specific").object("data").boolean("corrupt").value_or(false))
      report(kCorrupt, "The image is marked corrupt");
  }

  void check(const NodeRef& node) {
    instar_check_result result;
    const auto done = check_once(context_, node, 0, cat(filename_, ": "), &result);
    if (!done && done.error().code == ENOTSUP) return;
    any_checked_ = true;
    if (!done) return report(kFailed, cat("Check failed: ", errno_text(done.error().code)));
    add_counters(images_, result);
    worsen(status_of(result));
  }

  static JsonWriter array() {
    JsonWriter json;
    json.begin_array();
    return json;
  }

  const CommandContext& context_;
  JsonWriter images_ = array();
  JsonWriter errors_ = array();
  std::string filename_;
  std::vector<std::string> notes_;
  std::optional<uint64_t> overlay_size_;
  ExitStatus worst_ = kGood;
  bool any_checked_ = false;
};

}  // namespace

int check_chain(const CommandContext& context, const instar_image_spec& top, bool quiet,
                instar_output_style style) {
  ChainCheck check(context);
  const auto walked = context.walk_chain(top, [&](const auto& link) { check.add(link); });
  if (!walked) return context.error(walked.error());
  return check.end(quiet, style);
}

}  // namespace instar::check
