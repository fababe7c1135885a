// SPDX-License-Identifier: Apache-2.0
// A protocol that stores its files whole: "shelf:PATH" becomes the file PATH when all of it came.
#include <cstdio>
#include <string>

#include "sdk/cpp/plugin.hpp"

namespace {

using instar::sdk::Call;
using instar::sdk::CreateContext;
using instar::sdk::fail;
using instar::sdk::IoVec;
using instar::sdk::OpenContext;
using instar::sdk::Result;
using instar::sdk::Status;
using instar::sdk::UploadSource;

class Shelf {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static Result<std::unique_ptr<Shelf>> open(OpenContext&) { return fail(ENOTSUP, "only stored"); }
  static Status upload(CreateContext& context, const UploadSource& source) {
    std::string content;
    const instar_content taker{&content, &take_data, &take_zeroes};
    INSTAR_CHECK(source.read(context.call(), taker));
    content += context.options().text("note");
    std::FILE* file = std::fopen(context.filename().c_str(), "wx");
    if (file == nullptr) return fail(errno, "Could not store '", context.filename(), "'");
    std::fwrite(content.data(), 1, content.size(), file);
    std::fclose(file);
    return {};
  }

  uint64_t size() const { return 0; }
  Status read(const Call&, uint64_t, IoVec) { return fail(EIO, "only stored"); }

 private:
  static int take_data(void* opaque, const void* bytes, size_t length) noexcept {
    static_cast<std::string*>(opaque)->append(static_cast<const char*>(bytes), length);
    return 0;
  }
  static int take_zeroes(void* opaque, uint64_t length) noexcept {
    static_cast<std::string*>(opaque)->append(length, '\0');
    return 0;
  }
};

}  // namespace

INSTAR_PLUGIN("shelf", "1.0.0", instar::sdk::protocol<Shelf>("shelf"))
