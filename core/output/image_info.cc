// SPDX-License-Identifier: Apache-2.0
// Human text of info: the same facts as its JSON, in QEMU's wording.
#include <algorithm>
#include <string>

#include "core/base/sizes.hpp"
#include "core/base/strings.hpp"
#include "core/options/json_text.hpp"
#include "core/output/document.hpp"
#include "core/output/fields.hpp"

namespace instar::output {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr size_t kIndent = 4;

/** Numbers and strings as they are, flags as words. */
void append_leaf(std::string& out, const value& leaf) {
  if (const auto* text = leaf.if_string()) {
    out += std::string_view(*text);
  } else {
    options::append_compact_json(out, leaf);
  }
}

void append_branch(std::string& out, std::string_view label, const value& content, size_t indent) {
  out.append(indent * kIndent, ' ');
  out += label;
  out += ':';
  if (content.is_structured()) {
    out += '\n';
    append_tree(out, content, indent + 1);
    return;
  }
  out += ' ';
  append_leaf(out, content);
  out += '\n';
}

/** Prints one node and those below it. */
class InfoPrinter {
 public:
  InfoPrinter(std::string& out, const object& info, size_t indent)
      : out_(out), info_(info), indent_(indent) {}

  void print(const std::string& path) {
    const array* children = array_in(info_, "children");
    const bool has_children = children != nullptr && !children->empty();
    // A file at the end of a graph is described as such; the image itself never is.
    print_head(indent_ > 0 && !has_children);
    print_backing();
    print_details();
    if (has_children) print_children(*children, path);
  }

 private:
  void line(std::string_view label, std::string_view content) {
    out_.append(indent_ * kIndent, ' ');
    out_ += cat(label, ": ", content, "\n");
  }

  void print_head(bool protocol) {
    line(protocol ? "filename" : "image", text_in(info_, "filename").value_or(""));
    line(protocol ? "protocol type" : "file format", text_in(info_, "format").value_or(""));
    const int64_t size = number_or(info_, "virtual-size", 0);
    line(protocol ? "file length" : "virtual size",
         cat(base::format_size(static_cast<uint64_t>(size)), " (", size, " bytes)"));
    const auto allocated = number_in(info_, "actual-size");
    line("disk size",
         allocated ? base::format_size(static_cast<uint64_t>(*allocated)) : "unavailable");
    if (flag_in(info_, "encrypted")) line("encrypted", "yes");
    if (const auto cluster = number_in(info_, "cluster-size")) line("cluster_size", cat(*cluster));
    if (flag_in(info_, "dirty-flag")) line("cleanly shut down", "no");
  }

  void print_backing() {
    const auto backing = text_in(info_, "backing-filename");
    if (!backing) return;
    const auto full = text_in(info_, "full-backing-filename");
    std::string text(*backing);
    if (!full) {
      text += " (cannot determine actual path)";
    } else if (*full != *backing) {
      text += cat(" (actual path: ", *full, ")");
    }
    line("backing file", text);
    if (const auto format = text_in(info_, "backing-filename-format"))
      line("backing file format", *format);
  }

  void print_details() {
    if (const array* snapshots = array_in(info_, "snapshots"))
      append_snapshot_table(out_, *snapshots, indent_);
    const object* specific = object_in(info_, "format-specific");
    const value* data = specific != nullptr ? specific->if_contains("data") : nullptr;
    if (data == nullptr || !data->is_object() || data->get_object().empty()) return;
    append_branch(out_, "Format specific information", *data, indent_);
  }

  void print_children(const array& children, const std::string& path) {
    for (const value& child : children) {
      const object* entry = child.if_object();
      const object* info = entry != nullptr ? object_in(*entry, "info") : nullptr;
      if (info == nullptr) continue;
      const std::string child_path = cat(path, "/", text_in(*entry, "name").value_or(""));
      out_.append(indent_ * kIndent, ' ');
      out_ += cat("Child node '", child_path, "':\n");
      InfoPrinter(out_, *info, indent_ + 1).print(child_path);
    }
  }

  std::string& out_;
  const object& info_;
  size_t indent_;
};

}  // namespace

void append_tree(std::string& out, const value& tree, size_t indent) {
  if (const object* members = tree.if_object()) {
    for (const auto* entry : options::in_printed_order(*members)) {
      std::string label(entry->key());
      std::replace(label.begin(), label.end(), '-', ' ');
      append_branch(out, label, entry->value(), indent);
    }
  } else if (const array* items = tree.if_array()) {
    for (size_t i = 0; i < items->size(); i++)
      append_branch(out, cat("[", i, "]"), (*items)[i], indent);
  }
}

void append_image_info(std::string& out, const object& info) {
  InfoPrinter(out, info, 0).print("");
}

}  // namespace instar::output
