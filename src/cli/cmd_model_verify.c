/* prony model verify: whether a model would load. */
#include <stdio.h>

#include "cli/command.h"
#include "model/verify.h"

static int run(const void *options, const struct option_list *args)
{
    struct error err;
    struct model model;
    (void)options;
    enum status status = model_open(&model, args->items[0], &err);
    if (!status) {
        status = model_verify(&model, &err);
        if (!status)
            printf("%s: whole (%s, %.1f M parameters)\n", args->items[0],
                   model.format == MODEL_GGUF ? "GGUF" : model_format_name(model.format),
                   (double)model.parameters / 1e6);
        model_close(&model);
    }
    if (status)
        error_print(&err, stderr);
    return status ? EXIT_ERROR : EXIT_PASS;
}

static const struct option options[] = {{0}};

const struct command command_model_verify = {
    .name = "model verify",
    .summary = "Checks that a model would load.",
    .positional = "MODEL",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .details = "Every tensor that the architecture needs must be there with its shape, inside the "
               "file; vectors and some rows of every matrix are read and must hold numbers; the "
               "tokenizer, if there is one, must open. Status 0 only then.",
    .run = run,
};
