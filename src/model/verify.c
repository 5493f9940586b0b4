#include "model/verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "model/tensor_walk.h"
#include "model/tokenizer/token_list.h"
#include "model/tokenizer/tokenizer.h"

enum { SAMPLED_ROWS = 64 };

static enum status tensor_broken(const struct model *model, const struct tensor *tensor,
                                 const char *what, struct error *err)
{
    error_set(err, STATUS_FORMAT, "tensor \"%s\" %s", tensor->name, what);
    error_where(err, "%s", model_tensor_path(model, tensor));
    return error_remedy(err, "Fetch or convert the model again.");
}

/* Rows spread evenly from the first to the last. */
static enum status verify_tensor(const struct model *model, const struct tensor *tensor,
                                 struct error *err)
{
    uint64_t rows = tensor_rows(tensor), columns = tensor_columns(tensor);
    uint64_t samples = rows < SAMPLED_ROWS ? rows : SAMPLED_ROWS;
    bool finite = true, zero = true;
    float *row = malloc(columns * sizeof *row);
    if (!row)
        return error_no_memory(err, columns * sizeof *row);
    for (uint64_t i = 0; i < samples; i++) {
        tensor_row_f32(tensor, samples > 1 ? i * (rows - 1) / (samples - 1) : 0, row);
        for (uint64_t k = 0; k < columns; k++) {
            finite &= isfinite(row[k]) != 0;
            zero &= row[k] == 0;
        }
    }
    free(row);
    if (!finite)
        return tensor_broken(model, tensor, "has values that are no numbers", err);
    return zero ? tensor_broken(model, tensor, "is nothing but zeros", err) : STATUS_OK;
}

/* A tokenizer that is missing or of an unknown kind does not keep the model from loading. */
static enum status verify_tokenizer(const struct model *model, struct error *err)
{
    struct tokenizer *tokenizer = NULL;
    struct arena arena = {0};
    struct token_list list;
    enum status status = model->format == MODEL_GGUF
                             ? tokenizer_open(&tokenizer, model->weights, err)
                             : token_list_of_model(&list, &arena, model, err);
    if (tokenizer)
        tokenizer_close(tokenizer);
    arena_free(&arena);
    return status == STATUS_NOT_FOUND || status == STATUS_UNSUPPORTED ? STATUS_OK : status;
}

enum status model_verify(const struct model *model, struct error *err)
{
    const struct tensor *tensor;
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++)
        if (verify_tensor(model, tensor, err))
            return err->status;
    return verify_tokenizer(model, err);
}
