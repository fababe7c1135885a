// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkdebug/rules.hpp"

#include <algorithm>
#include <cstdlib>

namespace instar::blkdebug {

using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kMaxErrno = 4095;

constexpr std::string_view kEvents[] = {
    "l1_update",
    "l1_grow.alloc_table",
    "l1_grow.write_table",
    "l1_grow.activate_table",
    "l2_load",
    "l2_update",
    "l2_update_compressed",
    "l2_alloc.cow_read",
    "l2_alloc.write",
    "read_aio",
    "read_backing_aio",
    "read_compressed",
    "write_aio",
    "write_compressed",
    "vmstate_load",
    "vmstate_save",
    "cow_read",
    "cow_write",
    "reftable_load",
    "reftable_grow",
    "reftable_update",
    "refblock_load",
    "refblock_update",
    "refblock_update_part",
    "refblock_alloc",
    "refblock_alloc.hookup",
    "refblock_alloc.write",
    "refblock_alloc.write_blocks",
    "refblock_alloc.write_table",
    "refblock_alloc.switch_table",
    "cluster_alloc",
    "cluster_alloc_bytes",
    "cluster_free",
    "flush_to_os",
    "flush_to_disk",
    "pwritev_rmw.head",
    "pwritev_rmw.after_head",
    "pwritev_rmw.tail",
    "pwritev_rmw.after_tail",
    "pwritev",
    "pwritev_zero",
    "pwritev_done",
    "empty_image_prepare",
    "l1_shrink.write_table",
    "l1_shrink.free_l2_clusters",
    "cor_write",
    "cluster_alloc_space",
    "none",
};

constexpr std::pair<std::string_view, uint32_t> kKinds[] = {
    {"read", kRead},       {"write", kWrite}, {"write-zeroes", kWriteZeroes},
    {"discard", kDiscard}, {"flush", kFlush}, {"block-status", kBlockStatus},
};

enum class Type { kText, kNumber, kFlag };
using OptionType = std::pair<std::string_view, Type>;
constexpr OptionType kInjectOptions[] = {
    {"event", Type::kText},       {"state", Type::kNumber},  {"iotype", Type::kText},
    {"errno", Type::kNumber},     {"sector", Type::kNumber}, {"once", Type::kFlag},
    {"immediately", Type::kFlag},
};
constexpr OptionType kSetStateOptions[] = {
    {"event", Type::kText}, {"state", Type::kNumber}, {"new_state", Type::kNumber}};

/** The last one of that name counts. */
const std::string* find(const Section& section, std::string_view name) {
  const auto found = std::find_if(section.rbegin(), section.rend(),
                                  [&](const auto& option) { return option.first == name; });
  return found != section.rend() ? &found->second : nullptr;
}

/** As strtoull(3) reads it: octal and hexadecimal too. */
Result<uint64_t> parse_number(std::string_view name, const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const uint64_t value = std::strtoull(text.c_str(), &end, 0);
  if (errno == ERANGE)
    return fail(ERANGE, "Value '", text, "' is too large for parameter '", name, "'");
  if (text.empty() || end != text.c_str() + text.size())
    return fail(EINVAL, "Parameter '", name, "' expects a number");
  return value;
}

Result<bool> parse_flag(std::string_view name, const std::string& text) {
  for (const std::string_view yes : {"on", "yes", "true", "y"})
    if (text == yes) return true;
  for (const std::string_view no : {"off", "no", "false", "n"})
    if (text == no) return false;
  return fail(EINVAL, "Parameter '", name, "' expects 'on' or 'off'");
}

Result<uint64_t> number(const Section& section, std::string_view name, uint64_t fallback) {
  const std::string* text = find(section, name);
  return text != nullptr ? parse_number(name, *text) : fallback;
}

Result<bool> flag(const Section& section, std::string_view name) {
  const std::string* text = find(section, name);
  return text != nullptr ? parse_flag(name, *text) : false;
}

template <size_t n>
Status check_option(const OptionType (&known)[n], std::string_view name, const std::string& value) {
  for (const auto& [option, type] : known) {
    if (option != name) continue;
    if (type == Type::kNumber) INSTAR_CHECK(parse_number(name, value));
    if (type == Type::kFlag) INSTAR_CHECK(parse_flag(name, value));
    return {};
  }
  return fail(EINVAL, "Invalid parameter '", name, "'");
}

Result<std::string> event_of(const Section& section) {
  const std::string* name = find(section, "event");
  if (name == nullptr) return fail(EINVAL, "Missing event name for rule");
  if (std::find(std::begin(kEvents), std::end(kEvents), *name) == std::end(kEvents))
    return fail(EINVAL, "invalid parameter value: ", *name);
  return *name;
}

Result<uint32_t> kinds_of(const Section& section, uint32_t fallback) {
  const std::string* name = find(section, "iotype");
  if (name == nullptr) return fallback;
  for (const auto& [known, bit] : kKinds)
    if (*name == known) return bit;
  return fail(EINVAL, "invalid parameter value: ", *name);
}

}  // namespace

Status check_inject_error(std::string_view name, const std::string& value) {
  return check_option(kInjectOptions, name, value);
}

Status check_set_state(std::string_view name, const std::string& value) {
  return check_option(kSetStateOptions, name, value);
}

Status Rules::add(const Sections& sections) {
  for (const auto& section : sections.inject_error)
    INSTAR_CHECK(add_inject(section));
  for (const auto& section : sections.set_state)
    INSTAR_CHECK(add_set_state(section));
  event("none");
  return {};
}

Status Rules::add_inject(const Section& section) {
  Inject rule;
  INSTAR_TRY(rule.event, event_of(section));
  INSTAR_TRY(rule.state, number(section, "state", 0));
  INSTAR_TRY(const uint64_t error, number(section, "errno", EIO));
  if (error > kMaxErrno)
    return fail(ERANGE, "Value '", error, "' is too large for parameter 'errno'");
  rule.error = static_cast<int>(error);
  INSTAR_TRY(rule.once, flag(section, "once"));
  INSTAR_CHECK(flag(section, "immediately"));  // requests are synchronous: no other way is there
  INSTAR_TRY(const uint64_t sector, number(section, "sector", UINT64_MAX));
  if (sector <= INT64_MAX / kSector)
    rule.offset = sector * kSector;
  else if (sector != UINT64_MAX)
    return fail(ERANGE, "Value '", sector, "' is too large for parameter 'sector'");
  INSTAR_TRY(rule.kinds, kinds_of(section, rule.kinds));
  rule.number = ++numbered_;
  inject_.insert(inject_.begin(), std::move(rule));
  return {};
}

Status Rules::add_set_state(const Section& section) {
  SetState rule;
  INSTAR_TRY(rule.event, event_of(section));
  INSTAR_TRY(rule.state, number(section, "state", 0));
  INSTAR_TRY(rule.next, number(section, "new_state", 0));
  set_state_.insert(set_state_.begin(), std::move(rule));
  return {};
}

void Rules::event(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto applies = [&](const auto& rule) {
    return rule.event == name && (rule.state == 0 || rule.state == state_);
  };
  bool fresh = true;
  for (const auto& rule : inject_) {
    if (!applies(rule)) continue;
    // What an earlier event made active is over.
    if (fresh) active_.clear();
    fresh = false;
    active_.insert(active_.begin(), rule);
  }
  uint64_t next = state_;
  for (const auto& rule : set_state_)
    if (applies(rule)) next = rule.next;
  state_ = next;
  any_active_.store(!active_.empty(), std::memory_order_relaxed);
}

int Rules::check(RequestKind kind, uint64_t offset, uint64_t length) {
  if (!any_active_.load(std::memory_order_relaxed)) return 0;
  const std::lock_guard lock(mutex_);
  const auto hit = std::find_if(active_.begin(), active_.end(), [&](const Inject& rule) {
    const bool there = !rule.offset || (*rule.offset >= offset && *rule.offset - offset < length);
    return there && (rule.kinds & kind) != 0;
  });
  if (hit == active_.end() || hit->error == 0) return 0;
  const int error = hit->error;
  if (hit->once) {
    std::erase_if(inject_, [&](const Inject& rule) { return rule.number == hit->number; });
    active_.erase(hit);
    any_active_.store(!active_.empty(), std::memory_order_relaxed);
  }
  return error;
}

}  // namespace instar::blkdebug
