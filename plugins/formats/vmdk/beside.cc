// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vmdk/beside.hpp"

namespace instar::vmdk {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::OutgoingCall;
using sdk::Result;
using sdk::Status;

FilesBeside::FilesBeside(const sdk::Host& host, const Call& call, const std::string& image)
    : host_(host),
      call_(call),
      graph_(host.service<instar_graph_ops>(INSTAR_GRAPH_ID)),
      image_(image),
      folder_(image.substr(0, image.rfind('/') + 1)) {}

Result<std::string> FilesBeside::stage(const std::string& file, uint32_t flags) const {
  // "json:…", or the name of a filter or of another protocol.
  const bool other = image_.find(':') < image_.find('/');
  if (graph_ == nullptr || image_.empty() || other) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  sdk::StringSink name;
  OutgoingCall call(&call_);
  INSTAR_CHECK(
      call.status(graph_->stage(host_.abi(), call.abi(), file.c_str(), flags, name.abi())));
  return std::move(name.text);
}

Status FilesBeside::settle(const std::string& staged, const std::string& file,
                           uint32_t flags) const {
  OutgoingCall call(&call_);
  return call.status(graph_->settle(host_.abi(), call.abi(), staged.c_str(), file.c_str(),
                                    flags | INSTAR_SETTLE_DURABLE));
}

Result<std::string> FilesBeside::stage() const {
  return stage(image_, 0);
}

Status FilesBeside::settle(const std::string& staged) const {
  return settle(staged, image_, 0);
}

void FilesBeside::remove_staged(const std::string& staged) const {
  OutgoingCall call;
  graph_->remove(host_.abi(), call.abi(), staged.c_str());
}

Status FilesBeside::make(const std::string& name) const {
  INSTAR_TRY(const std::string staged, stage(folder_ + name, INSTAR_SETTLE_NO_REPLACE));
  Status settled = settle(staged, folder_ + name, INSTAR_SETTLE_NO_REPLACE);
  if (!settled) remove_staged(staged);
  return settled;
}

Status FilesBeside::fill(const std::string& name,
                         const std::function<Status(HostFile&)>& with) const {
  const std::string file = folder_ + name;
  instar_image_spec spec{};
  spec.struct_size = sizeof spec;
  spec.open_flags = INSTAR_OPEN_WRITE | INSTAR_OPEN_RESIZE | INSTAR_OPEN_UNMAP;
  spec.filename = file.c_str();
  spec.format = "raw";
  instar_image* image = nullptr;
  OutgoingCall opening(&call_);
  INSTAR_CHECK(opening.status(graph_->open(host_.abi(), opening.abi(), &spec, &image)));
  const auto write = [&]() -> Status {
    INSTAR_TRY(HostFile opened, HostFile::open(sdk::NodeRef(graph_->node(image)), true));
    INSTAR_CHECK(with(opened));
    return opened.flush(call_);
  };
  Status filled = write();
  OutgoingCall closing;
  Status closed = closing.status(graph_->close(image, closing.abi()));
  return filled ? std::move(closed) : std::move(filled);
}

void FilesBeside::remove(const std::string& name) const {
  if (graph_ == nullptr || name.find_first_of("/:") != name.npos) return;
  OutgoingCall call;
  const Status removed =
      call.status(graph_->remove(host_.abi(), call.abi(), (folder_ + name).c_str()));
  if (!removed)
    call_.warn(sdk::cat("'", folder_, name, "' is not used any more: ", removed.error().message));
}

NewExtents::~NewExtents() {
  for (const std::string& name : names_)
    files_.remove(name);
}

Status NewExtents::make(const Call& call, uint64_t number, uint64_t size) {
  std::string name;
  for (Status made = fail(EEXIST, ""); !made; ++number) {
    name = extent_name(plan_, image_, number);
    made = files_.make(name);
    if (!made && made.error().code == ENOTSUP)
      return fail(ENOTSUP, "No further extent can be made beside '", image_, "'");
    if (!made && made.error().code != EEXIST) return made;
  }
  names_.push_back(name);
  lines_ += extent_line(plan_, name, size);
  return files_.fill(name, [&](HostFile& file) { return make_extent(call, plan_, file, size); });
}

}  // namespace instar::vmdk
