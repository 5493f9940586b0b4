/* For workers that stand on Prony's own libraries: their errors as the protocol tells them. */
#ifndef PRONY_ENGINES_FAILURE_H
#define PRONY_ENGINES_FAILURE_H

#include <prony/worker.h>

#include "base/error.h"

/* Fills *error and returns -1, as prony_fail does. */
int failure_answer(struct prony_error *error, const struct error *err);

#endif
