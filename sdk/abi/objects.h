/* SPDX-License-Identifier: Apache-2.0 */
/** @file objects.h Service "instar.objects/1" of the host: what --object defined (secrets, TLS
 * credentials, throttle groups). */
#ifndef INSTAR_ABI_OBJECTS_H
#define INSTAR_ABI_OBJECTS_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_OBJECTS_ID "instar.objects/1"

typedef struct instar_objects_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * The properties of an object into the sink, as a flat JSON object of strings: "qom-type", "id",
   * and every property as it was given, nested ones dotted ("limits.iops-total": "10"). Never a
   * secret's data. -ENOENT: no object of that id, or it is of another type. [any]
   * @param type wanted type ("throttle-group"), or NULL: any.
   */
  int (*get)(const instar_host* host, instar_call* call, const char* type, const char* id,
             const instar_sink* json);
  /**
   * The bytes of a secret (types "secret", "secret_keyring") into the sink, decoded and decrypted.
   * -ENOENT: no secret of that id. The caller wipes its copy. [any]
   */
  int (*get_secret)(const instar_host* host, instar_call* call, const char* id,
                    const instar_sink* bytes);
} instar_objects_ops;

INSTAR_PIN_SIZE(instar_objects_ops, 24);

#ifdef __cplusplus
}
#endif
#endif
