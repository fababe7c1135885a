// SPDX-License-Identifier: Apache-2.0
/** @file new_image.hpp An image that a command makes, and that nobody sees before it is whole. */
#pragma once

#include <string>

#include "image_arguments.hpp"

namespace instar::sdk {

/**
 * A file that was there stays as it is until finish(). What is not finished is removed. Devices, links
 * and, under the name qemu-img, everything are written in their place.
 */
class NewImage {
 public:
  explicit NewImage(const CommandContext& context) : context_(context) {}
  ~NewImage() {
    if (!name_.empty()) remove();
  }
  NewImage(const NewImage&) = delete;
  NewImage& operator=(const NewImage&) = delete;

  /** What --no-clobber says: EEXIST where something has that name, now or at the end. */
  void keep_existing(bool keep) { keep_ = keep; }

  /** @param spec whose filename is the image's. The error has no prefix. */
  Status create(instar_create_spec spec) {
    filename_ = spec.filename;
    const bool dry_run = (spec.flags & INSTAR_CREATE_DRY_RUN) != 0;
    if (!context_.strict()) INSTAR_CHECK(choose_name(dry_run));
    spec.struct_size = sizeof spec;
    if (keep_) spec.flags |= INSTAR_CREATE_KEEP_OTHERS;
    spec.staged = staged_ ? name_.c_str() : nullptr;
    OutgoingCall call(&context_.call());
    const int result = context_.graph().create(context_.host().abi(), call.abi(), &spec);
    if (result < 0) return renamed(call.error(result));
    if (!dry_run) name_ = name();
    return {};
  }
  /** What to open it by meanwhile. */
  const std::string& name() const { return staged_ ? name_ : filename_; }
  /** A message that calls the image by its name. */
  Error renamed(Error error) const {
    const size_t at = staged_ ? error.message.find(name_) : std::string::npos;
    if (at != std::string::npos) error.message.replace(at, name_.size(), filename_);
    return error;
  }
  Status renamed(Status status) const {
    if (status) return {};
    return renamed(std::move(status).error());
  }
  /** Under the name qemu-img what was made stays when it turns out to be of no use before it is filled. */
  void leave_if_strict() {
    if (context_.strict()) name_.clear();
  }
  /** It is whole, and closed. */
  Status finish() {
    if (staged_) {
      OutgoingCall call(&context_.call());
      INSTAR_CHECK(call.status(context_.graph().settle(
          context_.host().abi(), call.abi(), name_.c_str(), filename_.c_str(), settle_flags())));
    }
    name_.clear();
    return {};
  }

 private:
  uint32_t settle_flags() const { return keep_ ? uint32_t{INSTAR_SETTLE_NO_REPLACE} : 0u; }

  Status choose_name(bool dry_run) {
    if (dry_run) return rehearse_name();
    auto staged = stage(settle_flags());
    if (!staged && staged.error().code == ENOTSUP && !keep_) return {};
    INSTAR_CHECK(staged);
    name_ = *std::move(staged);
    staged_ = true;
    return hold_existing();
  }
  /** Only making a file shows that it can be made; it goes at once. */
  Status rehearse_name() {
    auto staged = stage(INSTAR_SETTLE_NO_REPLACE);
    if (staged) {
      name_ = *std::move(staged);
      remove();
      return {};
    }
    const int code = staged.error().code;
    if (!keep_ && (code == EEXIST || code == ENOTSUP)) return hold_existing();
    return std::move(staged).error();
  }
  Result<std::string> stage(uint32_t flags) const {
    StringSink name;
    OutgoingCall call(&context_.call());
    const int result = context_.graph().stage(context_.host().abi(), call.abi(), filename_.c_str(),
                                              flags, name.abi());
    if (result == -ENOTSUP && keep_)
      return fail(ENOTSUP, "--no-clobber is not possible for '", filename_, "'");
    if (result < 0) return call.error(result);
    return std::move(name.text);
  }
  /** Nobody may be using the file that is replaced. */
  Status hold_existing() {
    const std::optional<std::string> format = "raw";
    auto opened =
        context_.open(image_spec(filename_, format, false, INSTAR_OPEN_WRITE | INSTAR_OPEN_RESIZE));
    if (opened) {
      existing_ = *std::move(opened);
      return {};
    }
    // What can't be written to in its place, nobody writes to.
    if (opened.error().code == ENOENT || opened.error().code == EROFS) return {};
    return std::move(opened).error();
  }
  void remove() {
    OutgoingCall call;
    context_.graph().remove(context_.host().abi(), call.abi(), name_.c_str());
    name_.clear();
  }

  const CommandContext& context_;
  std::string filename_;
  std::string name_;  ///< of a file to be removed
  bool staged_ = false;
  bool keep_ = false;
  Image existing_;
};

}  // namespace instar::sdk
