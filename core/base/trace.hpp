// SPDX-License-Identifier: Apache-2.0
/**
 * @file trace.hpp What developers and support read, never scripts: off unless --trace asks for it,
 * on stderr or in a file of its own. Messages to users go through core/output. May be called from
 * any thread.
 */
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace instar::base {

/** Most are called as QEMU calls what it does in that place. */
enum class Event : uint8_t {
  kOpen,
  kRead,
  kWrite,
  kWriteZeroes,
  kCopyRange,
  kLoadModule,
  kNote,         ///< what went wrong and is no error, what was ignored
  kPluginTrace,  ///< what plugins log, by level
  kPluginDebug,
  kPluginInfo,
  kPluginWarning,
};

constexpr std::array<std::string_view, 11> kEventNames = {
    "bdrv_open_common",     "bdrv_co_preadv_part", "bdrv_co_pwritev_part", "bdrv_co_pwrite_zeroes",
    "file_copy_file_range", "module_load_module",  "instar_note",          "instar_plugin_trace",
    "instar_plugin_debug",  "instar_plugin_info",  "instar_plugin_warning"};

/** A bit for each event that is wanted. */
inline std::atomic<uint32_t> wanted_events = 0;

inline bool trace_enabled(Event event) {
  return (wanted_events.load(std::memory_order_relaxed) >> static_cast<unsigned>(event) & 1) != 0;
}

/** Writes "NAME TEXT" whether it is wanted or not. */
void write_trace(Event event, std::string_view text);

/** trace(Event::kNote, "ignored ", path): the parts are joined only if somebody wants them. */
template <class... Parts>
void trace(Event event, const Parts&... parts) {
  if (trace_enabled(event)) write_trace(event, cat(parts...));
}

/** "0x1f": how traces show flags and which object it was. */
std::string hex_number(uint64_t value);
inline std::string hex_number(const void* object) {
  return hex_number(reinterpret_cast<uintptr_t>(object));
}

/** What --trace said is to be done or printed. */
struct TraceAnswer {
  std::string warnings;  ///< whole lines for stderr
  std::string list;      ///< for stdout: the user asked for help and nothing else shall be done
};

/** Reads [[enable=]PATTERN][,events=FILE][,file=FILE], in QEMU's wording and with its rules: a '*'
 * stands for anything, a '-' in front turns off, events=FILE has a pattern on each line. */
Result<TraceAnswer> configure_trace(std::string_view text);

}  // namespace instar::base
