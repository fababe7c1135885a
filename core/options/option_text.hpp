// SPDX-License-Identifier: Apache-2.0
/**
 * @file option_text.hpp The text form of options: "k=v,k2=v2", a comma in a value doubled. Used by
 * -o and --image-opts.
 *
 * A name alone is a flag: "lazy_refcounts" means on, "nolazy_refcounts" means lazy_refcounts=off.
 * "id" is dropped.
 */
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace instar::options {

/** One option as it was written. Names may be anything but ',' and '='. */
struct OptionText {
  std::string name;
  std::string value;
  bool flag = false;  ///< written without '='; value is "on" or "off"

  bool operator==(const OptionText&) const = default;
};

/** In the order written, repeats kept (the last one is meant to win). Any text is accepted. */
std::vector<OptionText> split_options(std::string_view text);

/** Doubles the commas, so that the value survives in a list. */
std::string escape_option_value(std::string_view value);

/** Takes a value, unescaped, off the front of `text` and leaves the comma that ended it. */
std::string take_option_value(std::string_view& text);

}  // namespace instar::options
