// SPDX-License-Identifier: Apache-2.0
/** @file output_service.cc The service "instar.output/1". */
#include <unistd.h>

#include <memory>
#include <optional>

#include "core/host/services.hpp"
#include "core/host/session.hpp"
#include "core/output/document.hpp"
#include "core/output/map_printer.hpp"
#include "core/output/progress.hpp"
#include "sdk/cpp/call.hpp"

/** Behind the handle of the ABI. */
struct instar_progress_handle {
  instar_progress_handle(const instar::output::ProgressSettings& settings, bool to_stderr)
      : errors(STDERR_FILENO),
        progress(settings, to_stderr ? errors : instar::host::Session::current().standard_output(),
                 errors) {}

  instar::output::FdSink errors;
  instar::output::Progress progress;
};

namespace instar::host {

namespace {

using sdk::Call;
using sdk::guard;

int print(const instar_host*, const char* text, size_t len) noexcept {
  return static_cast<int>(guard(nullptr, [&](const Call&) -> Status {
    Session::current().print({text, len});
    return {};
  }));
}

void error(const instar_host*, const char* text, size_t len, const char* hint,
           size_t hint_len) noexcept {
  Session::current().print_error({text, len}, {hint != nullptr ? hint : "", hint_len});
}

void warn(const instar_host*, const char* text, size_t len) noexcept {
  Session::current().print_warning({text, len}, {});
}

int document(const instar_host*, instar_call* abi, const char* kind, const char* json, size_t len,
             uint32_t style) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    INSTAR_TRY(const auto value, output::read_document({json, len}));
    const auto wanted = style == INSTAR_OUTPUT_JSON ? output::Style::kJson : output::Style::kHuman;
    Session::current().print(output::document_text(kind, value, wanted));
    return {};
  }));
}

int map_begin(const instar_host*, uint32_t style) noexcept {
  return static_cast<int>(guard(nullptr, [&](const Call&) -> Status {
    auto& printer = Session::current().map_printer();
    printer.emplace(Session::current().standard_output(), style == INSTAR_OUTPUT_JSON
                                                              ? output::MapStyle::kJson
                                                              : output::MapStyle::kHuman);
    printer->begin();
    return {};
  }));
}

int map_rows(const instar_host*, instar_call* abi, const instar_map_extent* extents,
             size_t count) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    auto& printer = Session::current().map_printer();
    for (size_t i = 0; i < count; ++i)
      INSTAR_CHECK(printer->add(extents[i]));
    return {};
  }));
}

int map_end(const instar_host*) noexcept {
  return static_cast<int>(guard(nullptr, [&](const Call&) -> Status {
    Session::current().map_printer()->end();
    Session::current().map_printer().reset();
    return {};
  }));
}

output::ProgressSettings progress_settings(uint32_t wanted, double min_step, int fd) {
  const uint32_t style = wanted & ~uint32_t{INSTAR_PROGRESS_STEPS};
  output::ProgressSettings settings;
  settings.min_step = min_step;
  settings.in_bytes = style == wanted;
  if (style == INSTAR_PROGRESS_JSON) settings.style = output::ProgressStyle::kJson;
  if (style != INSTAR_PROGRESS_QEMU) return settings;
  settings.style = output::ProgressStyle::kQemu;
  if (Session::current().invocation().strict) return settings;
  if (const int columns = output::terminal_columns(fd); columns > 0) {
    settings.style = output::ProgressStyle::kBar;
    settings.columns = columns;
  }
  return settings;
}

instar_progress_handle* progress_open(const instar_host*, uint32_t style,
                                      double min_step) noexcept {
  try {
    output::answer_progress_signal();
    const bool to_stderr = Session::current().has_mode(INSTAR_OUTPUT_STDOUT_TAKEN) ||
                           (style & INSTAR_PROGRESS_JSON) != 0;
    const auto settings =
        progress_settings(style, min_step, to_stderr ? STDERR_FILENO : STDOUT_FILENO);
    auto handle = std::make_unique<instar_progress_handle>(settings, to_stderr);
    Session::current().show_progress(&handle->progress);
    return handle.release();
  } catch (...) {
    return nullptr;
  }
}

void progress_report(void* opaque, uint64_t done, uint64_t total) noexcept {
  try {
    static_cast<instar_progress_handle*>(opaque)->progress.report(done, total);
  } catch (...) {
    // Progress that can't be shown must not end the work.
  }
}

instar_progress progress(instar_progress_handle* handle) noexcept {
  return {handle, handle != nullptr ? &progress_report : nullptr};
}

void progress_close(instar_progress_handle* handle) noexcept {
  if (handle == nullptr) return;
  Session::current().show_progress(nullptr);
  handle->progress.finish();
  delete handle;
}

void set_mode(const instar_host*, uint32_t mode) noexcept {
  Session::current().set_mode(mode);
}

int strict(const instar_host*) noexcept {
  return Session::current().invocation().strict ? 1 : 0;
}

constexpr instar_output_ops kOps = {sizeof(instar_output_ops),
                                    0,
                                    &print,
                                    &error,
                                    &warn,
                                    &document,
                                    &map_begin,
                                    &map_rows,
                                    &map_end,
                                    &progress_open,
                                    &progress,
                                    &progress_close,
                                    &set_mode,
                                    &strict};

}  // namespace

const instar_output_ops* output_service() {
  return &kOps;
}

}  // namespace instar::host
