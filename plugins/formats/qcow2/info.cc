// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {

Result<std::string> Image::info() {
  const std::lock_guard lock(mutex_);
  const std::string bitmaps = describe_bitmaps();
  sdk::JsonWriter json;
  json.begin_object()
      .field("cluster-size", geometry_.cluster_size)
      .field("encrypted", header_.crypt_method != kCryptNone)
      .field("dirty-flag", (header_.incompatible & kIncompatDirty) != 0);
  if (!header_.backing_file.empty()) json.field("backing-filename", header_.backing_file);
  if (!header_.backing_file.empty() && header_.backing_format)
    json.field("backing-filename-format", *header_.backing_format);
  json.key("format-specific").begin_object().field("type", "qcow2").key("data").begin_object();
  json.field("compat", header_.version >= 3 ? "1.1" : "0.10")
      .field("compression-type", header_.compression_type == kCompressionZstd ? "zstd" : "zlib");
  if (header_.version >= 3)
    json.field("lazy-refcounts", (header_.compatible & kCompatLazyRefcounts) != 0);
  if (!bitmaps.empty()) json.key("bitmaps").raw(bitmaps);
  json.field("refcount-bits", 1u << header_.refcount_order);
  if (header_.version >= 3 && header_.data_file) json.field("data-file", *header_.data_file);
  if (cipher_) {
    INSTAR_TRY(const std::string encryption, cipher_->scheme().describe(true));
    json.key("encrypt").raw(encryption);
  }
  if (header_.has_data_file()) json.field("data-file-raw", header_.data_file_raw());
  if (header_.version >= 3)
    json.field("corrupt", (header_.incompatible & kIncompatCorrupt) != 0)
        .field("extended-l2", header_.extended_l2());
  return json.end_object().end_object().end_object().text();
}

}  // namespace instar::qcow2
