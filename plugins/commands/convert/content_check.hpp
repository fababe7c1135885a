// SPDX-License-Identifier: Apache-2.0
/** @file content_check.hpp --hash and --verify: a digest of what is copied, made while it is copied. */
#pragma once

#include <memory>
#include <string>

#include "plugins/commands/convert/arguments.hpp"
#include "sdk/cpp/digest.hpp"

namespace instar::convert {

class ContentCheck {
 public:
  ContentCheck(const CommandContext& context, const Arguments& arguments)
      : context_(context), arguments_(arguments), algorithm_(arguments.hash.value_or("sha256")) {}

  bool wanted() const { return arguments_.hash || arguments_.verify; }
  /** To be called first. The error names the algorithms that there are. */
  Status open();
  /** Where the copied content goes; without data when nobody wants to know. */
  instar_content receiver() const {
    return digest_ != nullptr ? digest_->receiver() : instar_content{};
  }
  /** All has been copied. */
  void finish();
  /** Reads a target, which was opened anew, and compares. @param sources what to compare with to find
   * the place. */
  Status verify(const Image& target, const std::vector<Image>& sources) const;

  const std::string& algorithm() const { return algorithm_; }
  const std::string& digest() const { return text_; }

 private:
  Error mismatch(const Image& target, const std::vector<Image>& sources) const;

  const CommandContext& context_;
  const Arguments& arguments_;
  const std::string algorithm_;
  std::unique_ptr<ContentDigest> digest_;
  std::string text_;
};

}  // namespace instar::convert
