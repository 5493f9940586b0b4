/* Runs as a JSON document that holds everything that was recorded (docs/results-format.md). */
#ifndef PRONY_STORE_EXPORT_H
#define PRONY_STORE_EXPORT_H

#include <jansson.h>

#include "base/error.h"
#include "store/record.h"

/* One run, as an element of the document's "runs"; the caller's reference. NULL on failure:
 * STATUS_FORMAT when the record holds what JSON cannot. Bytes of texts that are not UTF-8 become
 * question marks. */
json_t *export_run(const struct record_run *run, struct error *err);
/* A document without runs; the caller's reference, NULL on failure. */
json_t *export_document(struct error *err);
/* Adds a run to it. */
enum status export_document_add(json_t *document, const struct record_run *run, struct error *err);

#endif
