// SPDX-License-Identifier: Apache-2.0
/** @file text.hpp The documents of "instar.registry/1" as people read them. */
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace instar::plugin {

/** A table with a row for each provided thing, then what could not be used and why. */
std::string list_text(const boost::json::array& plugins);

/** All about one plugin, a fact a line, then what it provides. */
std::string show_text(const boost::json::object& plugin);

/** A line per plugin, one more for each broken rule and each remark, and the sum. */
std::string verify_text(const boost::json::array& rules);

/** No rule is broken. */
bool all_hold(const boost::json::array& rules);

}  // namespace instar::plugin
