#include "cli/engine_named.h"

#include <string.h>

#include "base/suggest.h"

/* Why there is none: its folder is broken, or there is no such folder. */
static void not_found(const struct engine_catalogue *catalogue, const char *name, struct error *err)
{
    struct suggestion near = {.word = name};
    for (size_t i = 0; i < catalogue->problem_count; i++) {
        const char *slash = strrchr(catalogue->problems[i].folder, '/');
        if (slash && strcmp(slash + 1, name) == 0) {
            *err = catalogue->problems[i].error;
            return;
        }
    }
    for (size_t i = 0; i < catalogue->count; i++)
        suggestion_offer(&near, catalogue->engines[i].name);
    error_set(err, STATUS_NOT_FOUND, "there is no engine '%s'", name);
    if (near.best)
        error_remedy(err, "Did you mean '%s'? 'prony engines' lists them.", near.best);
    else
        error_remedy(err, "'prony engines' lists them; $PRONY_ENGINE_PATH names more folders.");
}

const struct engine *engine_named(const struct engine_catalogue *catalogue, const char *name,
                                  struct error *err)
{
    const struct engine *engine = engine_find(catalogue, name);
    if (!engine)
        not_found(catalogue, name, err);
    return engine;
}

const struct engine *engine_named_version(const struct engine_catalogue *catalogue,
                                          const char *argument, const char **version,
                                          struct error *err)
{
    char name[64];
    size_t length = strcspn(argument, "@");
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
             argument);
    *version = argument[length] ? argument + length + 1 : NULL;
    return engine_named(catalogue, name, err);
}
