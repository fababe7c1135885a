// SPDX-License-Identifier: Apache-2.0
#include <ctime>
#include <string>

#include "core/base/sizes.hpp"
#include "core/base/strings.hpp"
#include "core/output/document.hpp"
#include "core/output/fields.hpp"

namespace instar::output {
namespace {

using boost::json::object;

struct Row {
  std::string_view id;
  std::string_view name;
  std::string size;
  std::string date;
  std::string clock;
  std::string icount;
};

/** Columns are counted in bytes, as printf counts. */
void append_row(std::string& out, const Row& row, size_t indent) {
  out.append(indent * 4, ' ');
  base::append_left(out, row.id, 7);
  out += ' ';
  base::append_left(out, row.name, 16);
  out += ' ';
  base::append_right(out, row.size, 8);
  out += ' ';
  base::append_right(out, row.date, 19);
  out += ' ';
  base::append_right(out, row.clock, 15);
  out += ' ';
  base::append_right(out, row.icount, 10);
  out += '\n';
}

std::string local_date(int64_t seconds) {
  const auto time = static_cast<time_t>(seconds);
  tm parts{};
  if (localtime_r(&time, &parts) == nullptr) return "";
  char text[64];
  return std::string(text, strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts));
}

std::string clock_text(int64_t seconds, int64_t nanoseconds) {
  const auto total = static_cast<uint64_t>(seconds);
  std::string text;
  base::append_zero_padded(text, total / 3600, 4);
  text += ':';
  base::append_zero_padded(text, total / 60 % 60, 2);
  text += ':';
  base::append_zero_padded(text, total % 60, 2);
  text += '.';
  base::append_zero_padded(text, static_cast<uint64_t>(nanoseconds) / 1'000'000, 3);
  return text;
}

Row row_of(const object& snapshot) {
  const auto icount = number_in(snapshot, "icount");
  return {
      text_in(snapshot, "id").value_or(""),
      text_in(snapshot, "name").value_or(""),
      base::format_size(static_cast<uint64_t>(number_or(snapshot, "vm-state-size", 0))),
      local_date(number_or(snapshot, "date-sec", 0)),
      clock_text(number_or(snapshot, "vm-clock-sec", 0), number_or(snapshot, "vm-clock-nsec", 0)),
      icount ? cat(*icount) : "--"};
}

}  // namespace

void append_snapshot_table(std::string& out, const boost::json::array& snapshots, size_t indent) {
  if (snapshots.empty()) return;
  out.append(indent * 4, ' ');
  out += "Snapshot list:\n";
  append_row(out, {"ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"}, indent);
  for (const boost::json::value& snapshot : snapshots) {
    if (snapshot.is_object()) append_row(out, row_of(snapshot.get_object()), indent);
  }
}

}  // namespace instar::output
