/* prony model inspect: what a person wants to know of a model. */
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/model_facts.h"
#include "model/tensor_walk.h"

struct inspect_options {
    bool json, tensors, hash;
};

#define FIELD(name) offsetof(struct inspect_options, name)

static const struct option options[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "Print JSON.", .offset = FIELD(json)},
    {.name = "tensors",
     .kind = OPTION_FLAG,
     .help = "List the tensors as well.",
     .offset = FIELD(tensors)},
    {.name = "hash",
     .kind = OPTION_FLAG,
     .help = "Compute the SHA-256 of the weights; a large model takes a while the first time.",
     .offset = FIELD(hash)},
    {0},
};

static void shape_text(const struct tensor *tensor, char text[64])
{
    size_t used = 0;
    for (uint32_t i = 0; i < tensor->n_dims && used < 64; i++)
        used +=
            (size_t)snprintf(text + used, 64 - used, "%s%" PRIu64, i ? " x " : "", tensor->dims[i]);
}

static void print_tensors(const struct model *model)
{
    const struct tensor *tensor;
    printf("\n%-48s %-5s %16s %14s\n", "Tensor", "Type", "Shape", "Bytes");
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++) {
        char shape[64] = "";
        shape_text(tensor, shape);
        printf("%-48s %-5s %16s %14" PRIu64 "\n", tensor->name, tensor_type_name(tensor->type),
               shape, tensor->bytes);
    }
}

static json_t *tensors_json(const struct model *model)
{
    const struct tensor *tensor;
    json_t *array = json_array();
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++) {
        json_t *shape = json_array();
        for (uint32_t k = 0; k < tensor->n_dims; k++)
            json_array_append_new(shape, json_integer((json_int_t)tensor->dims[k]));
        json_array_append_new(array, json_pack("{s:s,s:s,s:o,s:I}", "name", tensor->name, "type",
                                               tensor_type_name(tensor->type), "shape", shape,
                                               "bytes", (json_int_t)tensor->bytes));
    }
    return array;
}

static void print(const struct model_facts *facts, const struct inspect_options *o)
{
    if (o->json) {
        json_t *json = model_facts_json(facts);
        if (o->tensors)
            json_object_set_new(json, "tensors", tensors_json(facts->model));
        json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(json);
    } else {
        model_facts_print(facts);
        if (o->tensors)
            print_tensors(facts->model);
    }
}

static int run(const void *given, const struct option_list *args)
{
    const struct inspect_options *o = given;
    struct error err;
    struct model model;
    struct model_facts facts;
    enum status status = model_open(&model, args->items[0], &err);
    if (!status) {
        status = model_facts_read(&facts, &model, o->hash, &err);
        if (!status)
            print(&facts, o);
        model_facts_free(&facts);
        model_close(&model);
    }
    return status ? command_fail(&err) : EXIT_PASS;
}

const struct command command_model_inspect = {
    .name = "model inspect",
    .summary = "Shows what a model is.",
    .positional = "MODEL",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .options_bytes = sizeof(struct inspect_options),
    .details = "MODEL is a GGUF or safetensors file, or a folder with one.\n\n"
               "Examples:\n\n"
               "  prony model inspect model.gguf\n"
               "  prony model inspect folder --json --hash | jq .sha256",
    .run = run,
};
