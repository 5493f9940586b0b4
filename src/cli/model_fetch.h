/* Getting a model from a hub with a line that shows how far it is, for several commands. */
#ifndef PRONY_CLI_MODEL_FETCH_H
#define PRONY_CLI_MODEL_FETCH_H

#include "hub/hub.h"

/* Tries after the first that bring nothing, and seconds without headway that count as a cut. */
enum { MODEL_FETCH_RETRIES = 5, MODEL_FETCH_STALL_S = 30 };

/* Fetches what is missing, says on stderr what came, and gives the model's path. */
enum status model_fetch(const struct hub_name *name, unsigned retries, unsigned stall_s,
                        char path[PATH_MAX], struct error *err);
/* hub_need with the environment's hub. */
enum status model_fetch_need(const struct hub_name *name, struct hub_need *need, struct error *err);

#endif
