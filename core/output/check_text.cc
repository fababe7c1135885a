// SPDX-License-Identifier: Apache-2.0
// Human text of check: of one image in QEMU's wording, and of a chain.
#include "core/base/sizes.hpp"
#include "core/base/strings.hpp"
#include "core/output/document.hpp"
#include "core/output/fields.hpp"

namespace instar::output {
namespace {

using boost::json::object;

void append_count_line(std::string& out, std::string_view before, int64_t count,
                       std::string_view after) {
  out += before;
  base::append_decimal(out, count);
  out += after;
}

void append_percent(std::string& out, int64_t part, int64_t whole, std::string_view after) {
  base::append_fixed(out, static_cast<double>(part) * 100.0 / static_cast<double>(whole), 2);
  out += after;
}

void append_findings(std::string& out, const object& result) {
  const int64_t corruptions = number_or(result, "corruptions", 0);
  const int64_t leaks = number_or(result, "leaks", 0);
  const int64_t errors = number_or(result, "check-errors", 0);
  if (corruptions == 0 && leaks == 0 && errors == 0) {
    out += "No errors were found on the image.\n";
    return;
  }
  if (corruptions != 0)
    append_count_line(out, "\n", corruptions,
                      " errors were found on the image.\nData may be corrupted, or further writes "
                      "to the image may corrupt it.\n");
  if (leaks != 0)
    append_count_line(out, "\n", leaks,
                      " leaked clusters were found on the image.\nThis means waste of disk space, "
                      "but no harm to data.\n");
  if (errors != 0)
    append_count_line(out, "\n", errors, " internal errors have occurred during the check.\n");
}

void append_image(std::string& out, const object& image) {
  const int64_t size = number_or(image, "virtual-size", 0);
  out += cat("image: ", text_in(image, "filename").value_or(""),
             "\nfile format: ", text_in(image, "format").value_or(""),
             "\nvirtual size: ", base::format_size(static_cast<uint64_t>(size)), " (", size,
             " bytes)\n");
  if (const auto* notes = array_in(image, "notes"))
    for (const auto& note : *notes)
      if (const auto* text = note.if_string()) out += cat("note: ", std::string_view(*text), "\n");
  out += image.contains("check-errors") ? check_text(image)
                                        : "This image format does not support checks.\n";
}

}  // namespace

std::string check_text(const object& result) {
  std::string out;
  append_findings(out, result);
  const int64_t total = number_or(result, "total-clusters", 0);
  const int64_t allocated = number_or(result, "allocated-clusters", 0);
  if (total != 0 && allocated != 0) {
    append_count_line(out, "", allocated, "/");
    append_count_line(out, "", total, " = ");
    append_percent(out, allocated, total, "% allocated, ");
    append_percent(out, number_or(result, "fragmented-clusters", 0), allocated, "% fragmented, ");
    append_percent(out, number_or(result, "compressed-clusters", 0), allocated,
                   "% compressed clusters\n");
  }
  const int64_t end = number_or(result, "image-end-offset", 0);
  if (end != 0) append_count_line(out, "Image end offset: ", end, "\n");
  return out;
}

std::string chain_text(const object& result) {
  std::string out;
  if (const auto* images = array_in(result, "images"))
    for (const auto& image : *images)
      if (image.is_object()) {
        append_image(out, image.get_object());
        out += '\n';
      }
  const auto* errors = array_in(result, "chain-errors");
  const auto count = errors != nullptr ? static_cast<int64_t>(errors->size()) : 0;
  if (count == 0) return out + "No errors were found in the chain itself.\n";
  append_count_line(out, "", count, " errors were found in the chain itself.\n");
  return out;
}

}  // namespace instar::output
