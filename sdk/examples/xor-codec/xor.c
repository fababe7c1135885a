/* SPDX-License-Identifier: Apache-2.0 */
/* The codec "xor" in plain C11: runs of equal bytes become (count, byte ^ 0x5a). It proves that the
 * boundary is C, and shows a plugin without the C++ layer. */
#include <errno.h>
#include <instar/abi/codec.h>
#include <instar/abi/plugin.h>
#include <string.h>

enum { MASK = 0x5a, MAX_RUN = 255 };

static const char no_context;

static int xor_open(const instar_host* host, instar_call* call, const instar_codec_params* params,
                    void** context) {
  static const char message[] = "codec xor has just one framing";
  (void)host;
  if (params->framing != INSTAR_FRAMING_DEFAULT) {
    call->fail(call, EINVAL, message, sizeof message - 1, NULL, 0);
    return -EINVAL;
  }
  *context = (void*)&no_context;
  return 0;
}

static void xor_close(void* context) {
  (void)context;
}

static int64_t xor_compress(void* context, instar_call* call, const void* in, size_t in_len,
                            void* out, size_t out_len) {
  const uint8_t* from = in;
  uint8_t* to = out;
  size_t used = 0;
  (void)context, (void)call;
  for (size_t i = 0; i < in_len;) {
    size_t run = 1;
    while (run < MAX_RUN && i + run < in_len && from[i + run] == from[i])
      ++run;
    if (out_len - used < 2) return -ENOSPC;
    to[used++] = (uint8_t)run;
    to[used++] = from[i] ^ MASK;
    i += run;
  }
  return (int64_t)used;
}

static int64_t xor_decompress(void* context, instar_call* call, const void* in, size_t in_len,
                              void* out, size_t out_len) {
  static const char message[] = "xor: a run of no bytes";
  const uint8_t* from = in;
  uint8_t* to = out;
  size_t done = 0;
  (void)context;
  for (size_t i = 0; i + 1 < in_len && done < out_len; i += 2) {
    const size_t room = out_len - done;
    const size_t run = from[i] < room ? from[i] : room;
    if (run == 0) {
      call->fail(call, EIO, message, sizeof message - 1, NULL, 0);
      return -EIO;
    }
    memset(to + done, from[i + 1] ^ MASK, run);
    done += run;
  }
  return (int64_t)done;
}

static size_t xor_bound(size_t in_len) {
  return 2 * in_len;
}

static const instar_codec_ops codec = {sizeof codec,   0,        xor_open, xor_close, xor_compress,
                                       xor_decompress, xor_bound};

static const instar_provide provides[] = {{INSTAR_KIND_CODEC, 0, "xor", &codec}};

INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host* host, instar_plugin* plugin) {
  const instar_plugin own = {sizeof own, INSTAR_ABI_MINOR, "xor", "1.0.0", provides, 1};
  const uint32_t known = plugin->struct_size;
  const uint32_t size = known < sizeof own ? known : (uint32_t)sizeof own;
  (void)host;
  memcpy(plugin, &own, size);
  plugin->struct_size = size;
  return 0;
}
