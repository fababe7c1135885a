// SPDX-License-Identifier: Apache-2.0
/** @file filename.hpp How plain image names are read: "PROTOCOL:…" or a path. Nothing here touches
 * a file system. */
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace instar::options {

/** What stands before the first ':' if no '/' stands before that; may be empty (":x"). Else
 * nothing: a path. */
std::optional<std::string_view> protocol_prefix(std::string_view name);

/** The text behind "json:", or nothing. */
std::optional<std::string_view> json_name_text(std::string_view name);

/** Starts with '/'. */
bool is_absolute_path(std::string_view path);

/**
 * `name` as seen from the folder of `base`, by text alone: ("d/o.qcow2", "../a.raw") gives
 * "d/../a.raw". A protocol before the folder stays. An absolute `name` is returned as it is;
 * callers handle names with a protocol before.
 */
std::string combine_paths(std::string_view base, std::string_view name);

}  // namespace instar::options
