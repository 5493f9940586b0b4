/* A synthetic model in a file of a test's own. */
#ifndef PRONY_TESTS_MADE_MODEL_H
#define PRONY_TESTS_MADE_MODEL_H

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "model/model.h"
#include "model/synthetic.h"

struct made_model {
    char path[64];
    struct model model;
};

/* Makes it, a GGUF named after the test, and opens it; false when that fails, and says why. */
static inline bool made_model_open(struct made_model *made, const char *test,
                                   const struct model_config *config, enum tensor_type precision)
{
    struct error err;
    snprintf(made->path, sizeof made->path, "/tmp/%s.%d.gguf", test, (int)getpid());
    const struct model_output output = {
        .path = made->path, .format = MODEL_GGUF, .precision = precision, .threads = 1};
    if (synthetic_write(config, "tiny", 3, &output, NULL, &err) == STATUS_OK &&
        model_open(&made->model, made->path, &err) == STATUS_OK)
        return true;
    error_print(&err, stderr);
    return false;
}

static inline void made_model_close(struct made_model *made)
{
    model_close(&made->model);
    unlink(made->path);
}

#endif
