// SPDX-License-Identifier: Apache-2.0
/** @file workload_model.hpp For workload.cc and its judge: an image's content as the model has it. */
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plugins/formats/qcow2/workload.hpp"

namespace instar::qcow2::testing {

/** Numbers of the files in a journal. */
constexpr uint32_t kImageFile = 0;
constexpr uint32_t kBackingFile = 1;
constexpr uint32_t kDataFile = 2;
constexpr uint32_t kFileCount = 3;

/** What a sector reads as that is not filled with one number. */
constexpr uint32_t kMixed = UINT32_MAX;

std::vector<uint8_t> to_bytes(const Sectors& sectors);

/** The first `count` sectors; nullopt when they can't be read. */
std::optional<Sectors> read_sectors(const TestImage& image, size_t count);

std::vector<std::string> list_snapshots(const TestImage& image);

/** Names, and whether they can't be trusted. */
std::vector<std::pair<std::string, bool>> list_bitmaps(const TestImage& image);

/** One that can be trusted. */
ModelBitmap read_bitmap(const TestImage& image, const std::string& name);

/** Whether it names all these sectors. */
bool covers(const ModelBitmap& bitmap, const std::vector<std::pair<size_t, size_t>>& changed);

}  // namespace instar::qcow2::testing
