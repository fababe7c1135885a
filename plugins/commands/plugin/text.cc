// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/plugin/text.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string_view>
#include <vector>

#include "sdk/cpp/result.hpp"

namespace instar::plugin {
namespace {

using boost::json::array;
using boost::json::object;
using sdk::cat;

std::string text(const object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

bool flag(const object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

int64_t number(const object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

/** The objects of a list; none when there is no such list. */
std::vector<const object*> objects(const array& list) {
  std::vector<const object*> out;
  for (const auto& item : list)
    if (item.is_object()) out.push_back(&item.get_object());
  return out;
}

std::vector<const object*> objects(const object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  return value != nullptr && value->is_array() ? objects(value->get_array())
                                               : std::vector<const object*>();
}

std::string joined(const object& from, std::string_view key) {
  std::string out;
  const auto* value = from.if_contains(key);
  if (value == nullptr || !value->is_array()) return out;
  for (const auto& item : value->get_array())
    if (item.is_string())
      out += cat(out.empty() ? "" : ", ",
                 std::string_view(item.get_string().data(), item.get_string().size()));
  return out;
}

void pad(std::string& out, std::string_view cell, size_t width) {
  out += cell;
  out.append(width > cell.size() ? width - cell.size() : 0, ' ');
}

using Row = std::array<std::string, 6>;

std::string table(const std::vector<Row>& rows) {
  std::array<size_t, 6> widths{};
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size() + 2);
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      pad(line, row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

/** "  Label:      content"; nothing without content. */
void fact(std::string& out, std::string_view indent, std::string_view label,
          const std::string& content) {
  if (content.empty()) return;
  out += indent;
  pad(out, cat(label, ":"), 14);
  out += content + "\n";
}

std::string precedence(const object& provide) {
  std::string out = text(provide, "status");
  if (const auto other = text(provide, "shadowed-by"); !other.empty()) out += " by " + other;
  if (const auto other = text(provide, "replaced-by"); !other.empty()) out += " by " + other;
  if (const auto other = text(provide, "replaces"); !other.empty()) out += ", replaces " + other;
  if (const auto others = joined(provide, "shadows"); !others.empty()) out += ", shadows " + others;
  return out;
}

void options(std::string& out, const object& tables, std::string_view key) {
  const auto rows = objects(tables, key);
  if (rows.empty()) return;
  out += cat("  Options of ", key, ":\n");
  for (const auto* option : rows) {
    std::string line = cat("    ", text(*option, "name"), "=<");
    const auto values = joined(*option, "values");
    line += cat(values.empty() ? text(*option, "type") : values, ">  ");
    pad(out, line, 40);
    out += text(*option, "help");
    if (const auto fallback = text(*option, "default"); !fallback.empty())
      out += cat(" (default: ", fallback, ")");
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
}

void provided(std::string& out, const object& provide) {
  out += cat("\n", text(provide, "kind"), " ", text(provide, "name"));
  const auto summary = text(provide, "summary");
  out += summary.empty() ? "\n" : cat(": ", summary, "\n");
  fact(out, "  ", "Status", precedence(provide));
  if (const auto rank = number(provide, "rank"); rank != 0)
    fact(out, "  ", "Rank", std::to_string(rank));
  fact(out, "  ", "Aliases", joined(provide, "aliases"));
  fact(out, "  ", "Extensions", joined(provide, "extensions"));
  fact(out, "  ", "Schemes", joined(provide, "schemes"));
  fact(out, "  ", "Flags", joined(provide, "flags"));
  fact(out, "  ", "Interfaces", joined(provide, "interfaces"));
  fact(out, "  ", "Threads", text(provide, "threads"));
  const auto* tables = provide.if_contains("options");
  if (tables == nullptr || !tables->is_object()) return;
  for (const auto* key : {"open", "create", "amend"})
    options(out, tables->get_object(), key);
}

std::string build_id(const object& library) {
  auto own = text(library, "build-id");
  const auto told = text(library, "build-id-in-manifest");
  if (own.empty() || told.empty() || own == told) return own;
  return cat(own, " (the manifest says ", told, ")");
}

std::string permissions(const object& library) {
  const auto* value = library.if_contains("permissions");
  if (value == nullptr || !value->is_object()) return {};
  const auto& facts = value->get_object();
  std::string out = cat(text(facts, "mode"), ", user ", number(facts, "user"), ", group ",
                        number(facts, "group"));
  if (flag(facts, "trusted-by-root")) return out;
  return cat(out, "; ", text(facts, "problem"));
}

void library(std::string& out, const object& plugin) {
  const auto* value = plugin.if_contains("library");
  if (value == nullptr || !value->is_object()) return;
  const auto& facts = value->get_object();
  fact(out, "", "Problem", text(facts, "problem"));
  fact(out, "", "Architecture", text(facts, "architecture"));
  fact(out, "", "Build id", build_id(facts));
  fact(out, "", "Permissions", permissions(facts));
  fact(out, "", "Exports", joined(facts, "exports"));
  fact(out, "", "Links to", joined(facts, "needed"));
}

std::string in_use(const object& plugin) {
  const auto reason = cat(text(plugin, "problem"), text(plugin, "disabled-by"));
  return cat(text(plugin, "status"), reason.empty() ? "" : ": ", reason);
}

std::string abi(const object& plugin) {
  const auto needed = text(plugin, "min-host-abi");
  if (needed.empty()) return {};
  const auto built = text(plugin, "built-for-abi");
  return cat("needs ", needed, built.empty() ? "" : ", built for ", built);
}

std::string counted(size_t n, std::string_view what) {
  return cat(n, " ", what, n == 1 ? "" : "s");
}

}  // namespace

std::string list_text(const array& plugins) {
  std::vector<Row> rows;
  std::string unused;
  for (const auto* plugin : objects(plugins)) {
    if (text(*plugin, "status") != "usable") {
      const auto file = text(*plugin, "manifest");
      unused += cat(file, file.empty() ? "" : ": ", in_use(*plugin), "\n");
      continue;
    }
    for (const auto* provide : objects(*plugin, "provides"))
      rows.push_back({text(*provide, "kind"), text(*provide, "name"), text(*provide, "status"),
                      text(*plugin, "version"), text(*plugin, "package"),
                      text(*provide, "summary")});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::pair(a[0], a[1]) < std::pair(b[0], b[1]);
  });
  rows.insert(rows.begin(), {"KIND", "NAME", "STATUS", "VERSION", "PACKAGE", "SUMMARY"});
  return table(rows) + (unused.empty() ? "" : "\n" + unused);
}

std::string show_text(const object& plugin) {
  std::string out;
  fact(out, "", "Plugin", text(plugin, "name"));
  fact(out, "", "Version", text(plugin, "version"));
  fact(out, "", "Vendor", text(plugin, "vendor"));
  fact(out, "", "License", text(plugin, "license"));
  fact(out, "", "Package", text(plugin, "package"));
  fact(out, "", "Library", text(plugin, "path"));
  fact(out, "", "Manifest", text(plugin, "manifest"));
  fact(out, "", "Found by", text(plugin, "tier"));
  fact(out, "", "Status", in_use(plugin));
  fact(out, "", "Plugin ABI", abi(plugin));
  fact(out, "", "Problem", text(plugin, "load-problem"));
  library(out, plugin);
  for (const auto* provide : objects(plugin, "provides"))
    provided(out, *provide);
  return out;
}

bool all_hold(const array& rules) {
  const auto rows = objects(rules);
  return std::all_of(rows.begin(), rows.end(), [](const auto* rule) { return flag(*rule, "ok"); });
}

std::string verify_text(const array& rules) {
  std::string out;
  size_t plugins = 0, held = 0, broken = 0;
  const auto rows = objects(rules);
  for (size_t i = 0; i < rows.size();) {
    const auto path = text(*rows[i], "path");
    std::string remarks;
    const size_t broken_before = broken;
    for (; i < rows.size() && text(*rows[i], "path") == path; ++i) {
      const bool ok = flag(*rows[i], "ok");
      ++(ok ? held : broken);
      const auto message = text(*rows[i], "message");
      if (!message.empty())
        remarks += cat(ok ? "        note    " : "        broken  ", text(*rows[i], "rule"), ": ",
                       message, "\n");
    }
    ++plugins;
    out += cat(broken == broken_before ? "ok      " : "FAILED  ", path, "\n", remarks);
  }
  return out + cat(counted(plugins, "plugin"), ", ", counted(held, "rule"), " held, ", broken,
                   " broken\n");
}

}  // namespace instar::plugin
