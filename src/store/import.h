/* An exported document back into records. The document may be anybody's: every member is checked.
 */
#ifndef PRONY_STORE_IMPORT_H
#define PRONY_STORE_IMPORT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "store/record.h"

/* The runs of a document, in the arena; origin is what errors name. Run ids are those of the store
 * that they came from. STATUS_FORMAT names the member that is wrong, also one that is not known:
 * it would be lost. STATUS_UNSUPPORTED when the document is of a newer version. */
enum status import_document(const json_t *document, const char *origin, struct record_run **runs,
                            size_t *count, struct arena *arena, struct error *err);

#endif
