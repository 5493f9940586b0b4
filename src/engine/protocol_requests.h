/* The requests of the worker protocol that have members to fill (docs/protocol.md), as JSON; the
 * caller's references. NULL: no memory. */
#ifndef PRONY_ENGINE_PROTOCOL_REQUESTS_H
#define PRONY_ENGINE_PROTOCOL_REQUESTS_H

#include <jansson.h>

#include "engine/worker.h"

/* path: of the model, as the worker finds it. variant: the engine's, NULL for one that it does not
 * have. */
json_t *protocol_load_request(const struct worker_load *load, const char *path,
                              const struct engine_variant *variant);
/* {"op": op, key: ids} */
json_t *protocol_ids_request(const char *op, const char *key, const int32_t *ids, size_t count);
/* A generate that streams. */
json_t *protocol_stream_request(const int32_t *prompt, size_t prompt_count, size_t tokens,
                                const struct worker_sampling *sampling);

#endif
