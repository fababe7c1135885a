// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/corruption.hpp"

#include <cstddef>
#include <cstdio>

namespace instar::qcow2 {

void tell(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stderr);
}

Status write_incompatible_features(const Call& call, HostFile& file, const Header& header) {
  if (header.version < 3) return {};
  const Be<uint64_t> value = header.incompatible;
  INSTAR_CHECK(file.write(call, offsetof(HeaderV3, incompatible_features), &value, sizeof value));
  return file.flush(call);
}

bool say_as_program(sdk::Host host, const Error& error, std::string_view before) {
  return host.print_error(sdk::cat(before, error.message), error.hint);
}

Error broken_metadata(Corruption* corruption, const Call& call, std::string_view message) {
  return corruption != nullptr ? corruption->report(call, true, message) : fail(EIO, message);
}

Error Corruption::report(const Call& call, bool fatal, std::string_view message) {
  Error error = fail(EIO, sdk::errno_text(EIO));
  fatal = fatal && writable_;
  if (told_ && (!fatal || (header_.incompatible & kIncompatCorrupt) != 0)) return error;
  told_ = true;
  if (!fatal) {
    tell(sdk::cat("qcow2: Image is corrupt: ", message,
                  "; further non-fatal corruption events will be suppressed\n"));
    return error;
  }
  tell(sdk::cat("qcow2: Marking image as corrupt: ", message,
                "; further corruption events will be suppressed\n"));
  stopped_ = true;
  header_.incompatible |= kIncompatCorrupt;
  (void)write_incompatible_features(call, file_, header_);  // there is a worse error to report
  return error;
}

}  // namespace instar::qcow2
