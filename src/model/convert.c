#include "model/convert.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/files.h"
#include "model/rope_factors.h"

enum tensor_type convert_precision(const struct model *model)
{
    enum tensor_type type = model->layer[0].wq.type;
    return type == TENSOR_F32 || type == TENSOR_BF16 ? type : TENSOR_F16;
}

static const struct tensor *source_tensor(const struct model *model, const struct weight *weight)
{
    const struct model_layer *layer = &model->layer[weight->layer];
    switch (weight->role) {
    case WEIGHT_EMBEDDING:
        return &model->embedding;
    case WEIGHT_ATTN_NORM:
        return &layer->attn_norm;
    case WEIGHT_Q:
        return &layer->wq;
    case WEIGHT_K:
        return &layer->wk;
    case WEIGHT_V:
        return &layer->wv;
    case WEIGHT_O:
        return &layer->wo;
    case WEIGHT_FFN_NORM:
        return &layer->ffn_norm;
    case WEIGHT_GATE:
        return &layer->w_gate;
    case WEIGHT_UP:
        return &layer->w_up;
    case WEIGHT_DOWN:
        return &layer->w_down;
    case WEIGHT_NORM:
        return &model->norm;
    case WEIGHT_OUTPUT:
        return &model->output;
    case WEIGHT_ROPE_FREQS:
    case WEIGHT_ROLES:
        break;
    }
    return &model->rope_freqs;
}

static void source_row(const void *context, const struct weight *weight, uint64_t row, float *out)
{
    const struct model *model = context;
    const struct tensor *tensor = source_tensor(model, weight);
    if (!tensor->data) {
        rope_factors_make(&model->config, out);
        return;
    }
    if (model->rope_interleaved && (weight->role == WEIGHT_Q || weight->role == WEIGHT_K))
        row = layout_row_to_gguf(row, model->config.head_size);
    tensor_row_f32(tensor, row, out);
}

/* The memory that a conversion takes stays small. q and k are read in another order within a head,
 * so that a page may be mapped again, which is harmless. */
static void source_done(const void *context, const struct weight *weight, uint64_t row,
                        uint64_t rows)
{
    tensor_rows_drop(source_tensor(context, weight), row, rows);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

static enum status check_output(const struct model *model, const struct model_output *output,
                                struct error *err)
{
    char folder[PATH_MAX];
    bool same = false;
    folder_of(model->weights, folder);
    for (uint64_t i = 0; output->format == MODEL_GGUF && i < model->files->count; i++)
        same = same || is_same_file(output->path, model->files->paths[i]);
    if (output->format == MODEL_SAFETENSORS && model->format == MODEL_SAFETENSORS)
        same = is_same_file(output->path, folder);
    if (!same)
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "the output would replace the model that is read");
    error_where(err, "%s", output->path);
    return error_remedy(err, "Give another name.");
}

/* GGUF has rope factors; config.json needs the numbers they come from. */
static enum status explain_rope(const struct model *model, struct model_config *config,
                                struct error *err)
{
    const struct tensor *freqs = &model->rope_freqs;
    float *factors = malloc(tensor_columns(freqs) * sizeof *factors);
    if (!factors)
        return error_no_memory(err, tensor_columns(freqs) * sizeof *factors);
    tensor_row_f32(freqs, 0, factors);
    bool explained =
        config->rope.kind == ROPE_SCALING_NONE && rope_factors_explain(config, factors);
    free(factors);
    if (explained)
        return STATUS_OK;
    error_set(err, STATUS_UNSUPPORTED,
              "the rope factors are not Llama 3's, and config.json has no other way to say them");
    error_where(err, "%s: %s", model_tensor_path(model, freqs), freqs->name);
    return error_remedy(err, "Convert to GGUF.");
}

/* The tokenizer in the form of the other format; a model without one is still a model. */
static enum status carry_tokens(const struct model *model, struct token_list *list,
                                struct arena *arena, struct error *note, struct error *err)
{
    enum status status = token_list_of_model(list, arena, model, err);
    if (status == STATUS_NOT_FOUND || status == STATUS_UNSUPPORTED) {
        *note = *err;
        return STATUS_OK;
    }
    if (status)
        return status;
    /* The embedding may have more rows than there are tokens. */
    int32_t bos = model->config.bos, eos = model->config.eos_count ? model->config.eos[0] : -1;
    if (list->bos < 0 && bos < (int64_t)list->count)
        list->bos = bos;
    if (list->eos < 0 && eos < (int64_t)list->count)
        list->eos = eos;
    return STATUS_OK;
}

enum status model_convert(const struct model *model, const struct model_output *output,
                          uint64_t *bytes, struct error *note, struct error *err)
{
    struct arena arena = {0};
    struct token_list list = {0};
    char folder[PATH_MAX];
    struct model_content content = {
        .name = model->name,
        .config = model->config,
        .rope_freqs = model->rope_freqs.data || model->config.rope.kind == ROPE_SCALING_LLAMA3,
        .source = {.row = source_row, .done = source_done, .context = model},
    };
    *note = (struct error){.status = STATUS_OK};
    enum status status = check_output(model, output, err);
    folder_of(model->weights, folder);
    if (status) {
        return status;
    } else if (output->format == model->format) {
        content.gguf = output->format == MODEL_GGUF ? model->files->gguf : NULL;
        content.folder = output->format == MODEL_SAFETENSORS ? folder : NULL;
    } else {
        status = carry_tokens(model, &list, &arena, note, err);
        content.tokens = note->status ? NULL : &list;
        if (!status && model->format == MODEL_GGUF && model->rope_freqs.data)
            status = explain_rope(model, &content.config, err);
    }
    if (!status)
        status = model_write(&content, output, bytes, err);
    arena_free(&arena);
    return status;
}
